//! A folder of definitions becomes a checked [`Pipeline`].

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use crate::arrival;
use crate::audit::{self, DataTest, Reference};
use crate::cleansing;
use crate::columns;
use crate::customer::Customer;
use crate::definition::{Definition, Kind, PipelineFile, Source};
use crate::error::{DefinitionError, nearest};
use crate::graph;
use crate::mode;
use crate::model::Model;
use crate::schema::{Column, Layer, TableName, TableSchema, is_identifier};
use crate::toml_file::{self, Document};
use crate::versions;

/// The files of a pipeline: path within the pipeline, with `/`, to text.
pub type PipelineFiles = BTreeMap<String, String>;

/// A source with the schema of its bronze table.
#[derive(Debug, Clone)]
pub struct SourceTable {
    /// The bronze table; its name is the source's.
    pub name: TableName,
    /// The definition.
    pub source: Source,
    /// The bronze table's columns, audit columns included.
    pub schema: TableSchema,
}

/// A silver or gold table.
#[derive(Debug, Clone)]
pub struct Table {
    /// Its name.
    pub name: TableName,
    /// How it is made.
    pub definition: Definition,
    /// The definition as it is written.
    pub text: String,
    /// Its query, where it is one.
    pub model: Option<Model>,
    /// What it looks like when published.
    pub schema: TableSchema,
    /// The tables it is built from.
    pub inputs: Vec<TableName>,
}

/// Everything that is particular to one kind of customer.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// Its name.
    pub name: String,
    /// The hash of all that it was read from.
    pub hash: String,
    /// What it is for.
    pub description: String,
    /// Keys that every fact carries.
    pub conformed_keys: Vec<Column>,
    /// What arrives, by source name.
    pub sources: BTreeMap<String, SourceTable>,
    /// Silver and gold tables; each stands after those it is built from.
    pub tables: Vec<Table>,
    /// Data tests of silver and gold: those of a table together, in the order of `tables`, queries last.
    pub tests: Vec<DataTest>,
}

/// Reads the files of a pipeline folder.
///
/// # Errors
/// If a folder or file cannot be read or is not text.
pub fn read_folder(folder: &Path) -> Result<PipelineFiles, DefinitionError> {
    let mut files = PipelineFiles::new();
    let mut folders = vec![(folder.to_path_buf(), String::new())];
    while let Some((folder, prefix)) = folders.pop() {
        let read = |source| DefinitionError::Read { path: folder.clone(), source };
        for entry in std::fs::read_dir(&folder).map_err(read)? {
            let entry = entry.map_err(read)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with('.') || name.ends_with('~') || name.ends_with(".md") {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                folders.push((path, format!("{prefix}{name}/")));
            } else {
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| DefinitionError::Read { path: path.clone(), source })?;
                files.insert(format!("{prefix}{name}"), text);
            }
        }
    }
    Ok(files)
}

/// What a file of a pipeline defines.
enum Part {
    Source(Box<SourceTable>),
    Table(Box<Table>),
    /// It belongs to another file, or to all of them.
    Other,
}

impl Part {
    fn read(files: &PipelineFiles, file: &str, text: &str, conformed_keys: &[Column]) -> Result<Self, DefinitionError> {
        let Some(table) = table_of(file)? else { return Ok(Self::Other) };
        if table.layer != Layer::Bronze {
            return Ok(Self::Table(Box::new(load_table(files, file, text, table, conformed_keys)?)));
        }
        let source: Source = toml_file::parse(file, text)?;
        let schema = columns::bronze(file, &table, &source)?;
        Ok(Self::Source(Box::new(SourceTable { name: table, source, schema })))
    }
}

impl Pipeline {
    /// Checks the files and brings the tables into building order.
    ///
    /// # Errors
    /// For everything `docs/pipeline.md` does not allow, with the file and, where there is one, the line.
    pub fn load(files: &PipelineFiles) -> Result<Self, DefinitionError> {
        let text = files
            .get("pipeline.toml")
            .ok_or_else(|| DefinitionError::Misplaced { file: "a folder without pipeline.toml".to_owned() })?;
        let PipelineFile { name, description, conformed_keys, references } = toml_file::parse("pipeline.toml", text)?;
        let conformed_keys = columns::conformed(conformed_keys);
        let mut sources = BTreeMap::new();
        let mut tables = Vec::new();
        // On all threads, because every command waits for it; mistakes are told in the order of the files.
        let files_in_order: Vec<_> = files.iter().collect();
        let read = files_in_order.into_par_iter().map(|(file, text)| Part::read(files, file, text, &conformed_keys));
        for part in read.collect::<Vec<_>>() {
            match part? {
                Part::Source(source) => drop(sources.insert(source.name.table.clone(), *source)),
                Part::Table(table) => tables.push(*table),
                Part::Other => {}
            }
        }
        check_surplus_sql(files, &tables)?;
        check_inputs(&sources, &tables)?;
        for source in sources.values() {
            let file = definition_file(&source.name);
            mode::check(&file, files.get(&file).map_or("", String::as_str), source, &tables)?;
        }
        versions::follow(&mut tables)?;
        let tables = graph::in_building_order(tables)?;
        let hash = hash_of(files.iter().flat_map(|(name, text)| [name, text]));
        let references = audit::from_references(text, &references, &tables)?;
        let tests = read_tests(files, &tables, &references)?;
        Ok(Self { name, hash, description, conformed_keys, sources, tables, tests })
    }

