//! One closure, timed: the driver of `benches/hierarchy.py`, which compares it with other implementations.
//!
//! `cargo test --release --locked -p medallion -p medallion-silver --bench closure -- ARGUMENTS`, where these are
//!
//! - `edges FILE FOLDER`: a CSV file `child,parent,label`, each child a node, empty fields for none, is closed in memory
//!   and then as the table `silver.user_hierarchy`, from Parquet to Parquet;
//! - `chain LENGTH FOLDER [mixed]`: a chain of that many users, as a table only; `mixed` gives them ids in no order.
//!
//! The tables are written into FOLDER: `users.parquet`, `user_assignments.parquet` and, in `out`, the hierarchy. One line
//! of JSON tells the seconds passed, the CPU seconds of all threads, rows and the peak of memory (MiB, at the end of
//! each part). Without arguments nothing is measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::convert::Infallible;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use medallion_pipeline::definition::Definition;
use medallion_pipeline::{DataFile, Pipeline, TableFiles, TableName, read_folder};
use medallion_silver::closure::{Edge, Hierarchy, Limits, RelationshipBatch};
use medallion_silver::{HierarchyTask, SilverError};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};
use url::Url;

/// A line of the users' file: user, manager, job assignment.
type Line = (i64, Option<i64>, Option<i64>);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let told = match arguments.as_slice() {
        [] => {
            println!("nothing given, nothing measured");
            return;
        }
        ["edges", file, folder] => {
            let lines = read_csv(Path::new(file));
            let mut told = in_memory(&lines);
            told["table"] = as_table(&lines, Path::new(folder));
            told
        }
        ["chain", length, folder] => as_table(&chain(length.parse().unwrap(), false), Path::new(folder)),
        ["chain", length, folder, "mixed"] => as_table(&chain(length.parse().unwrap(), true), Path::new(folder)),
        other => panic!("not known: {other:?}"),
    };
    println!("{told}");
}

fn read_csv(file: &Path) -> Vec<Line> {
    let text = fs::read_to_string(file).unwrap();
    let number = |field: &str| (!field.is_empty()).then(|| field.parse().unwrap());
    let line = |line: &str| {
        let fields: Vec<Option<i64>> = line.split(',').map(number).collect();
        (fields[0].unwrap(), fields[1], fields[2])
    };
    text.lines().skip(1).map(line).collect()
}

/// Everyone below the one before.
fn chain(length: i64, mixed: bool) -> Vec<Line> {
    let mut ids: Vec<i64> = (1..=length).collect();
    if mixed {
        ids.sort_by_key(|id| id.wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as i64) >> 20);
    }
    let manager = |position: usize| position.checked_sub(1).map(|above| ids[above]);
    ids.iter().enumerate().map(|(position, &id)| (id, manager(position), Some(id))).collect()
}

/// From vectors to vectors: every row is kept, as a query into a table of memory keeps them.
fn in_memory(lines: &[Line]) -> Value {
    let nodes: Vec<i64> = lines.iter().map(|line| line.0).collect();
    let edge = |&(child, parent, label): &Line| Some(Edge { child, parent: parent?, label });
    let edges: Vec<Edge> = lines.iter().filter_map(edge).collect();
    let mut rows: Vec<RelationshipBatch> = Vec::new();
    let (count, mut told) = timed(|| {
        let hierarchy = Hierarchy::new(nodes, &edges);
        let limits = Limits { max_relationships: 500_000_000 };
        hierarchy.relationships::<Infallible>(limits, |batch| {
            rows.push(batch);
            Ok(())
        })
    });
    let kept: usize = rows.iter().map(RelationshipBatch::len).sum();
    assert_eq!(count.unwrap(), kept as u64);
    told["rows"] = kept.into();
    told
}

/// From Parquet to Parquet, as a run does it.
fn as_table(lines: &[Line], folder: &Path) -> Value {
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/totara");
    let pipeline = Pipeline::load(&read_folder(&pipeline).unwrap()).unwrap();
    let name: TableName = "silver.user_hierarchy".parse().unwrap();
    let table = pipeline.table(&name).unwrap();
    let Definition::Hierarchy(definition) = &table.definition else { panic!("{name} is no hierarchy") };
    let out = folder.join("out");
    fs::create_dir_all(&out).unwrap();
    let users = lines.iter().map(|line| Some(line.0)).collect();
    let managers = lines.iter().map(|line| line.1).collect();
    let assignments = lines.iter().map(|line| line.2).collect();
    let nodes = input(&pipeline, "users", folder, vec![("user_id", users)]);
    let users = lines.iter().map(|line| Some(line.0)).collect();
    let columns = vec![("user_id", users), ("manager_id", managers), ("assignment_id", assignments)];
    let edges = input(&pipeline, "user_assignments", folder, columns);
    let task = HierarchyTask { definition, name: &name, nodes: &nodes, edges: &edges };
    let area = Url::from_directory_path(fs::canonicalize(&out).unwrap()).unwrap();
    let (report, mut told) = timed(|| task.stage(&table.schema, "2025-06-30T02:00:00Z-0123456789ab", &area));
    match report {
        Ok(report) => told["rows"] = report.rows_out.into(),
        Err(error @ SilverError::TooManyRelationships { .. }) => told["refused"] = error.to_string().into(),
        Err(error) => panic!("{error}"),
    }
    told["bytes"] = fs::read_dir(&out).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>().into();
    told
}

fn input(pipeline: &Pipeline, table: &str, folder: &Path, columns: Vec<(&str, Vec<Option<i64>>)>) -> TableFiles {
    let name: TableName = format!("silver.{table}").parse().unwrap();
    let path: PathBuf = folder.join(format!("{table}.parquet"));
    let columns =
        columns.into_iter().map(|(name, values)| (name, Arc::new(Int64Array::from(values)) as ArrayRef, true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let file = DataFile {
        location: Url::from_file_path(fs::canonicalize(&path).unwrap()).unwrap(),
        partition_values: [].into(),
        rows: batch.num_rows() as u64,
        bytes: path.metadata().unwrap().len(),
    };
    TableFiles { schema: pipeline.schema(&name).unwrap().clone(), files: vec![file] }
}

fn timed<T>(part: impl FnOnce() -> T) -> (T, Value) {
    let (cpu, begin) = (cpu_time(), Instant::now());
    let done = part();
    let (seconds, cpu_seconds) = (begin.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64());
    (done, json!({"seconds": seconds, "cpu_seconds": cpu_seconds, "peak_mib": peak_mib()}))
}

/// User and system time of the process, threads that have ended included; zero where the kernel does not tell.
fn cpu_time() -> Duration {
    let text = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

/// The largest resident set so far; none where the kernel does not tell.
fn peak_mib() -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? / 1024)
}
