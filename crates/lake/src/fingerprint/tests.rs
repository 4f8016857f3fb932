#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};

use arrow::array::{BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, TimestampMicrosecondArray};
use arrow::compute::cast;
use medallion_pipeline::{Layer, TableName};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{WriterProperties, WriterVersion};
use proptest::prelude::*;
use tempfile::TempDir;
use url::Url;

use super::*;
use crate::testing::{LEAP_DAY, example_schema, lake, write_columns, write_years};

/// A row of the example table.
#[derive(Debug, Clone, Default, PartialEq, PartialOrd)]
struct Row {
    id: Option<i64>,
    name: Option<String>,
    score: Option<f64>,
    active: Option<bool>,
    born: Option<i32>,
    seen: Option<i64>,
    loaded_at: Option<i64>,
    fee: Option<i128>,
}

/// How a file is written; none of it may show.
#[derive(Debug, Clone)]
struct Writing {
    text: DataType,
    reversed: bool,
    files: usize,
    row_group: usize,
    dictionary: bool,
    compression: Compression,
    version: WriterVersion,
    threads: usize,
}

impl Default for Writing {
    fn default() -> Self {
        Self {
            text: DataType::Utf8,
            reversed: false,
            files: 1,
            row_group: 1000,
            dictionary: true,
            compression: Compression::SNAPPY,
            version: WriterVersion::PARQUET_1_0,
            threads: 1,
        }
    }
}

fn columns(rows: &[Row], writing: &Writing) -> RecordBatch {
    let seen = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.seen));
    let loaded_at = TimestampMicrosecondArray::from_iter(rows.iter().map(|row| row.loaded_at)).with_timezone("UTC");
    let fee = Decimal128Array::from_iter(rows.iter().map(|row| row.fee)).with_precision_and_scale(10, 2).unwrap();
    let name = StringArray::from_iter(rows.iter().map(|row| row.name.as_deref()));
    let mut columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(Int64Array::from_iter(rows.iter().map(|row| row.id)))),
        ("name", cast(&name, &writing.text).unwrap()),
        ("score", Arc::new(Float64Array::from_iter(rows.iter().map(|row| row.score)))),
        ("active", Arc::new(BooleanArray::from_iter(rows.iter().map(|row| row.active)))),
        ("born", Arc::new(Date32Array::from_iter(rows.iter().map(|row| row.born)))),
        ("seen", Arc::new(seen)),
        ("loaded_at", Arc::new(loaded_at)),
        ("fee", Arc::new(fee)),
        ("_run_id", Arc::new(StringArray::from_iter_values(rows.iter().map(|_| format!("{writing:?}"))))),
    ];
    if writing.reversed {
        columns.reverse();
    }
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, values)| (name, values, true))).unwrap()
}

