use super::*;

fn facts_schema(partition_type: ColumnType) -> TableSchema {
    // The partition column stands between others, although a scan has it last.
    schema("gold.fact", &[("user_id", ColumnType::Long), ("fy", partition_type), ("name", ColumnType::Text)], &["fy"])
}

fn partition(mut file: DataFile, value: Option<&str>) -> DataFile {
    file.partition_values = [("fy".to_owned(), value.map(str::to_owned))].into();
    file
}

async fn facts(folder: &Path) -> SqlSession {
    let session = session();
    let files = vec![
        partition(write_users(&folder.join("a.parquet"), &[(1, Some("Ann"))]), Some("FY24/25")),
        partition(write_users(&folder.join("b.parquet"), &[(2, Some("Bob")), (3, None)]), Some("FY25/26")),
        partition(write_users(&folder.join("c.parquet"), &[(4, Some("Dan"))]), None),
    ];
    session.register(&TableFiles { schema: facts_schema(ColumnType::Text), files }).await.unwrap();
    session
}

#[tokio::test]
async fn reads_exactly_the_listed_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    write_users(&folder.path().join("orphan.parquet"), &[(99, Some("Mallory"))]);
    std::fs::write(folder.path().join("broken.parquet"), "not parquet").unwrap();
    let text = csv(&session, "SELECT * FROM silver.users ORDER BY user_id").await;
    assert_eq!(text, "user_id,name\n1,Ann\n2,Bob\n3,\n");
    assert_eq!(csv(&session, "SELECT COUNT(*) AS n FROM silver.users").await, "n\n3\n");
}

#[tokio::test]
async fn registers_without_reading_and_says_which_file_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gone.parquet");
    let file = write_users(&path, &[(1, None)]);
    std::fs::remove_file(&path).unwrap();
    let session = session();
    session.register(&TableFiles { schema: users_schema(), files: vec![file] }).await.unwrap();
    let error = error_of(&session, "SELECT * FROM silver.users").await;
    assert!(matches!(error, SqlError::Read { .. }), "{error:?}");
    assert!(error.to_string().contains("gone.parquet"), "{error}");
}

#[tokio::test]
async fn an_empty_table_has_its_columns() {
    let session = session();
    session.register(&TableFiles { schema: facts_schema(ColumnType::Text), files: vec![] }).await.unwrap();
    assert_eq!(csv(&session, "SELECT * FROM gold.fact WHERE fy = 'FY24/25'").await, "user_id,fy,name\n");
    assert_eq!(csv(&session, "SELECT count(*) AS n, max(user_id) AS m FROM gold.fact").await, "n,m\n0,\n");
}

#[tokio::test]
async fn registering_again_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_users(folder.path()).await;
    let file = write_users(&folder.path().join("second.parquet"), &[(7, Some("Eve"))]);
    session.register(&TableFiles { schema: users_schema(), files: vec![file] }).await.unwrap();
    assert_eq!(csv(&session, "SELECT * FROM silver.users").await, "user_id,name\n7,Eve\n");
    assert_eq!(session.table_names(), ["silver.users"]);
}

#[tokio::test]
async fn partition_values_are_columns_in_declared_order() {
    let folder = tempfile::tempdir().unwrap();
    let session = facts(folder.path()).await;
    let text = csv(&session, "SELECT * FROM gold.fact ORDER BY user_id").await;
    assert_eq!(text, "user_id,fy,name\n1,FY24/25,Ann\n2,FY25/26,Bob\n3,FY25/26,\n4,,Dan\n");
    let text = csv(&session, "SELECT fy, count(*) AS n FROM gold.fact GROUP BY fy ORDER BY fy").await;
    assert_eq!(text, "fy,n\nFY24/25,1\nFY25/26,2\n,1\n");
}

#[tokio::test]
async fn filters_on_partitions_leave_other_files_unopened() {
    let folder = tempfile::tempdir().unwrap();
    let session = facts(folder.path()).await;
    std::fs::remove_file(folder.path().join("b.parquet")).unwrap();
    let text = csv(&session, "SELECT user_id FROM gold.fact WHERE fy = 'FY24/25' AND user_id < 9").await;
    assert_eq!(text, "user_id\n1\n");
    assert_eq!(csv(&session, "SELECT user_id FROM gold.fact WHERE fy IS NULL").await, "user_id\n4\n");
    // NULL is neither equal nor unequal.
    assert_eq!(csv(&session, "SELECT user_id FROM gold.fact WHERE NOT (fy = 'FY25/26')").await, "user_id\n1\n");
    assert_eq!(csv(&session, "SELECT user_id FROM gold.fact WHERE fy = 'FY30/31'").await, "user_id\n");
    let error = error_of(&session, "SELECT user_id FROM gold.fact").await;
    assert!(matches!(error, SqlError::Read { .. }), "{error:?}");
}

#[tokio::test]
async fn partition_values_have_the_declared_type() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    let file = write_users(&folder.path().join("a.parquet"), &[(1, None)]);
    let table = |value| TableFiles {
        schema: facts_schema(ColumnType::Long),
        files: vec![partition(file.clone(), Some(value))],
    };
    session.register(&table("2024")).await.unwrap();
    assert_eq!(csv(&session, "SELECT fy + 1 AS next FROM gold.fact").await, "next\n2025\n");
    let error = session.register(&table("next year")).await.unwrap_err();
    assert!(matches!(&error, SqlError::PartitionValue { column, .. } if column == "fy"), "{error:?}");
}

#[tokio::test]
async fn a_file_without_a_younger_column_gives_null() {
    let folder = tempfile::tempdir().unwrap();
    let file = write_users(&folder.path().join("a.parquet"), &[(1, Some("Ann"))]);
    let columns = [("name", ColumnType::Text), ("born", ColumnType::Date), ("user_id", ColumnType::Double)];
    let session = session();
    session.register(&TableFiles { schema: schema("silver.users", &columns, &[]), files: vec![file] }).await.unwrap();
    assert_eq!(csv(&session, "SELECT * FROM silver.users").await, "name,born,user_id\nAnn,,1.0\n");
}
