//! Which column of a file is which column of a source, and what became of the others.

use std::collections::HashSet;

use medallion_pipeline::columns::BRONZE_AUDIT;
use medallion_pipeline::definition::{Source, SourceColumn};
use medallion_pipeline::{Column, ColumnType, NewColumns, nearest};
use serde::Serialize;

use crate::error::BronzeError;

/// The longest name of a column that is made from a header, in bytes.
const MAX_NAME: usize = 120;

/// A column that bronze got because of a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddedColumn {
    /// The header in the file.
    pub header: String,
    /// The column in bronze.
    pub column: String,
}

/// A header that is written otherwise than the source's definition has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RenamedHeader {
    /// As defined.
    pub expected: String,
    /// As it stands in the file.
    pub found: String,
}

/// How a file's columns differ from what was defined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// Columns that bronze did not have before.
    pub added_columns: Vec<AddedColumn>,
    /// Headers whose fields are in `_rescued_data`.
    pub rescued_columns: Vec<String>,
    /// Columns that the file lacks.
    pub missing_columns: Vec<String>,
    /// Headers that are written otherwise.
    pub renamed_headers: Vec<RenamedHeader>,
    /// Whether the columns stand in another order.
    pub reordered: bool,
}

/// Where the columns of a bronze table stand in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// For each column of the source its place in the file; `None` for optional columns that are not there.
    pub columns: Vec<Option<usize>>,
    /// For each column beyond the source's its place in the file.
    pub extra: Vec<Option<usize>>,
    /// Places of fields without a column and their keys in `_rescued_data`.
    pub rescued: Vec<(usize, String)>,
    /// Those of them that have no header: drift only if there is something in them.
    pub nameless: Vec<usize>,
    pub drift: Drift,
}

/// Finds the columns of a source in a header. `extra` are the columns that the bronze table has beyond the source's;
/// those that the header adds come to them.
pub(crate) fn map(
    name: &str,
    source: &Source,
    file: &str,
    header: &[String],
    extra: &mut Vec<Column>,
) -> Result<Mapping, BronzeError> {
    let mut mapper = Mapper { name, source, file, header, free: vec![true; header.len()], mapping: Mapping::default() };
    mapper.own_columns()?;
    mapper.further_headers(extra)?;
    let Mapper { mut mapping, .. } = mapper;
    mapping.extra.resize(extra.len(), None);
    let missing = extra.iter().zip(&mapping.extra).filter(|(_, place)| place.is_none());
    mapping.drift.missing_columns.extend(missing.map(|(column, _)| column.name.clone()));
    distinct(&mut mapping.rescued);
    Ok(mapping)
}

struct Mapper<'a> {
    name: &'a str,
    source: &'a Source,
    file: &'a str,
    header: &'a [String],
    /// Places that belong to no column yet.
    free: Vec<bool>,
    mapping: Mapping,
}

impl Mapper<'_> {
    fn own_columns(&mut self) -> Result<(), BronzeError> {
        let mut last = None;
        for column in &self.source.columns {
            let place = self.free_places().find(|place| is_header_of(column, &self.header[*place]));
            let Some(place) = place else {
                if !column.optional {
                    return Err(self.missing(column));
                }
                self.mapping.drift.missing_columns.push(column.name.clone());
                self.mapping.columns.push(None);
                continue;
            };
            self.free[place] = false;
            self.mapping.columns.push(Some(place));
            self.mapping.drift.reordered |= last.replace(place) > Some(place);
            let (expected, found) = (column.header.clone(), self.header[place].clone());
            if let Some(expected) = expected.filter(|expected| *expected != found) {
                self.mapping.drift.renamed_headers.push(RenamedHeader { expected, found });
            }
        }
        Ok(())
    }

    fn further_headers(&mut self, extra: &mut Vec<Column>) -> Result<(), BronzeError> {
        self.mapping.extra = vec![None; extra.len()];
        let own: HashSet<&str> = self.source.columns.iter().map(|column| column.name.as_str()).collect();
        let is_taken = |name: &str| own.contains(name) || BRONZE_AUDIT.iter().any(|(audit, ..)| *audit == name);
        // Two headers of one name keep their columns, whatever their order is.
        for place in self.free_places().collect::<Vec<_>>() {
            let of_header = description(&self.header[place]);
            let same = extra.iter().position(|column| column.description == of_header);
            if let Some(at) = same.filter(|at| self.mapping.extra[*at].is_none()) {
                self.mapping.extra[at] = Some(place);
                self.free[place] = false;
            }
        }
        for place in self.free_places().collect::<Vec<_>>() {
            let header = &self.header[place];
            if header.trim().is_empty() {
                // A separator at the end of each line makes a column that nobody meant.
                self.mapping.rescued.push((place, format!("column {}", place + 1)));
                self.mapping.nameless.push(place);
                continue;
            }
            let known = |name: &String| extra.iter().position(|column| column.name == *name);
            let is_free = |name: &String| {
                !is_taken(name) && known(name).is_none_or(|at| self.mapping.extra.get(at) == Some(&None))
            };
            let Some(name) = numbered(&column_name(header)).find(is_free) else { continue };
            match (known(&name), self.source.new_columns) {
                (Some(at), _) => self.mapping.extra[at] = Some(place),
                (None, NewColumns::Evolve) => {
                    extra.push(Column::new(&name, ColumnType::Text, description(header)));
                    self.mapping.extra.push(Some(place));
                    self.mapping.drift.added_columns.push(AddedColumn { header: header.clone(), column: name });
                }
                (None, NewColumns::Rescue) => {
                    self.mapping.rescued.push((place, header.clone()));
                    self.mapping.drift.rescued_columns.push(header.clone());
                }
                (None, NewColumns::Freeze) => return Err(self.frozen(header)),
            }
        }
        Ok(())
    }

    fn free_places(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.header.len()).filter(|place| self.free[*place])
    }

    fn missing(&self, column: &SourceColumn) -> BronzeError {
        let wanted = column.header.clone().unwrap_or_else(|| column.name.clone());
        BronzeError::MissingColumn {
            source_name: self.name.to_owned(),
            file: self.file.to_owned(),
            nearest: most_similar(&wanted, self.free_places().map(|place| self.header[place].as_str())),
            header: wanted,
            found: self.header.to_vec(),
        }
    }

    fn frozen(&self, header: &str) -> BronzeError {
        let missing = self.source.columns.iter().zip(&self.mapping.columns).filter(|(_, place)| place.is_none());
        let missing = missing.map(|(column, _)| column.header.as_deref().unwrap_or(&column.name));
        BronzeError::NewColumn {
            source_name: self.name.to_owned(),
            file: self.file.to_owned(),
            header: header.to_owned(),
            nearest: most_similar(header, missing),
        }
    }
}

