//! Staging areas: where engines write Parquet files before anybody can see them.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use medallion_pipeline::{DataFile, Layer, TableFiles, TableName, TableSchema};
use parquet::file::metadata::ParquetMetaDataReader;
use url::Url;

use crate::error::LakeError;
use crate::place::{Lake, kind_of};
use crate::statistics::{delta_statistics, differences};

/// What Hive, and engines after it, call the folder of a partition without a value.
const NULL_PARTITION: &str = "__HIVE_DEFAULT_PARTITION__";

/// The files of a table that are ready to be committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedTable {
    pub(crate) schema: TableSchema,
    pub(crate) files: Vec<StagedFile>,
}

/// A file with what its Delta entry needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StagedFile {
    pub(crate) data: DataFile,
    /// Relative to the table's folder, as on disk.
    pub(crate) path: String,
    pub(crate) statistics: String,
    /// Milliseconds since 1970.
    pub(crate) modified: i64,
}

impl StagedTable {
    /// What the table looks like.
    #[must_use]
    pub fn schema(&self) -> &TableSchema {
        &self.schema
    }

    /// The schema with the files, for engines to read.
    #[must_use]
    pub fn files(&self) -> TableFiles {
        let files = self.files.iter().map(|file| file.data.clone()).collect();
        TableFiles { schema: self.schema.clone(), files }
    }

    /// Rows in all files together.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.data.rows).sum()
    }
}

impl Lake {
    /// Makes the folder an engine writes a table's files into; the URL ends with `/`. Files of a partitioned table
    /// go into `column=value/` folders below it. A folder left by an earlier attempt is returned as it is:
    /// [`Lake::discard`] it first to start over.
    ///
    /// # Errors
    /// If the ids are not sound, a folder cannot be made, or one is a link.
    pub fn staging_area(&self, table: &TableName, run_id: &str) -> Result<Url, LakeError> {
        self.check_run_id(run_id)?;
        self.table_folder(table)?;
        let folder = self.make_folders(&[table.layer.name(), &table.table, run_id])?;
        self.folder_url(&folder)
    }

