use std::sync::Arc;

use super::*;
use crate::{OutputColumn, Position};

#[tokio::test]
async fn only_one_query_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let target = folder.path().join("out.parquet");
    let refused = [
        format!("COPY silver.users TO '{}'", target.display()),
        format!("COPY (SELECT 1) TO '{}' STORED AS PARQUET", target.display()),
        format!("EXPLAIN ANALYZE COPY silver.users TO '{}' STORED AS PARQUET", target.display()),
        format!("CREATE EXTERNAL TABLE x STORED AS PARQUET LOCATION '{}'", folder.path().display()),
        "CREATE TABLE x AS SELECT 1".to_owned(),
        "CREATE VIEW x AS SELECT 1".to_owned(),
        "DROP TABLE silver.users".to_owned(),
        "INSERT INTO silver.users VALUES (9, 'x')".to_owned(),
        "DELETE FROM silver.users".to_owned(),
        "UPDATE silver.users SET name = 'x'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SHOW TABLES".to_owned(),
        "EXPLAIN DROP TABLE silver.users".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
    ];
    for sql in refused {
        let error = error_of(&session, &sql).await;
        assert!(matches!(error, SqlError::NotAQuery { .. }), "{sql}: {error:?}");
    }
    for sql in ["SELECT 1 AS a INTO gold.x", "WITH x AS (SELECT 1) INSERT INTO silver.users SELECT 1, 'a'"] {
        error_of(&session, sql).await;
    }
    assert!(!target.exists());
    assert_eq!(session.table_names(), ["silver.users"]);
    let several = error_of(&session, "SELECT 1; DROP TABLE silver.users").await;
    assert!(matches!(several, SqlError::StatementCount { count: 2, .. }), "{several:?}");
    let none = error_of(&session, "-- nothing").await;
    assert!(matches!(none, SqlError::StatementCount { count: 0, .. }), "{none:?}");
}

#[tokio::test]
async fn files_are_not_tables() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let path = folder.path().join("users.parquet");
    for sql in [format!("SELECT * FROM '{}'", path.display()), format!("SELECT * FROM \"file://{}\"", path.display())] {
        let error = error_of(&session, &sql).await;
        assert!(matches!(error, SqlError::UnknownTable { .. }), "{error:?}");
    }
    let error = error_of(&session, "SELECT * FROM information_schema.tables").await;
    assert!(matches!(error, SqlError::UnknownTable { .. }), "{error:?}");
}

#[tokio::test]
async fn queries_and_their_explanations_run() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let sql = "WITH named AS (SELECT * FROM silver.users WHERE name IS NOT NULL) SELECT COUNT(*) AS n FROM named;";
    assert_eq!(csv(&session, sql).await, "n\n2\n");
    assert!(csv(&session, "EXPLAIN SELECT name FROM silver.users").await.contains("DataSourceExec"));
    let sql = "SELECT value FROM generate_series(1, 3) AS t(value) ORDER BY value";
    assert_eq!(csv(&session, sql).await, "value\n1\n2\n3\n");
}

#[tokio::test]
async fn a_mistyped_table_is_named_with_its_place_and_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let error = error_of(&session, "SELECT 1\nFROM silver.user").await;
    assert_eq!(error.to_string(), "query (line 2, column 6): there is no table 'silver.user'");
    assert_eq!(error.hint().unwrap(), "did you mean 'silver.users'? There are: silver.users");
    let error = error_of(&session, "SELECT 1 FROM users").await;
    assert_eq!(error.to_string(), "query (line 1, column 15): there is no table 'users'");
    assert_eq!(error.hint().unwrap(), "did you mean 'silver.users'? There are: silver.users");
}

#[tokio::test]
async fn a_mistyped_column_is_named_with_its_place_and_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let error = error_of(&session, "SELECT user_id,\n  u.nam\nFROM silver.users AS u").await;
    assert_eq!(error.to_string(), "query (line 2, column 3): there is no column 'u.nam'");
    assert_eq!(error.hint().unwrap(), "did you mean 'name'? There are: u.user_id, u.name");
    let error = error_of(&session, "SELECT Name FROM silver.users").await;
    assert!(matches!(&error, SqlError::UnknownColumn { nearest: Some(name), .. } if name == "name"), "{error:?}");
}

#[tokio::test]
async fn other_faults_are_placed_too() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let error = error_of(&session, "SELECT user_id\nFRM silver.users WHERE").await;
    let SqlError::Parse { position: Some(Position { line: 2, .. }), .. } = error else { panic!("{error:?}") };
    let error = error_of(&session, "SELECT user_id FROM silver.users a JOIN silver.users b ON a.name = b.name").await;
    assert!(matches!(&error, SqlError::AmbiguousColumn { name, .. } if name == "user_id"), "{error:?}");
    let error = error_of(&session, "SELECT uper(name) FROM silver.users").await;
    assert!(matches!(&error, SqlError::Plan { message, .. } if message.contains("uper")), "{error:?}");
    let error = error_of(&session, "SELECT 1 / (user_id - 1) FROM silver.users").await;
    assert_eq!(error.to_string(), "query: the query failed while running: Arrow error: Divide by zero error");
}

