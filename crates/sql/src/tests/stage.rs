use arrow::datatypes::{DataType, TimeUnit};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::Compression;

use super::*;

fn area(folder: &Path) -> (PathBuf, Url) {
    let area = folder.join("stage area");
    std::fs::create_dir(&area).unwrap();
    let url = Url::from_directory_path(&area).unwrap();
    (area, url)
}

fn read(path: &Path) -> RecordBatch {
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(path).unwrap()).unwrap().build().unwrap();
    let batches = reader.collect::<Result<Vec<_>, _>>().unwrap();
    arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap()
}

#[tokio::test]
async fn columns_are_matched_by_name_ordered_and_cast() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = area(folder.path());
    let columns = [
        ("id", ColumnType::Long),
        ("name", ColumnType::Text),
        ("born", ColumnType::Date),
        ("seen", ColumnType::Timestamp),
        ("amount", ColumnType::Decimal { precision: 9, scale: 2 }),
        ("note", ColumnType::Text),
    ];
    let sql = "SELECT NULL AS note, '12.5' AS amount, '2025-06-30T07:08:09' AS seen, '1999-12-31' AS born, \
               42 AS name, '7' AS id";
    let session = session();
    assert_eq!(session.stage(sql, &schema("gold.t", &columns, &[]), &url).await.unwrap(), 1);
    let files = files_below(&path);
    assert_eq!(files.len(), 1);
    let batch = read(&path.join(&files[0]));
    let expected = [
        ("id", DataType::Int64, "7"),
        ("name", DataType::Utf8, "42"),
        ("born", DataType::Date32, "1999-12-31"),
        ("seen", DataType::Timestamp(TimeUnit::Microsecond, None), "2025-06-30T07:08:09"),
        ("amount", DataType::Decimal128(9, 2), "12.50"),
        ("note", DataType::Utf8, ""),
    ];
    assert_eq!(batch.num_columns(), expected.len());
    for (index, (name, data_type, value)) in expected.into_iter().enumerate() {
        let field = batch.schema().field(index).clone();
        assert_eq!((field.name().as_str(), field.data_type(), field.is_nullable()), (name, &data_type, true));
        let shown = arrow::util::display::array_value_to_string(batch.column(index), 0).unwrap();
        assert_eq!(shown, value, "{name}");
    }
}

#[tokio::test]
async fn files_are_plain_parquet_with_chunk_statistics() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = area(folder.path());
    let session = with_users(folder.path()).await;
    assert_eq!(session.stage("SELECT * FROM silver.users", &users_schema(), &url).await.unwrap(), 3);
    let file = File::open(path.join(&files_below(&path)[0])).unwrap();
    let builder = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let metadata = builder.metadata();
    assert!(metadata.file_metadata().key_value_metadata().is_none_or(|entries| entries.is_empty()));
    let chunk = metadata.row_group(0).column(0);
    assert_eq!(chunk.compression(), Compression::SNAPPY);
    assert_eq!(chunk.statistics().unwrap().max_bytes_opt().unwrap(), 3_i64.to_le_bytes());
    assert_eq!(metadata.row_group(0).column(1).statistics().unwrap().null_count_opt(), Some(1));
}

#[tokio::test]
async fn missing_surplus_and_duplicate_columns_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = area(folder.path());
    let session = with_users(folder.path()).await;
    let stage = async |sql: &str| session.stage(sql, &users_schema(), &url).await.unwrap_err();
    let error = stage("SELECT user_id FROM silver.users").await;
    assert_eq!(error.to_string(), "silver.users: the query does not return the declared column 'name'");
    let error = stage("SELECT user_id, name AS names FROM silver.users").await;
    assert_eq!(
        error.to_string(),
        "silver.users: the query returns the column 'names', which the table does not declare"
    );
    assert_eq!(error.hint().unwrap(), "the table declares 'name'; did you mean that?");
    let error = stage("SELECT a.user_id, a.name, b.name FROM silver.users a JOIN silver.users b USING (user_id)").await;
    assert!(matches!(&error, SqlError::DuplicateColumn { column, .. } if column == "name"), "{error:?}");
    let error = stage("SELECT user_id, nmae FROM silver.users").await;
    assert_eq!(error.to_string(), "silver.users (line 1, column 17): there is no column 'nmae'");
    let error = stage("EXPLAIN SELECT user_id, name FROM silver.users").await;
    assert!(matches!(error, SqlError::NotAQuery { .. }), "{error:?}");
    assert!(files_below(&path).is_empty());
}

