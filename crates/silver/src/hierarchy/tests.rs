//! What is in the files, read back; the relationships themselves are tested in `closure`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Int64Type};
use medallion_pipeline::{Column, ColumnType, DataFile};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use polars::prelude::{ParquetReader, SerReader, SortMultipleOptions};

use super::*;
use crate::closure::{Relationship, RelationshipBatch};

/// A hierarchy with its tables in a folder.
struct Project {
    folder: tempfile::TempDir,
    definition: HierarchyTable,
    name: TableName,
    nodes: TableFiles,
    edges: TableFiles,
}

const LABELLED: &str = "label = \"assignment_id\"";

impl Project {
    /// Users from 1 to `length`, each below the next; the label is twice the id, and there is none for every fifth.
    fn chain(length: i64, label: &str, options: &str) -> Self {
        let definition = format!(
            "kind = \"hierarchy\"\ndescription = \"\"\nnodes = {{ table = \"silver.users\", id = \"user_id\" }}\n\
             edges = {{ table = \"silver.users\", child = \"user_id\", parent = \"manager_id\", {label} }}\n\
             columns = {{ child = \"employee_id\", ancestor = \"manager_id\", {label} }}\n{options}"
        );
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("users.parquet");
        let mut frame = polars::df!(
            "user_id" => (1..=length).collect::<Vec<i64>>(),
            "manager_id" => (1..=length).map(|id| (id < length).then_some(id + 1)).collect::<Vec<_>>(),
            "assignment_id" => (1..=length).map(label_of).collect::<Vec<_>>(),
        );
        polars::prelude::ParquetWriter::new(File::create(&path).unwrap()).finish(frame.as_mut().unwrap()).unwrap();
        let file = DataFile {
            location: Url::from_file_path(&path).unwrap(),
            partition_values: [].into(),
            rows: length as u64,
            bytes: path.metadata().unwrap().len(),
        };
        let schema = schema("silver.users", &[("user_id", true), ("manager_id", true), ("assignment_id", true)]);
        let users = TableFiles { schema, files: vec![file] };
        Self {
            folder,
            definition: toml::from_str(&definition).unwrap(),
            name: "silver.user_hierarchy".parse().unwrap(),
            nodes: users.clone(),
            edges: users,
        }
    }

    /// Builds the table in a folder of its own, on so many threads.
    fn stage(&self, threads: usize) -> (Result<HierarchyReport, SilverError>, std::path::PathBuf) {
        let labelled = self.definition.columns.label.is_some();
        let mut columns =
            vec![("employee_id", true), ("manager_id", true), ("relationship_type", false), ("depth", true)];
        columns.extend(labelled.then_some(("assignment_id", true)));
        columns.push(("_run_id", false));
        let area = self.folder.path().join(format!("threads-{threads}"));
        fs::create_dir(&area).unwrap();
        let task =
            HierarchyTask { definition: &self.definition, name: &self.name, nodes: &self.nodes, edges: &self.edges };
        let url = Url::from_directory_path(&area).unwrap();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let report = pool.install(|| task.stage(&schema("silver.user_hierarchy", &columns), "the run", &url));
        (report, area.join("part-00000.parquet"))
    }
}

fn schema(name: &str, columns: &[(&str, bool)]) -> TableSchema {
    let column =
        |&(name, long): &(&str, bool)| Column::new(name, if long { ColumnType::Long } else { ColumnType::Text }, "");
    TableSchema {
        name: name.parse().unwrap(),
        description: String::new(),
        columns: columns.iter().map(column).collect(),
        partition_columns: vec![],
    }
}

fn label_of(id: i64) -> Option<i64> {
    (id % 5 > 0).then_some(id * 2)
}

fn record_batches(path: &Path) -> Vec<RecordBatch> {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap();
    reader.build().unwrap().map(Result::unwrap).collect()
}

/// Checks every row of a chain's file.
fn check_chain(path: &Path, length: i64, labelled: bool) {
    let (mut child, mut depth) = (1, 0);
    for batch in record_batches(path) {
        let long = |name: &str| batch.column_by_name(name).unwrap().as_primitive::<Int64Type>().clone();
        let text = |name: &str| batch.column_by_name(name).unwrap().as_string::<i32>().clone();
        let (children, ancestors, depths) = (long("employee_id"), long("manager_id"), long("depth"));
        let (kinds, runs) = (text("relationship_type"), text("_run_id"));
        let labels = labelled.then(|| long("assignment_id"));
        for row in 0..batch.num_rows() {
            assert_eq!((children.value(row), ancestors.value(row), depths.value(row)), (child, child + depth, depth));
            assert_eq!(kinds.value(row), ["self", "direct", "indirect"][depth.min(2) as usize]);
            assert_eq!(runs.value(row), "the run");
            if let Some(labels) = &labels {
                let label = labels.is_valid(row).then(|| labels.value(row));
                assert_eq!(label, label_of(child).filter(|_| depth > 0));
            }
            (child, depth) = if child + depth == length { (child + 1, 0) } else { (child, depth + 1) };
        }
    }
    assert_eq!((child, depth), (length + 1, 0));
}