fn write(rows: &[Row], writing: &Writing, path: &Path) {
    let properties = WriterProperties::builder()
        .set_dictionary_enabled(writing.dictionary)
        .set_compression(writing.compression)
        .set_writer_version(writing.version)
        .set_max_row_group_row_count(Some(writing.row_group))
        .build();
    let batch = columns(rows, writing);
    let mut writer = ArrowWriter::try_new(File::create(path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

fn data_file(path: &Path) -> DataFile {
    let bytes = fs::metadata(path).unwrap().len();
    DataFile { location: Url::from_file_path(path).unwrap(), partition_values: [].into(), rows: 0, bytes }
}

/// Where tests write, with the number of the table.
struct Place {
    folder: TempDir,
    lake: Lake,
    tables: std::cell::Cell<usize>,
}

impl Place {
    fn new() -> Self {
        let (folder, lake) = lake();
        Self { folder, lake, tables: 0.into() }
    }

    fn files(&self, rows: &[Row], writing: &Writing) -> TableFiles {
        let folder = self.folder.path().join(self.tables.replace(self.tables.get() + 1).to_string());
        fs::create_dir(&folder).unwrap();
        let mut schema = example_schema("dim_user");
        schema.columns.push(Column::new("_run_id", ColumnType::Text, ""));
        if writing.reversed {
            schema.columns.swap(0, 4);
        }
        let part = rows.len().div_ceil(writing.files).max(1);
        let files = rows.chunks(part).enumerate().map(|(number, rows)| {
            let path = folder.join(format!("{number}.parquet"));
            write(rows, writing, &path);
            data_file(&path)
        });
        TableFiles { files: files.collect(), schema }
    }

    fn fingerprint(&self, rows: &[Row], writing: &Writing) -> String {
        let files = self.files(rows, writing);
        let pool = rayon::ThreadPoolBuilder::new().num_threads(writing.threads).build().unwrap();
        let lake = &self.lake;
        pool.install(|| lake.fingerprint(&files)).unwrap()
    }

    fn plain(&self, rows: &[Row]) -> String {
        self.fingerprint(rows, &Writing::default())
    }
}

/// Texts around the lengths at which their words are made differently.
fn a_text() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        "[ab]{1,3}",
        "[ab]{11,14}",
        "[äb]{5,8}",
        "a{19,22}",
        "[ab]{28,40}",
        Just("\0".to_owned()),
    ]
}

/// Rows that are often alike in all but one column, and often alike in all.
fn a_row() -> impl Strategy<Value = Row> {
    let number = || proptest::option::of(prop_oneof![Just(0), Just(1), Just(-1), Just(i64::MIN), Just(1 << 32)]);
    let score = proptest::option::of(prop_oneof![Just(0.0), Just(1.0), Just(-0.5), Just(f64::INFINITY)]);
    let fee = proptest::option::of(prop_oneof![Just(0_i128), Just(1), Just(-1), Just(9_999_999_999)]);
    let rest = (proptest::option::of(any::<bool>()), proptest::option::of(-1..2_i32), number(), number(), fee);
    (number(), proptest::option::of(a_text()), score, rest).prop_map(
        |(id, name, score, (active, born, seen, loaded_at, fee))| Row {
            id,
            name,
            score,
            active,
            born,
            seen,
            loaded_at,
            fee,
        },
    )
}

fn a_writing() -> impl Strategy<Value = Writing> {
    let dictionary_of = |text: DataType| DataType::Dictionary(Box::new(DataType::Int32), Box::new(text));
    let text = prop_oneof![
        Just(DataType::Utf8),
        Just(DataType::LargeUtf8),
        Just(DataType::Utf8View),
        Just(dictionary_of(DataType::Utf8)),
    ];
    let zstd = Compression::ZSTD(ZstdLevel::default());
    let compression = prop_oneof![Just(Compression::UNCOMPRESSED), Just(Compression::SNAPPY), Just(zstd)];
    let version = prop_oneof![Just(WriterVersion::PARQUET_1_0), Just(WriterVersion::PARQUET_2_0)];
    let flags = (any::<bool>(), any::<bool>());
    (text, flags, 1..5_usize, 1..20_usize, compression, version, 1..4_usize).prop_map(
        |(text, (reversed, dictionary), files, row_group, compression, version, threads)| Writing {
            text,
            reversed,
            files,
            row_group,
            dictionary,
            compression,
            version,
            threads,
        },
    )
}

fn sorted(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    rows.sort_by(|one, other| one.partial_cmp(other).unwrap());
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn order_files_and_encoding_do_not_show(
        (rows, shuffled) in proptest::collection::vec(a_row(), 0..60)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
        writing in a_writing(),
    ) {
        let place = Place::new();
        prop_assert_eq!(place.plain(&rows), place.fingerprint(&shuffled, &writing));
    }

    #[test]
    fn only_the_same_rows_have_the_same_fingerprint(
        rows in proptest::collection::vec(a_row(), 1..6),
        other in proptest::collection::vec(a_row(), 0..6),
        at in any::<prop::sample::Index>(),
        replacement in a_row(),
        field in 0..8_usize,
    ) {
        let place = Place::new();
        let at = at.index(rows.len());
        let before = place.plain(&rows);
        let mut changed = rows.clone();
        let cell = &mut changed[at];
        match field {
            0 => cell.id = replacement.id,
            1 => cell.name = replacement.name.clone(),
            2 => cell.score = replacement.score,
            3 => cell.active = replacement.active,
            4 => cell.born = replacement.born,
            5 => cell.seen = replacement.seen,
            6 => cell.loaded_at = replacement.loaded_at,
            _ => cell.fee = replacement.fee,
        }
        let mut longer = rows.clone();
        longer.push(rows[at].clone());
        let mut shorter = rows.clone();
        shorter.remove(at);
        let mut times_swapped = rows.clone();
        let row = &mut times_swapped[at];
        std::mem::swap(&mut row.seen, &mut row.loaded_at);
        let mut ids_swapped = rows.clone();
        (ids_swapped[0].id, ids_swapped[at].id) = (rows[at].id, rows[0].id);
        for table in [changed, longer, shorter, times_swapped, ids_swapped, other] {
            prop_assert_eq!(before == place.plain(&table), sorted(&rows) == sorted(&table), "{:?}", table);
        }
    }
}

fn example() -> Vec<Row> {
    let row =
        |id, name: Option<&str>, active, fee| Row { id, name: name.map(str::to_owned), active, fee, ..Row::default() };
    let last = Row {
        score: Some(1e300),
        born: Some(0),
        seen: Some(1),
        loaded_at: Some(1),
        ..row(Some(6), None, Some(true), Some(1))
    };
    vec![
        Row {
            score: Some(0.25),
            born: Some(19_358),
            seen: Some(LEAP_DAY),
            loaded_at: Some(LEAP_DAY),
            ..row(Some(-1), Some("Ann"), Some(true), Some(-105))
        },
        Row {
            score: Some(0.0),
            born: Some(-1),
            seen: Some(0),
            loaded_at: Some(-1),
            ..row(Some(2), Some(""), Some(false), Some(9_999_999_999))
        },
        Row { score: Some(-1.5), ..row(Some(3), Some("Zoë Müller"), None, None) },
        row(None, Some("exactly twel"), None, None),
        row(Some(5), Some("thirteen here"), Some(true), Some(0)),
        row(Some(5), Some("twenty bytes of text"), Some(true), Some(1)),
        last.clone(),
        last,
    ]
}

/// Published fingerprints are compared with those of later builds. These two were calculated by a program in another
/// language, written from the description at the top of `fingerprint.rs`.
#[test]
fn fingerprints_are_the_same_in_every_build() {
    let place = Place::new();
    assert_eq!(place.plain(&example()), "2c90ba6e915dda7f224a11c0d30c8ae5");
    assert_eq!(place.plain(&[]), "43acb322dbade57c65bb33b334a4049b");
}

#[test]
fn more_rows_than_a_batch_and_several_row_groups_are_read() {
    let place = Place::new();
    let rows: Vec<Row> = (0..5000)
        .map(|id| Row { id: Some(id), name: (id % 3 > 0).then(|| format!("learner number {id}")), ..Row::default() })
        .collect();
    let cut = Writing { files: 3, row_group: 700, threads: 3, text: DataType::Utf8View, ..Writing::default() };
    let before = place.fingerprint(&rows, &Writing { row_group: 10_000, ..Writing::default() });
    assert_eq!(before, place.fingerprint(&rows, &cut));
    let mut changed = rows;
    changed[4321].name = Some("learner number 4322".to_owned());
    assert_ne!(before, place.fingerprint(&changed, &cut));
}

#[test]
fn numbers_that_are_equal_are_the_same() {
    let place = Place::new();
    let table = |scores: &[f64]| -> Vec<Row> {
        scores.iter().map(|score| Row { score: Some(*score), ..Row::default() }).collect()
    };
    let other_nan = f64::from_bits(0xfff8_0000_0000_0001);
    assert!(other_nan.is_nan());
    assert_eq!(place.plain(&table(&[0.0, f64::NAN])), place.plain(&table(&[other_nan, -0.0])));
    assert_ne!(place.plain(&table(&[f64::NAN])), place.plain(&table(&[0.0])));
    assert_ne!(place.plain(&table(&[f64::NAN])), place.plain(&[Row::default()]));
    assert_ne!(place.plain(&table(&[f64::INFINITY])), place.plain(&table(&[f64::NEG_INFINITY])));
}

/// A table with the given columns of texts, in one file.
fn texts(place: &Place, columns: &[(&str, Option<&str>)]) -> TableFiles {
    let area = Url::from_directory_path(place.folder.path().join(format!("texts-{}", place.tables.get()))).unwrap();
    place.tables.set(place.tables.get() + 1);
    let values = |text: &Option<&str>| -> ArrayRef { Arc::new(StringArray::from(vec![*text])) };
    write_columns(&area, "0.parquet", columns.iter().map(|(name, text)| (*name, values(text))).collect());
    TableFiles {
        files: vec![data_file(&area.to_file_path().unwrap().join("0.parquet"))],
        schema: text_schema(&columns.iter().map(|(name, _)| *name).collect::<Vec<_>>()),
    }
}

fn text_schema(columns: &[&str]) -> TableSchema {
    TableSchema {
        name: TableName::new(Layer::Silver, "texts"),
        description: String::new(),
        columns: columns.iter().map(|name| Column::new(*name, ColumnType::Text, "")).collect(),
        partition_columns: vec![],
    }
}

#[test]
fn names_and_types_of_columns_count_and_their_order_does_not() {
    let place = Place::new();
    let of = |columns: &[(&str, Option<&str>)]| place.lake.fingerprint(&texts(&place, columns)).unwrap();
    let before = of(&[("a", Some("x")), ("b", Some("y"))]);
    assert_eq!(before, of(&[("b", Some("y")), ("a", Some("x"))]));
    assert_eq!(before, of(&[("b", Some("y")), ("_c", Some("z")), ("a", Some("x"))]));
    for other in [
        vec![("a", Some("y")), ("b", Some("x"))],
        vec![("a", Some("x")), ("c", Some("y"))],
        vec![("a", Some("x")), ("b", Some("y")), ("c", None)],
        vec![("a", Some("x"))],
        vec![("a", Some("xy")), ("b", Some(""))],
        vec![("a", Some("x")), ("b", None)],
    ] {
        assert_ne!(before, of(&other), "{other:?}");
    }
    let empty = |schema| place.lake.fingerprint(&TableFiles { schema, files: vec![] }).unwrap();
    let retyped = |data_type| {
        let mut schema = text_schema(&["a"]);
        schema.columns[0].data_type = data_type;
        schema
    };
    let decimal = |precision| ColumnType::Decimal { precision, scale: 2 };
    let types = [ColumnType::Text, ColumnType::Long, ColumnType::Timestamp, ColumnType::TimestampUtc, decimal(9)];
    let prints: std::collections::BTreeSet<String> =
        types.into_iter().chain([decimal(10)]).map(|data_type| empty(retyped(data_type))).collect();
    assert_eq!(prints.len(), 6);
    assert_eq!(empty(text_schema(&["a"])), empty(text_schema(&["_b", "a"])));
}

#[test]
fn a_column_that_a_file_lacks_is_null_in_it() {
    let place = Place::new();
    let mut older = texts(&place, &[("a", Some("x"))]);
    older.schema = text_schema(&["a", "b"]);
    let whole = texts(&place, &[("a", Some("x")), ("b", None)]);
    assert_eq!(place.lake.fingerprint(&older).unwrap(), place.lake.fingerprint(&whole).unwrap());
    let empty = texts(&place, &[("a", Some("x")), ("b", Some(""))]);
    assert_ne!(place.lake.fingerprint(&older).unwrap(), place.lake.fingerprint(&empty).unwrap());
}

#[test]
fn values_in_paths_are_values_like_others() {
    let place = Place::new();
    let (schema, area) = write_years(&place.lake, "run-1");
    let staged = place.lake.staged(&schema, &area).unwrap().files();
    let flat = place.lake.staging_area(&schema.name, "run-2").unwrap();
    let label: ArrayRef = Arc::new(StringArray::from(vec![None, Some("FY 2024/25"), Some("FY 2024/25")]));
    let progress: ArrayRef = Arc::new(Int64Array::from(vec![30, 20, 10]));
    write_columns(&flat, "0.parquet", vec![("label", label), ("progress", progress)]);
    let schema = TableSchema { partition_columns: vec![], ..schema };
    let flat = place.lake.staged(&schema, &flat).unwrap().files();
    assert_eq!(place.lake.fingerprint(&staged).unwrap(), place.lake.fingerprint(&flat).unwrap());

    let mut numbered = staged;
    let year = |text: &str| [("label".to_owned(), Some(text.to_owned()))].into();
    numbered.schema.columns[1].data_type = ColumnType::Long;
    numbered.files[0].partition_values = year("2024");
    let first = place.lake.fingerprint(&numbered).unwrap();
    numbered.files[0].partition_values = year("02024");
    assert_eq!(first, place.lake.fingerprint(&numbered).unwrap(), "the number counts, not how it is written");
    numbered.files[0].partition_values = year("2025");
    assert_ne!(first, place.lake.fingerprint(&numbered).unwrap());
    numbered.files[0].partition_values = year("FY 2024");
    let error = place.lake.fingerprint(&numbered).unwrap_err();
    assert!(matches!(&error, LakeError::ChangedOutside { .. }) && error.to_string().contains("FY 2024"), "{error}");
}

#[test]
fn files_that_are_gone_or_of_another_type_are_named() {
    let place = Place::new();
    let mut files = texts(&place, &[("a", Some("x"))]);
    files.schema.columns[0].data_type = ColumnType::Date;
    let error = place.lake.fingerprint(&files).unwrap_err();
    assert!(error.to_string().contains("column 'a' is Utf8 instead of date"), "{error}");
    fs::remove_file(files.files[0].location.to_file_path().unwrap()).unwrap();
    let error = place.lake.fingerprint(&files).unwrap_err();
    assert!(matches!(&error, LakeError::Io { path, .. } if path.ends_with("0.parquet")), "{error}");
}

/// Prints what it costs; asserts nothing. Run it with `--ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn nanoseconds_a_value() {
    let (_folder, lake) = lake();
    let files: Vec<PathBuf> = std::env::var("PARQUET_FILES").unwrap().split(':').map(PathBuf::from).collect();
    let mut all = (0_u64, 0_u64, 0_u64);
    let begin = std::time::Instant::now();
    for path in &files {
        let footer = ArrowReaderMetadata::load(&File::open(path).unwrap(), ArrowReaderOptions::default()).unwrap();
        let found = parquet_to_arrow_schema(footer.parquet_schema(), None).unwrap();
        let column = |field: &Arc<Field>| {
            let data_type = match field.data_type() {
                DataType::Int64 => ColumnType::Long,
                DataType::Float64 => ColumnType::Double,
                DataType::Boolean => ColumnType::Bool,
                DataType::Date32 => ColumnType::Date,
                DataType::Timestamp(_, None) => ColumnType::Timestamp,
                DataType::Timestamp(_, _) => ColumnType::TimestampUtc,
                DataType::Decimal128(precision, scale) => {
                    ColumnType::Decimal { precision: *precision, scale: u8::try_from(*scale).unwrap() }
                }
                _ => ColumnType::Text,
            };
            Column::new(field.name(), data_type, "")
        };
        let schema = TableSchema { columns: found.fields().iter().map(column).collect(), ..text_schema(&[]) };
        let counted = schema.columns.iter().filter(|column| !column.name.starts_with('_')).count() as u64;
        let rows = u64::try_from(footer.metadata().file_metadata().num_rows()).unwrap();
        let copies: usize = std::env::var("COPIES").map_or(1, |copies| copies.parse().unwrap());
        let rows = rows * copies as u64;
        let table = TableFiles { schema, files: vec![data_file(path); copies] };
        let start = std::time::Instant::now();
        lake.fingerprint(&table).unwrap();
        let nanoseconds = start.elapsed().as_nanos() as f64;
        println!(
            "{:6.1} ms {:5.1} ns a value {:6.0} MB/s {rows} rows {counted} columns {}",
            nanoseconds / 1e6,
            nanoseconds / (rows * counted).max(1) as f64,
            (table.files[0].bytes * copies as u64) as f64 * 1e3 / nanoseconds,
            path.display()
        );
        all = (all.0 + rows, all.1 + rows * counted, all.2 + table.files[0].bytes);
    }
    println!("{:?} for {} rows, {} values, {} bytes", begin.elapsed(), all.0, all.1, all.2);
}
