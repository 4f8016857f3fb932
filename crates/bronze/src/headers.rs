//! Which column of a file is which column of a source.

use medallion_pipeline::definition::{Source, SourceColumn};
use medallion_pipeline::nearest;

use crate::error::BronzeError;

/// Where the columns of a source stand in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// For each column of the source its place in the file; `None` for optional columns that are not there.
    pub columns: Vec<Option<usize>>,
    /// Places and headers that belong to no column.
    pub surplus: Vec<(usize, String)>,
}

/// Finds the columns of a source in a header.
pub(crate) fn map(name: &str, source: &Source, file: &str, header: &[String]) -> Result<Mapping, BronzeError> {
    let mut free: Vec<bool> = vec![true; header.len()];
    let mut columns = Vec::with_capacity(source.columns.len());
    for column in &source.columns {
        let place = (0..header.len()).find(|place| free[*place] && is_header_of(column, &header[*place]));
        if place.is_none() && !column.optional {
            let wanted = column.header.clone().unwrap_or_else(|| column.name.clone());
            let unused = (0..header.len()).filter(|place| free[*place]).map(|place| header[place].as_str());
            return Err(BronzeError::MissingColumn {
                source_name: name.to_owned(),
                file: file.to_owned(),
                nearest: most_similar(&wanted, unused),
                header: wanted,
                found: header.to_vec(),
            });
        }
        if let Some(place) = place {
            free[place] = false;
        }
        columns.push(place);
    }
    let surplus = (0..header.len()).filter(|place| free[*place]).map(|place| (place, header[place].clone())).collect();
    Ok(Mapping { columns, surplus })
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

/// Trimmed, with single spaces, in lower case.
fn normal(header: &str) -> String {
    header.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Lower case, runs of everything but letters and digits as one `_`.
fn snake_case(header: &str) -> String {
    let words = header.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_lowercase).collect::<Vec<_>>().join("_")
}
