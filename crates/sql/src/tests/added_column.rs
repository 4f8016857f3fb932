//! Columns that came after a file was written.

use super::*;

fn wide_schema() -> TableSchema {
    let columns = [
        ("email", ColumnType::Text),
        ("user_id", ColumnType::Long),
        ("points", ColumnType::Long),
        ("name", ColumnType::Text),
    ];
    schema("bronze.users", &columns, &[])
}

/// Users 1 and 2 from before there were emails and points, written in the first order of columns.
fn old_file(folder: &Path) -> DataFile {
    write_users(&folder.join("old.parquet"), &[(1, Some("Ann")), (2, None)])
}

/// Users 3 to 5 with emails, one of them empty, and points.
fn new_file(folder: &Path) -> DataFile {
    let columns: [(&str, ArrayRef); 4] = [
        ("user_id", Arc::new(Int64Array::from(vec![3, 4, 5]))),
        ("name", Arc::new(StringArray::from(vec![Some("Cid"), Some("Dot"), None]))),
        ("email", Arc::new(StringArray::from(vec![Some("c@example.org"), None, Some("e@example.org")]))),
        ("points", Arc::new(Int64Array::from(vec![Some(7), Some(0), None]))),
    ];
    write_parquet(&folder.join("new.parquet"), &RecordBatch::try_from_iter(columns).unwrap())
}

async fn with_files(files: Vec<DataFile>) -> SqlSession {
    let session = session();
    session.register(&TableFiles { schema: wide_schema(), files }).await.unwrap();
    session
}

/// The ids of the users for whom the condition is true, in order.
async fn ids(session: &SqlSession, condition: &str) -> String {
    let sql = format!("SELECT user_id FROM bronze.users WHERE {condition} ORDER BY user_id");
    csv(session, &sql).await.lines().skip(1).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn it_is_null_in_older_files() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_files(vec![old_file(folder.path()), new_file(folder.path())]).await;
    let sql = "SELECT * FROM bronze.users ORDER BY user_id";
    let expected = "email,user_id,points,name\n,1,,Ann\n,2,,\nc@example.org,3,7,Cid\n,4,0,Dot\ne@example.org,5,,\n";
    assert_eq!(csv(&session, sql).await, expected);
    let sql =
        "SELECT count(*) AS n, count(email) AS emails, sum(points) AS points, max(email) AS last FROM bronze.users";
    assert_eq!(csv(&session, sql).await, "n,emails,points,last\n5,2,7,e@example.org\n");
    let sql = "SELECT email, count(*) AS n FROM bronze.users GROUP BY email ORDER BY email NULLS LAST";
    assert_eq!(csv(&session, sql).await, "email,n\nc@example.org,1\ne@example.org,1\n,3\n");
}

#[tokio::test]
async fn filters_on_it_see_the_null() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_files(vec![old_file(folder.path()), new_file(folder.path())]).await;
    for (condition, expected) in [
        ("email IS NULL", "1 2 4"),
        ("email IS NOT NULL", "3 5"),
        ("email = 'c@example.org'", "3"),
        ("email <> 'c@example.org'", "5"),
        ("email = 'x'", ""),
        ("points = 0", "4"),
        ("points >= 0", "3 4"),
        ("points IS NULL", "1 2 5"),
        ("points IS NULL AND name IS NOT NULL", "1"),
        ("points IS NULL OR email IS NULL", "1 2 4 5"),
        ("COALESCE(points, 0) = 0", "1 2 4 5"),
        ("points IS DISTINCT FROM 7", "1 2 4 5"),
        ("NOT (points > 5)", "4"),
        ("user_id < 4 AND email IS NULL", "1 2"),
        ("user_id IN (2, 3) AND points IS NULL", "2"),
    ] {
        assert_eq!(ids(&session, condition).await, expected, "{condition}");
        let expected = format!("n\n{}\n", expected.split_whitespace().count());
        let sql = format!("SELECT count(*) AS n FROM bronze.users WHERE {condition}");
        assert_eq!(csv(&session, &sql).await, expected, "{condition}");
    }
}

#[tokio::test]
async fn no_file_needs_to_have_it() {
    let folder = tempfile::tempdir().unwrap();
    let session = with_files(vec![old_file(folder.path())]).await;
    for (condition, expected) in [("email IS NULL", "1 2"), ("email = 'x'", ""), ("points IS NOT NULL", "")] {
        assert_eq!(ids(&session, condition).await, expected, "{condition}");
    }
    assert_eq!(csv(&session, "SELECT count(*) AS n FROM bronze.users").await, "n\n2\n");
    let sql = "SELECT email, points FROM bronze.users";
    assert_eq!(csv(&session, sql).await, "email,points\n,\n,\n");
    let sql = "SELECT count(*) AS n FROM bronze.users a JOIN bronze.users b ON a.email = b.email";
    assert_eq!(csv(&session, sql).await, "n\n0\n");
}

#[tokio::test]
async fn partition_columns_do_not_change_that() {
    let folder = tempfile::tempdir().unwrap();
    let columns = [
        ("email", ColumnType::Text),
        ("site", ColumnType::Text),
        ("user_id", ColumnType::Long),
        ("points", ColumnType::Long),
        ("name", ColumnType::Text),
    ];
    let on_site = |file: DataFile, site: &str| DataFile {
        partition_values: [("site".to_owned(), Some(site.to_owned()))].into(),
        ..file
    };
    let files = vec![on_site(old_file(folder.path()), "north"), on_site(new_file(folder.path()), "south")];
    let session = session();
    session.register(&TableFiles { schema: schema("bronze.users", &columns, &["site"]), files }).await.unwrap();
    assert_eq!(ids(&session, "site = 'north' AND email IS NULL").await, "1 2");
    assert_eq!(ids(&session, "email IS NULL").await, "1 2 4");
    let sql = "SELECT site, count(*) AS n, count(email) AS emails FROM bronze.users GROUP BY site ORDER BY site";
    assert_eq!(csv(&session, sql).await, "site,n,emails\nnorth,2,0\nsouth,3,2\n");
}