#[tokio::test]
async fn check_gives_the_columns_and_runs_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    std::fs::remove_file(folder.path().join("users.parquet")).unwrap();
    let sql = "SELECT user_id, name, user_id > 1 AS late, DATE '2025-06-30' AS as_of, 1.5 AS half, \
               CAST(1 AS DECIMAL(9, 2)) AS amount, arrow_cast(0, 'Timestamp(Microsecond, None)') AS at \
               FROM silver.users";
    let expected = [
        ("user_id", "long"),
        ("name", "text"),
        ("late", "bool"),
        ("as_of", "date"),
        ("half", "double"),
        ("amount", "decimal(9,2)"),
        ("at", "timestamp"),
    ];
    let expected = expected.map(|(name, data_type)| OutputColumn { name: name.into(), data_type: data_type.into() });
    assert_eq!(session.check(sql).await.unwrap(), expected);
    session.check_table("SELECT name, user_id FROM silver.users", &users_schema()).await.unwrap();
    let error = session.check_table("SELECT user_id FROM silver.users", &users_schema()).await.unwrap_err();
    assert!(matches!(&error, SqlError::MissingColumn { column, .. } if column == "name"), "{error:?}");
}

/// `silver.events`: 600,000 rows, far more than 24 MiB in memory.
async fn limited(folder: &Path) -> SqlSession {
    let ids = Int64Array::from_iter_values((0..600_000).map(|n| n * 7919 % 600_000));
    let texts = StringArray::from_iter_values((0..600_000).map(|n| format!("event number {n} of a long night")));
    let columns: [(&str, ArrayRef); 2] = [("user_id", Arc::new(ids)), ("name", Arc::new(texts))];
    let file = write_parquet(&folder.join("events.parquet"), &RecordBatch::try_from_iter(columns).unwrap());
    let options = SqlOptions { memory_limit: Some(24 * 1024 * 1024), threads: 2 };
    let session = SqlSession::new(&options).unwrap();
    let columns = [("user_id", ColumnType::Long), ("name", ColumnType::Text)];
    let table = TableFiles { schema: schema("silver.events", &columns, &[]), files: vec![file] };
    session.register(&table).await.unwrap();
    session
}

#[tokio::test]
async fn sorts_and_joins_beyond_the_limit_spill() {
    let folder = tempfile::tempdir().unwrap();
    let session = limited(folder.path()).await;
    let result = session.query("SELECT user_id, name FROM silver.events ORDER BY user_id").await.unwrap();
    let batches = result.batches.try_collect::<Vec<_>>().await.unwrap();
    let ids = batches
        .iter()
        .flat_map(|batch| batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().values().to_vec());
    // 7919 is prime to 600,000, so that each id occurs once.
    assert!(ids.eq(0..600_000));
    let sql =
        "SELECT count(*) AS n FROM silver.events a JOIN silver.events b ON a.name = b.name AND a.user_id = b.user_id";
    assert!(csv(&session, &format!("EXPLAIN {sql}")).await.contains("SortMergeJoin"));
    assert_eq!(csv(&session, sql).await, "n\n600000\n");
    let area = folder.path().join("area");
    std::fs::create_dir(&area).unwrap();
    let columns = [("user_id", ColumnType::Long), ("name", ColumnType::Text)];
    let sql = "SELECT * FROM silver.events ORDER BY name";
    let url = Url::from_directory_path(&area).unwrap();
    assert_eq!(session.stage(sql, &schema("gold.events", &columns, &[]), &url).await.unwrap(), 600_000);
}

#[tokio::test]
async fn what_cannot_spill_is_stopped_by_the_limit() {
    let options = SqlOptions { memory_limit: Some(24 * 1024 * 1024), threads: 2 };
    let session = SqlSession::new(&options).unwrap();
    // Neither side is a table whose size is known beforehand, so that the join is one that cannot spill.
    let sql = "SELECT count(*) AS n FROM generate_series(1, 3000000) AS a(v) JOIN generate_series(1, 3000000) AS b(v) \
               ON a.v = b.v";
    let error = error_of(&session, sql).await;
    assert!(matches!(error, SqlError::Memory { limit: Some(25_165_824), .. }), "{error:?}");
    assert!(error.to_string().contains("within the limit of 24 MiB"), "{error}");
    assert!(error.hint().unwrap().contains("--memory-limit"));
}
