use super::*;
use std::time::Instant;
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn speed() {
    let folder = tempfile::tempdir().unwrap();
    let session = session();
    for t in 0..10 {
        let users = (0..3000).map(|i| (i as i64, Some("some name"))).collect::<Vec<_>>();
        let file = write_users(&folder.path().join(format!("{t}.parquet")), &users);
        session
            .register(&TableFiles {
                schema: TableSchema { name: format!("silver.u{t}").parse().unwrap(), ..users_schema() },
                files: vec![file],
            })
            .await
            .unwrap();
    }
    let start = Instant::now();
    for n in 0..50 {
        let area = folder.path().join(format!("out{n}"));
        std::fs::create_dir(&area).unwrap();
        let (a, b, c) = (n % 10, (n + 1) % 10, (n + 3) % 10);
        let sql = format!(
            "WITH x AS (SELECT a.user_id, max(b.name) AS name, count(*) AS n FROM silver.u{a} a LEFT JOIN silver.u{b} b ON a.user_id = b.user_id GROUP BY a.user_id) SELECT x.user_id, CASE WHEN x.n > 3 THEN x.name ELSE coalesce(c.name, 'none') END AS name FROM x LEFT JOIN silver.u{c} c ON x.user_id = c.user_id WHERE c.name IS NOT NULL"
        );
        let s = Instant::now();
        let rows = session.stage(&sql, &users_schema(), &Url::from_directory_path(&area).unwrap()).await.unwrap();
        assert_eq!(rows, 3000);
        if n % 10 == 0 {
            println!("one {:?}", s.elapsed());
        }
    }
    println!("50 staged {:?}", start.elapsed());
    let start = Instant::now();
    for n in 0..50 {
        let a = n % 10;
        let _ = csv(
            &session,
            &format!(
                "SELECT count(*) AS n FROM (SELECT user_id FROM silver.u{a} GROUP BY user_id HAVING count(*) > 1)"
            ),
        )
        .await;
    }
    println!("50 tests {:?}", start.elapsed());
    let start = Instant::now();
    let area = folder.path().join("big");
    std::fs::create_dir(&area).unwrap();
    let table = schema(
        "gold.fact",
        &[("n", ColumnType::Long), ("fy", ColumnType::Text), ("a", ColumnType::Text), ("d", ColumnType::Date)],
        &["fy"],
    );
    let sql = "SELECT value AS n, 'FY' || (value % 10)::text AS fy, 'text ' || (value % 1000)::text AS a, DATE '2020-01-01' + (value % 1000)::int AS d FROM generate_series(1, 5000000) AS t(value)";
    session.stage(sql, &table, &Url::from_directory_path(&area).unwrap()).await.unwrap();
    println!("5m partitioned {:?} {}", start.elapsed(), files_below(&area).len());
    let start = Instant::now();
    let area = folder.path().join("big2");
    std::fs::create_dir(&area).unwrap();
    let table = schema(
        "gold.fact",
        &[("n", ColumnType::Long), ("fy", ColumnType::Text), ("a", ColumnType::Text), ("d", ColumnType::Date)],
        &[],
    );
    session.stage(sql, &table, &Url::from_directory_path(&area).unwrap()).await.unwrap();
    println!("5m unpartitioned {:?} {}", start.elapsed(), files_below(&area).len());
    let start = Instant::now();
    let n = csv(
        &session,
        &sql.replace("SELECT value AS n", "SELECT count(*), max(fy), max(a), max(d) FROM (SELECT value AS n")
            .replace("t(value)", "t(value))"),
    )
    .await;
    println!("5m query alone {:?} {n}", start.elapsed());
}