    /// The pipeline with what is particular to the customer's sources and silver tables.
    ///
    /// # Errors
    /// If the customer's file names a source, table, column or rule that there is not, has an expression that is not
    /// sound, gives an option to what cannot have it, or what it says of a source's mode contradicts itself or the
    /// pipeline.
    pub fn for_customer(&self, customer: &Customer) -> Result<Self, DefinitionError> {
        let mut pipeline = self.clone();
        for (name, own) in &customer.sources {
            self.check_source(&customer.place_of_source(name), name)?;
            let Some(table) = pipeline.sources.get_mut(name) else { continue };
            own.apply(&mut table.source);
            arrival::check_source(&customer.place_of_source(name), &table.source)?;
            mode::check_override(&customer.place_of_source(name), own, table, &self.tables)?;
        }
        customer.silver.apply(&mut pipeline.tables)?;
        // The texts of the tables have what the customer says of them; sources print as what they were read from.
        let sources = customer.sources.keys().filter_map(|name| pipeline.sources.get(name));
        let sources: Vec<String> = sources.map(|table| format!("{:?}", table.source)).collect();
        let texts = pipeline.tables.iter().map(|table| &table.text);
        pipeline.hash = hash_of(std::iter::once(&self.hash).chain(&sources).chain(texts));
        Ok(pipeline)
    }

    /// Whether there is a source of that name; `place` is the file or option that names it.
    ///
    /// # Errors
    /// If there is none, with the most similar name.
    pub fn check_source(&self, place: &str, name: &str) -> Result<(), DefinitionError> {
        if self.sources.contains_key(name) {
            return Ok(());
        }
        Err(DefinitionError::UnknownSource {
            place: place.to_owned(),
            name: name.to_owned(),
            pipeline: self.name.clone(),
            nearest: nearest(name, self.sources.keys().map(String::as_str)),
        })
    }

    /// Whether there is a silver or gold table of that name, such as `gold.dim_user`; `place` is the option that names it.
    ///
    /// # Errors
    /// If there is none, with the most similar name.
    pub fn check_table(&self, place: &str, name: &str) -> Result<(), DefinitionError> {
        let names: Vec<String> = self.tables.iter().map(|table| table.name.to_string()).collect();
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(DefinitionError::UnknownTable {
            file: place.to_owned(),
            reference: name.to_owned(),
            nearest: nearest(name, names.iter().map(String::as_str)),
        })
    }

    /// The silver or gold table of that name.
    #[must_use]
    pub fn table(&self, name: &TableName) -> Option<&Table> {
        self.tables.iter().find(|table| table.name == *name)
    }

    /// The schema of any table, bronze included.
    #[must_use]
    pub fn schema(&self, name: &TableName) -> Option<&TableSchema> {
        if name.layer == Layer::Bronze {
            return self.sources.get(&name.table).map(|source| &source.schema);
        }
        self.table(name).map(|table| &table.schema)
    }
}

/// The tests that tables declare or that follow from references, then those of the folder `tests/`.
fn read_tests(
    files: &PipelineFiles,
    tables: &[Table],
    references: &[Reference],
) -> Result<Vec<DataTest>, DefinitionError> {
    let declared = |table: &Table| {
        let file = definition_file(&table.name);
        let text = files.get(&file).map_or("", String::as_str);
        audit::declared(&file, text, table, tables, references)
    };
    let declared = || tables.par_iter().map(declared).collect::<Vec<_>>();
    let (declared, queries) = rayon::join(declared, || audit::query_tests(files, tables));
    let mut tests = Vec::new();
    for declared in declared {
        tests.extend(declared?);
    }
    tests.extend(queries?);
    Ok(tests)
}

fn hash_of<'a>(texts: impl Iterator<Item = &'a String>) -> String {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        // Lengths keep what is hashed apart.
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    hasher.finalize().to_hex().to_string()
}

/// The table a `.toml` file defines; `None` for files that define none.
fn table_of(file: &str) -> Result<Option<TableName>, DefinitionError> {
    let misplaced = || DefinitionError::Misplaced { file: file.to_owned() };
    if file == "pipeline.toml" || file.starts_with("tests/") {
        return Ok(None);
    }
    let (layer, name) = file.split_once('/').ok_or_else(misplaced)?;
    let layer = Layer::ALL.into_iter().find(|known| known.name() == layer).ok_or_else(misplaced)?;
    if let Some(table) = name.strip_suffix(".toml").filter(|table| is_identifier(table)) {
        return Ok(Some(TableName::new(layer, table)));
    }
    name.strip_suffix(".sql").filter(|table| is_identifier(table)).map(|_| None).ok_or_else(misplaced)
}