    /// Reads the footers of the Parquet files of a staging area: checks their columns, gathers their statistics,
    /// leaves out files without rows, except in bronze.
    ///
    /// # Errors
    /// If the area is not the table's, or a file is not readable or does not have exactly the table's columns.
    pub fn staged(&self, schema: &TableSchema, area: &Url) -> Result<StagedTable, LakeError> {
        let foreign = || LakeError::ForeignArea {
            customer: self.customer().to_owned(),
            table: schema.name.clone(),
            area: area.to_string(),
        };
        let folder = area.to_file_path().map_err(|()| foreign())?;
        let within = folder.strip_prefix(self.table_folder(&schema.name)?).map_err(|_| foreign())?;
        if within.components().next().is_none() {
            return Err(foreign());
        }
        let mut paths = Vec::new();
        self.parquet_files(&folder, &mut paths)?;
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            files.extend(self.staged_file(schema, &folder, &path)?);
        }
        Ok(StagedTable { schema: schema.clone(), files })
    }

    /// Removes the staging area of a run that failed; nothing happens if there is none. Links are never followed.
    /// Must not be called for files that have been committed.
    ///
    /// # Errors
    /// If the folder cannot be removed or is a link.
    pub fn discard(&self, table: &TableName, run_id: &str) -> Result<(), LakeError> {
        self.check_run_id(run_id)?;
        let table_folder = self.table_folder(table)?;
        let folder = table_folder.join(run_id);
        for path in [&self.folder().join(table.layer.name()), &table_folder, &folder] {
            self.refuse_link(path)?;
        }
        if kind_of(self.customer(), &folder)?.is_none() {
            return Ok(());
        }
        match self.disk().remove_folder(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other.map_err(LakeError::io(self.customer(), &folder, "remove")),
        }
    }

    pub(crate) fn folder_url(&self, folder: &Path) -> Result<Url, LakeError> {
        Url::from_directory_path(folder).map_err(|()| self.not_absolute(folder))
    }

    pub(crate) fn file_url(&self, path: &Path) -> Result<Url, LakeError> {
        Url::from_file_path(path).map_err(|()| self.not_absolute(path))
    }

    fn not_absolute(&self, path: &Path) -> LakeError {
        LakeError::InvalidLocation { location: path.display().to_string() }
    }

    fn parquet_files(&self, folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), LakeError> {
        for path in self.entries(folder)? {
            self.refuse_link(&path)?;
            if path.is_dir() {
                self.parquet_files(&path, found)?;
            } else if path.extension().is_some_and(|extension| extension == "parquet") {
                found.push(path);
            }
        }
        Ok(())
    }

    fn staged_file(&self, schema: &TableSchema, area: &Path, path: &Path) -> Result<Option<StagedFile>, LakeError> {
        let (customer, table) = (self.customer(), &schema.name);
        let file = self.disk().open(path).map_err(LakeError::io(customer, path, "open"))?;
        let metadata = file.metadata().map_err(LakeError::io(customer, path, "look at"))?;
        let unreadable = |source| {
            let (customer, table, path) = (customer.to_owned(), table.clone(), path.to_path_buf());
            LakeError::Footer { customer, table, path, source }
        };
        let footer = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(unreadable)?;
        if let Some(differences) = differences(schema, &footer).map_err(unreadable)? {
            let (customer, table, path) = (customer.to_owned(), table.clone(), path.to_path_buf());
            return Err(LakeError::Columns { customer, table, path, differences });
        }
        let partition_values = self.partition_values(schema, area, path)?;
        let rows = u64::try_from(footer.file_metadata().num_rows()).unwrap_or(0);
        // In bronze a file without rows is the record of an export without rows.
        if rows == 0 && schema.name.layer != Layer::Bronze {
            return Ok(None);
        }
        let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Ok(Some(StagedFile {
            data: DataFile { location: self.file_url(path)?, partition_values, rows, bytes: metadata.len() },
            path: self.path_in_table(table, path)?,
            statistics: delta_statistics(schema, &footer),
            modified: modified.and_then(|since| i64::try_from(since.as_millis()).ok()).unwrap_or(0),
        }))
    }

    fn path_in_table(&self, table: &TableName, path: &Path) -> Result<String, LakeError> {
        let folder = self.table_folder(table)?;
        let relative = path.strip_prefix(&folder).ok();
        let names = relative.and_then(|path| path.iter().map(|name| name.to_str()).collect::<Option<Vec<_>>>());
        let names = names.ok_or_else(|| LakeError::InvalidLocation { location: path.display().to_string() })?;
        Ok(names.join("/"))
    }

    fn partition_values(
        &self,
        schema: &TableSchema,
        area: &Path,
        path: &Path,
    ) -> Result<BTreeMap<String, Option<String>>, LakeError> {
        let misplaced = || LakeError::PartitionPath {
            customer: self.customer().to_owned(),
            table: schema.name.clone(),
            path: path.to_path_buf(),
            expected: schema.partition_columns.join(", "),
        };
        let folders = path.parent().and_then(|parent| parent.strip_prefix(area).ok()).ok_or_else(misplaced)?;
        let mut values = BTreeMap::new();
        for folder in folders {
            let (column, value) = folder.to_str().and_then(|name| name.split_once('=')).ok_or_else(misplaced)?;
            if !schema.partition_columns.iter().any(|known| known == column) {
                return Err(misplaced());
            }
            values.insert(column.to_owned(), partition_value(value));
        }
        if values.len() == schema.partition_columns.len() { Ok(values) } else { Err(misplaced()) }
    }
}

