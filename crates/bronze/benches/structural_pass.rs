//! What finding unsound records costs, beside reading, hashing and the whole ingest of one file.
//!
//! `cargo test --release --locked -p medallion -p medallion-bronze --bench structural_pass -- FILE [SOURCE]` prints
//! medians over interleaved rounds. The CPU time is that of all threads, so other work on the machine disturbs it less
//! than the time passed. Without FILE nothing is measured.
#![allow(clippy::print_stdout, clippy::unwrap_used, clippy::expect_used)]

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use chrono::{NaiveDate, Utc};
use medallion_bronze::{FoundExport, FoundFile, IngestOptions, Stamp, ingest, read_export};
use medallion_lake::Lake;
use medallion_pipeline::{Limits, Pipeline, SourceTable, read_folder};
use structure::{Grammar, header, scan};

#[allow(dead_code, unused_imports)]
#[path = "../src/structure/mod.rs"]
mod structure;

const ROUNDS: usize = 9;
/// Bytes that are looked at together, as ingest does.
const BLOCK: usize = 8 << 20;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(file) = arguments.first() else {
        println!("no file given, nothing measured");
        return;
    };
    let source = arguments.get(1).map_or("cert_overview", String::as_str);
    let pipeline = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines/totara");
    let source = Pipeline::load(&read_folder(&pipeline).unwrap()).unwrap().sources.remove(source).unwrap();
    let path = Path::new(file);
    let bytes = fs::read(path).unwrap();
    let parts: [(&str, &dyn Fn()); 4] = [
        ("read", &|| drop(black_box(fs::read(path).unwrap()))),
        ("hash", &|| {
            black_box(blake3::hash(&bytes));
        }),
        ("structure", &|| structural_pass(&bytes)),
        ("ingest", &|| whole_ingest(path, &source)),
    ];
    let mut times = parts.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for ((_, part), times) in parts.iter().zip(&mut times) {
            times.push(timed(part));
        }
    }
    let medians = times.map(|times| {
        let [passed, cpu] = [0, 1].map(|which| median(times.iter().map(|time| time[which]).collect()));
        [passed, cpu]
    });
    println!("{} bytes, {ROUNDS} rounds, medians in milliseconds", bytes.len());
    println!("{:10} {:>10} {:>10}", "", "passed", "CPU");
    for ((name, _), [passed, cpu]) in parts.iter().zip(medians) {
        println!("{name:10} {:>10.1} {:>10.1}", passed * 1e3, cpu * 1e3);
    }
    let share = |which: usize| (medians[1][which] + medians[2][which]) / medians[3][which];
    println!("(hash + structure) / ingest: {:.3} of the time passed, {:.3} of the CPU time", share(0), share(1));
}

fn structural_pass(bytes: &[u8]) {
    let found = header(&bytes[..bytes.len().min(1 << 20)], false).unwrap();
    let grammar = Grammar { dialect: found.dialect, fields: found.texts.len(), max_field: 16 << 20 };
    let mut rest = &bytes[found.length..];
    while !rest.is_empty() {
        let piece = &rest[..rest.len().min(BLOCK)];
        let scan = scan(piece, piece.len() == rest.len(), &grammar).unwrap();
        rest = &rest[black_box(scan).consumed..];
    }
}

fn whole_ingest(path: &Path, source: &SourceTable) {
    let folder = tempfile::tempdir().unwrap();
    let lake = Lake::open(folder.path().to_str().unwrap(), "bench").unwrap();
    let stamp = Stamp::of(&path.metadata().unwrap()).unwrap();
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let file = FoundFile { path: path.to_path_buf(), name, stamp, part: 0, sha256: None };
    let export_date = NaiveDate::from_ymd_opt(2025, 6, 30).unwrap();
    let limits = Limits::default();
    let content = read_export(source, &FoundExport { export_date, files: vec![file] }, &limits).unwrap();
    let options = IngestOptions { run_id: "run".to_owned(), now: Utc::now(), limits };
    let ingested = ingest(&lake, source, &content, &[], "batch", &options).unwrap();
    assert!(ingested.rejects.is_empty() && ingested.rows > 0, "a sound file with rows is measured");
}

/// Time passed and CPU time of all threads, in seconds.
fn timed(part: &dyn Fn()) -> [f64; 2] {
    let (cpu, begin) = (cpu_time(), Instant::now());
    part();
    [begin.elapsed().as_secs_f64(), (cpu_time() - cpu).as_secs_f64()]
}

/// What the kernel counts for the threads of this process, none of which ends between two measurements; zero where it
/// does not tell.
fn cpu_time() -> Duration {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    texts.filter_map(|text| text.split(' ').next()?.parse().ok()).map(Duration::from_nanos).sum()
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