fn load_table(
    files: &PipelineFiles,
    file: &str,
    text: &str,
    name: TableName,
    conformed_keys: &[Column],
) -> Result<Table, DefinitionError> {
    let document = Document::parse(file, text)?;
    let definition = read_definition(&document, name.layer)?;
    let sql_file = file.replace(".toml", ".sql");
    let model = match (definition.is_query(), files.get(&sql_file)) {
        (true, Some(sql)) => Some(Model::parse(&sql_file, sql)?),
        (true, None) => {
            return Err(DefinitionError::MissingSql { file: sql_file, kind: definition.kind().to_owned() });
        }
        (false, _) => None,
    };
    let schema = columns::schema(&document, &name, &definition, conformed_keys)?;
    let inputs = inputs(&definition, model.as_ref());
    Ok(Table { name, definition, text: text.to_owned(), model, schema, inputs })
}

fn read_definition(document: &Document<'_>, layer: Layer) -> Result<Definition, DefinitionError> {
    let kind = match document.text_of("kind") {
        Some(kind) => kind.to_owned(),
        None => document.read::<Kind>()?.kind,
    };
    Ok(match (layer, kind.as_str()) {
        (Layer::Silver, "cleanse") => Definition::Cleanse(document.read()?),
        (Layer::Silver, "query") => Definition::Query(document.read()?),
        (Layer::Silver, "hierarchy") => Definition::Hierarchy(document.read()?),
        (Layer::Silver, "findings") => Definition::Findings(document.read()?),
        (Layer::Silver, "versions") => Definition::Versions(document.read()?),
        (Layer::Gold, "dimension") => Definition::Dimension(document.read()?),
        (Layer::Gold, "fact") => Definition::Fact(document.read()?),
        (Layer::Gold, "history") => Definition::History(document.read()?),
        (Layer::Gold, "bridge") => Definition::Bridge(document.read()?),
        (Layer::Gold, "fiscal_years") => Definition::FiscalYears(document.read()?),
        _ => {
            let known = match layer {
                Layer::Gold => "dimension, fact, history, bridge, fiscal_years",
                _ => "cleanse, query, hierarchy, findings, versions",
            };
            let (file, layer) = (document.file.to_owned(), layer.to_string());
            return Err(DefinitionError::UnknownKind { file, kind, layer, known: known.to_owned() });
        }
    })
}

fn inputs(definition: &Definition, model: Option<&Model>) -> Vec<TableName> {
    match definition {
        Definition::Cleanse(cleanse) => vec![TableName::new(Layer::Bronze, &cleanse.source)],
        Definition::Hierarchy(hierarchy) => {
            let mut inputs = vec![hierarchy.nodes.table.clone(), hierarchy.edges.table.clone()];
            inputs.dedup();
            inputs
        }
        Definition::Findings(findings) => findings.hierarchies.clone(),
        Definition::Versions(versions) => vec![versions.of.clone()],
        _ => model.map(|model| model.inputs.clone()).unwrap_or_default(),
    }
}

fn check_surplus_sql(files: &PipelineFiles, tables: &[Table]) -> Result<(), DefinitionError> {
    for file in files.keys().filter(|file| file.ends_with(".sql") && !file.starts_with("tests/")) {
        if !tables.iter().any(|table| table.model.as_ref().is_some_and(|model| model.file == *file)) {
            let expected = file.replace(".sql", ".toml");
            return Err(DefinitionError::SurplusSql { file: file.clone(), expected });
        }
    }
    Ok(())
}

fn check_inputs(sources: &BTreeMap<String, SourceTable>, tables: &[Table]) -> Result<(), DefinitionError> {
    let mut known: Vec<String> = tables.iter().map(|table| table.name.to_string()).collect();
    known.extend(sources.values().map(|source| source.name.to_string()));
    for table in tables {
        let file = table.model.as_ref().map_or_else(|| definition_file(&table.name), |model| model.file.clone());
        for input in &table.inputs {
            let reference = input.to_string();
            if !known.contains(&reference) {
                let nearest = nearest(&reference, known.iter().map(String::as_str));
                return Err(DefinitionError::UnknownTable { file, reference, nearest });
            }
            if let (Definition::Cleanse(cleanse), Some(source)) = (&table.definition, sources.get(&input.table)) {
                cleansing::check_source(&file, &table.text, cleanse, input, &source.schema.columns)?;
            }
            if input.layer > table.name.layer {
                let message = format!("reads {input}: data flows from bronze over silver to gold, not back");
                return Err(DefinitionError::Contradiction { file, message });
            }
        }
    }
    Ok(())
}

/// The file that defines a table.
#[must_use]
pub fn definition_file(table: &TableName) -> String {
    format!("{}/{}.toml", table.layer, table.table)
}