/// 4,000 users have 8,002,000 relationships: several row groups are encoded at once, more than once.
#[test]
fn row_groups_hold_every_row_once_whatever_the_number_of_threads() {
    let project = Project::chain(4_000, LABELLED, "");
    let (report, path) = project.stage(3);
    assert_eq!(report.unwrap(), HierarchyReport { rows_in: 4_000, rows_out: 8_002_000 });
    check_chain(&path, 4_000, true);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    let groups: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    // A row group ends with the batch that fills it.
    let is_full = |rows: &i64| (1 << 20..(1 << 20) + 8192).contains(rows);
    assert!(groups.len() == 8 && groups[..7].iter().all(is_full), "{groups:?}");
    assert_eq!(groups.iter().sum::<i64>(), 8_002_000);
    let (_, on_one_thread) = project.stage(1);
    assert!(fs::read(path).unwrap() == fs::read(on_one_thread).unwrap(), "the files differ");
}

#[test]
fn texts_are_plain_texts_for_readers_and_have_bounds() {
    let project = Project::chain(3, LABELLED, "");
    let (_, path) = project.stage(1);
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&path).unwrap()).unwrap();
    for (column, low, high) in [("relationship_type", "direct", "self"), ("_run_id", "the run", "the run")] {
        let position = reader.schema().index_of(column).unwrap();
        assert_eq!(*reader.schema().field(position).data_type(), DataType::Utf8);
        let statistics = reader.metadata().row_group(0).column(position).statistics().unwrap();
        assert_eq!(statistics.min_bytes_opt().unwrap(), low.as_bytes());
        assert_eq!(statistics.max_bytes_opt().unwrap(), high.as_bytes());
        assert_eq!(statistics.null_count_opt(), Some(0));
    }
    let frame = ParquetReader::new(File::open(&path).unwrap()).finish().unwrap();
    let frame = frame.sort(["employee_id", "depth"], SortMultipleOptions::default()).unwrap();
    let texts: Vec<Option<&str>> = frame.column("relationship_type").unwrap().str().unwrap().iter().collect();
    assert_eq!(texts, ["self", "direct", "indirect", "self", "direct", "self"].map(Some));
    assert_eq!(frame.column("assignment_id").unwrap().null_count(), 3);
}

#[test]
fn a_hierarchy_without_labels_has_no_column_for_them() {
    let project = Project::chain(300, "", "");
    let (report, path) = project.stage(2);
    assert_eq!(report.unwrap().rows_out, 300 * 301 / 2);
    check_chain(&path, 300, false);
    assert_eq!(record_batches(&path)[0].num_columns(), 5);
}

#[test]
fn too_many_relationships_name_the_limit_and_the_table() {
    let (report, _) = Project::chain(100, LABELLED, "max_relationships = 5049").stage(1);
    let error = report.unwrap_err();
    assert!(matches!(error, SilverError::TooManyRelationships { limit: 5_049, .. }));
    let text = error.to_string();
    assert!(text.contains("silver.user_hierarchy") && text.contains("5049") && text.contains("max_relationships"));
    assert!(error.hint().unwrap().contains("max_relationships"));
    let (report, _) = Project::chain(100, LABELLED, "max_relationships = 5050").stage(1);
    assert_eq!(report.unwrap().rows_out, 5_050);
}

#[test]
fn rows_of_a_batch_know_which_of_them_have_a_label() {
    let batch = RelationshipBatch {
        child: vec![7, 7, 8],
        ancestor: vec![7, 9, 8],
        depth: vec![0, 1, 0],
        label: vec![0, 70, 0],
        unlabelled: vec![0, 2],
    };
    let row = |child, depth, ancestor, label| Relationship { child, depth, ancestor, label };
    let expected = [row(7, 0, 7, None), row(7, 1, 9, Some(70)), row(8, 0, 8, None)];
    assert!(batch.rows().eq(expected));
}