/// The value a folder name stands for. In Delta an empty text is no value.
fn partition_value(encoded: &str) -> Option<String> {
    if encoded.is_empty() || encoded == NULL_PARTITION {
        return None;
    }
    // Folder names are percent-encoded like form data, except that + and & stand for themselves.
    let form = format!("={}", encoded.replace('+', "%2B").replace('&', "%26"));
    url::form_urlencoded::parse(form.as_bytes()).next().map(|(_, value)| value.into_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;

    use medallion_pipeline::Layer;

    use super::*;
    use crate::testing::{example_schema, lake, write_example, write_years};

    #[test]
    fn partition_values_are_decoded() {
        assert_eq!(partition_value("2024"), Some("2024".to_owned()));
        assert_eq!(partition_value("a%20b%2Fc"), Some("a b/c".to_owned()));
        assert_eq!(partition_value("1+1=2&x"), Some("1+1=2&x".to_owned()));
        assert_eq!(partition_value("caf%C3%A9"), Some("café".to_owned()));
        assert_eq!(partition_value(NULL_PARTITION), None);
        assert_eq!(partition_value(""), None);
    }

    #[test]
    fn an_area_is_a_folder_url_below_the_table() {
        let (folder, lake) = lake();
        let area = lake.staging_area(&TableName::new(Layer::Gold, "dim_user"), "run-1").unwrap();
        let expected = folder.path().join("acme/gold/dim_user/run-1");
        assert!(area.as_str().ends_with("/acme/gold/dim_user/run-1/"));
        assert!(expected.is_dir());
        assert_eq!(lake.tables().unwrap(), [], "a staged table is not a table yet");
    }

    #[test]
    fn files_are_listed_in_order_and_empty_ones_left_out() {
        let (_folder, lake) = lake();
        let schema = example_schema("dim_user");
        let area = lake.staging_area(&schema.name, "run-1").unwrap();
        write_example(&area, "b.parquet", &[3, 4, 5]);
        write_example(&area, "a.parquet", &[1, 2]);
        write_example(&area, "empty.parquet", &[]);
        fs::write(area.to_file_path().unwrap().join("notes.txt"), "not data").unwrap();
        let staged = lake.staged(&schema, &area).unwrap();
        assert_eq!(staged.rows(), 5);
        let paths: Vec<&str> = staged.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, ["run-1/a.parquet", "run-1/b.parquet"]);
        let files = staged.files();
        assert_eq!(files.files[0].location, area.join("a.parquet").unwrap());
        assert_eq!(files.files[0].bytes, fs::metadata(files.files[0].location.to_file_path().unwrap()).unwrap().len());
    }

    #[test]
    fn other_columns_or_types_are_refused_with_all_differences() {
        let (_folder, lake) = lake();
        let mut schema = example_schema("dim_user");
        let area = lake.staging_area(&schema.name, "run-1").unwrap();
        write_example(&area, "a.parquet", &[1]);
        schema.columns.retain(|column| column.name != "name");
        schema.columns[0].data_type = medallion_pipeline::ColumnType::Text;
        schema.columns.push(medallion_pipeline::Column::new("more", medallion_pipeline::ColumnType::Bool, ""));
        let error = lake.staged(&schema, &area).unwrap_err();
        let LakeError::Columns { differences, .. } = &error else { panic!("{error}") };
        assert_eq!(
            differences,
            "column 'id' is Int64 instead of text, column 'more' is missing, column 'name' is not expected"
        );
    }

    #[test]
    fn partitioned_files_must_be_below_their_values() {
        let (_folder, lake) = lake();
        let (schema, area) = write_years(&lake, "run-1");
        let staged = lake.staged(&schema, &area).unwrap();
        let values: Vec<_> = staged.files.iter().map(|file| file.data.partition_values["label"].clone()).collect();
        assert_eq!(values, [Some("FY 2024/25".to_owned()), None]);

        let folder = area.to_file_path().unwrap();
        fs::copy(staged.files[0].data.location.to_file_path().unwrap(), folder.join("stray.parquet")).unwrap();
        let flat = TableSchema { partition_columns: vec![], ..schema.clone() };
        let error = lake.staged(&schema, &area).unwrap_err();
        assert!(matches!(&error, LakeError::PartitionPath { path, .. } if path.ends_with("stray.parquet")), "{error}");
        assert!(matches!(lake.staged(&flat, &area), Err(LakeError::Columns { .. })));
    }

    #[test]
    fn areas_of_other_tables_and_broken_files_are_refused() {
        let (_folder, lake) = lake();
        let schema = example_schema("dim_user");
        let other = lake.staging_area(&TableName::new(Layer::Gold, "dim_course"), "run-1").unwrap();
        assert!(matches!(lake.staged(&schema, &other), Err(LakeError::ForeignArea { .. })));
        let area = lake.staging_area(&schema.name, "run-1").unwrap();
        fs::write(area.to_file_path().unwrap().join("a.parquet"), "PAR1 not really PAR1").unwrap();
        assert!(matches!(lake.staged(&schema, &area), Err(LakeError::Footer { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn discarding_removes_links_not_what_they_point_to() {
        let (_folder, lake) = lake();
        let schema = example_schema("dim_user");
        let area = lake.staging_area(&schema.name, "run-1").unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join("keep.parquet"), "kept").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), area.to_file_path().unwrap().join("link")).unwrap();
        assert!(matches!(lake.staged(&schema, &area), Err(LakeError::Linked { .. })));
        lake.discard(&schema.name, "run-1").unwrap();
        lake.discard(&schema.name, "run-1").unwrap();
        assert!(!area.to_file_path().unwrap().exists());
        assert!(elsewhere.path().join("keep.parquet").exists());
    }
}