/// Why a file is refused that has a column which was found only by its fields.
pub(crate) fn frozen(name: &str, file: &str, column: &str) -> BronzeError {
    let (source_name, file, header) = (name.to_owned(), file.to_owned(), column.to_owned());
    BronzeError::NewColumn { source_name, file, header, nearest: None }
}

/// What is published of a column that a header made; it tells which header that was.
fn description(header: &str) -> String {
    format!("Header '{header}' of the files, which the source's definition does not have")
}

fn is_header_of(column: &SourceColumn, header: &str) -> bool {
    let header = normal(header);
    let is_own = column.header.as_ref().is_some_and(|expected| normal(expected) == header);
    is_own || snake_case(&header) == column.name || column.aliases.iter().any(|alias| normal(alias) == header)
}

/// The header most like the one looked for; case, spaces and signs do not tell them apart.
fn most_similar<'a>(wanted: &str, headers: impl Iterator<Item = &'a str>) -> Option<String> {
    let letters = |text: &str| snake_case(text).replace('_', "");
    let by_letters: Vec<(String, &str)> = headers.map(|header| (letters(header), header)).collect();
    let found = nearest(&letters(wanted), by_letters.iter().map(|(letters, _)| letters.as_str()))?;
    by_letters.iter().find(|(letters, _)| *letters == found).map(|(_, header)| (*header).to_owned())
}

/// Trimmed, with single spaces, in lower case, with plain apostrophes and nothing invisible.
fn normal(header: &str) -> String {
    let plain = header.chars().filter(|c| !matches!(c, '\u{feff}' | '\u{200b}'..='\u{200f}')).map(|c| match c {
        '\u{2018}' | '\u{2019}' | '\u{2bc}' | '\u{b4}' | '`' => '\'',
        other => other,
    });
    plain.collect::<String>().split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Lower case, runs of everything but letters and digits as one `_`.
fn snake_case(header: &str) -> String {
    let words = header.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}

/// The name of a column made from a header.
fn column_name(header: &str) -> String {
    let mut name = snake_case(header);
    name.truncate(MAX_NAME);
    match name.bytes().next() {
        None => "column".to_owned(),
        Some(first) if first.is_ascii_digit() => format!("_{name}"),
        Some(_) => name,
    }
}

/// `extra`, `extra_2`, `extra_3` and so on.
fn numbered(name: &str) -> impl Iterator<Item = String> + use<> {
    let name = name.to_owned();
    (1_u64..).map(move |number| if number == 1 { name.clone() } else { format!("{name}_{number}") })
}

/// Keys that occur again get a number.
fn distinct(rescued: &mut [(usize, String)]) {
    let mut seen = HashSet::new();
    for (_, key) in rescued {
        if let Some(free) = numbered(key).find(|name| !seen.contains(name)) {
            *key = free;
        }
        seen.insert(key.clone());
    }
}