#[tokio::test]
async fn a_failing_cast_names_table_and_column_but_no_value() {
    let folder = tempfile::tempdir().unwrap();
    let (_, url) = area(folder.path());
    let session = with_users(folder.path()).await;
    let sql = "SELECT name AS user_id, name FROM silver.users";
    let error = session.stage(sql, &users_schema(), &url).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "silver.users: the column 'user_id' is declared long, but at least 2 of its text values are not that"
    );
    let sql = "SELECT [user_id] AS user_id, name FROM silver.users";
    let error = session
        .stage(sql, &schema("gold.t", &[("user_id", ColumnType::Date), ("name", ColumnType::Text)], &[]), &url)
        .await;
    assert!(matches!(error, Err(SqlError::CastType { .. })), "{error:?}");
    let sql = "SELECT CAST(name AS BIGINT) AS user_id, name FROM silver.users";
    let error = session.stage(sql, &users_schema(), &url).await.unwrap_err();
    assert!(matches!(error, SqlError::Execution { .. }), "{error:?}");
}

#[tokio::test]
async fn partitions_become_folders_and_can_be_registered_again() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = area(folder.path());
    let columns = [("fy", ColumnType::Text), ("n", ColumnType::Long)];
    let table = schema("gold.fact", &columns, &["fy"]);
    let sql = "SELECT value AS n, CASE value % 3 WHEN 0 THEN 'FY24/25' WHEN 1 THEN 'a b=c%' END AS fy \
               FROM generate_series(1, 30000) AS t(value)";
    let session = session();
    assert_eq!(session.stage(sql, &table, &url).await.unwrap(), 30_000);
    let files = files_below(&path);
    let folders = files.iter().map(|file| file.parent().unwrap().to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(folders, ["fy=FY24%2F25", "fy=__HIVE_DEFAULT_PARTITION__", "fy=a b=c%25"]);
    let values = [Some("FY24/25"), None, Some("a b=c%")];
    let mut staged = Vec::new();
    for (file, value) in files.iter().zip(values) {
        let batch = read(&path.join(file));
        assert_eq!((batch.num_rows(), batch.num_columns()), (10_000, 1));
        staged.push(DataFile {
            location: Url::from_file_path(path.join(file)).unwrap(),
            partition_values: [("fy".to_owned(), value.map(str::to_owned))].into(),
            rows: 10_000,
            bytes: path.join(file).metadata().unwrap().len(),
        });
    }
    session.register(&TableFiles { schema: table, files: staged }).await.unwrap();
    let sql = "SELECT fy, count(*) AS n, min(n) AS first FROM gold.fact GROUP BY fy ORDER BY first";
    assert_eq!(csv(&session, sql).await, "fy,n,first\na b=c%,10000,1\n,10000,2\nFY24/25,10000,3\n");
}

#[tokio::test]
async fn small_results_are_one_file_and_no_rows_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let (path, url) = area(folder.path());
    let table = schema("gold.t", &[("n", ColumnType::Long)], &[]);
    let session = session();
    assert_eq!(session.stage("SELECT 1 AS n WHERE false", &table, &url).await.unwrap(), 0);
    assert!(files_below(&path).is_empty());
    let sql = "SELECT value AS n FROM generate_series(1, 100000) AS t(value)";
    assert_eq!(session.stage(sql, &table, &url).await.unwrap(), 100_000);
    assert_eq!(files_below(&path).len(), 1);
}

#[tokio::test]
async fn a_place_that_cannot_be_written_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "").unwrap();
    let url = Url::from_directory_path(folder.path().join("file")).unwrap();
    let table = schema("gold.t", &[("n", ColumnType::Long)], &[]);
    let error = session().stage("SELECT 1 AS n", &table, &url).await.unwrap_err();
    assert!(matches!(&error, SqlError::Write { location, .. } if *location == url.to_string()), "{error:?}");
}

#[test]
fn errors_are_small_enough_to_return() {
    assert!(size_of::<SqlError>() < 128, "{}", size_of::<SqlError>());
}
