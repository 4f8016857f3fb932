use super::*;

const ROWS: &str = "SELECT * FROM (VALUES (1, 'Ann', 1.5, TIMESTAMP '2025-06-30 07:08:09'), (20, NULL, NULL, NULL)) \
                    AS t(id, name, score, seen) ORDER BY id";

#[tokio::test]
async fn tables_are_aligned() {
    let expected = "\
┌────┬──────┬───────┬─────────────────────┐
│ id ┆ name ┆ score ┆ seen                │
╞════╪══════╪═══════╪═════════════════════╡
│  1 ┆ Ann  ┆   1.5 ┆ 2025-06-30 07:08:09 │
│ 20 ┆ NULL ┆  NULL ┆ NULL                │
└────┴──────┴───────┴─────────────────────┘
(2 rows)
";
    assert_eq!(rendered(&session(), ROWS, OutputFormat::Table).await, expected);
}

#[tokio::test]
async fn tables_do_not_drive_the_terminal() {
    let sql = "SELECT chr(27) || '[2J' || chr(10) || chr(8238) || 'x' AS \"a\tb\"";
    let text = rendered(&session(), sql, OutputFormat::Table).await;
    assert!(text.contains("\\u{1b}[2J\\n\\u{202e}x"), "{text}");
    assert!(text.contains("a\\tb"), "{text}");
    assert!(!text.contains(['\u{1b}', '\t', '\u{202e}']), "{text}");
}

#[tokio::test]
async fn explanations_keep_their_lines() {
    let text = rendered(&session(), "EXPLAIN SELECT count(*) FROM generate_series(1, 9)", OutputFormat::Table).await;
    assert!(text.contains("logical_plan") && text.lines().count() > 6, "{text}");
    assert!(!text.contains("\\n"), "{text}");
}

#[tokio::test]
async fn long_tables_have_a_header_for_each_block() {
    let sql = "SELECT value FROM generate_series(1, 2001) AS t(value)";
    let text = rendered(&session(), sql, OutputFormat::Table).await;
    assert_eq!(text.matches("value").count(), 3);
    assert!(text.ends_with("(2001 rows)\n"), "{text}");
}

#[tokio::test]
async fn csv_quotes_and_keeps_values() {
    assert_eq!(
        rendered(&session(), ROWS, OutputFormat::Csv).await,
        "id,name,score,seen\n1,Ann,1.5,2025-06-30 07:08:09\n20,,,\n"
    );
    let sql = "SELECT '=1+1' AS \"a,b\", 'say \"hi\"' AS q, 'two' || chr(10) || 'lines' AS l, [1, 2] AS list";
    assert_eq!(
        rendered(&session(), sql, OutputFormat::Csv).await,
        "\"a,b\",q,l,list\n=1+1,\"say \"\"hi\"\"\",\"two\nlines\",\"[1, 2]\"\n"
    );
}

#[tokio::test]
async fn json_is_one_array() {
    let text = rendered(&session(), ROWS, OutputFormat::Json).await;
    let value = serde_json::from_str::<serde_json::Value>(&text).unwrap();
    let expected = serde_json::json!([
        {"id": 1, "name": "Ann", "score": 1.5, "seen": "2025-06-30 07:08:09"},
        {"id": 20, "name": null, "score": null, "seen": null},
    ]);
    assert_eq!(value, expected);
    let many =
        rendered(&session(), "SELECT value FROM generate_series(1, 20000) AS t(value)", OutputFormat::Json).await;
    assert_eq!(serde_json::from_str::<Vec<serde_json::Value>>(&many).unwrap().len(), 20_000);
    assert_eq!(rendered(&session(), "SELECT 1 AS a WHERE false", OutputFormat::Json).await, "[]\n");
}

#[tokio::test]
async fn output_that_ends_is_an_io_error() {
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let result = session().query("SELECT 1 AS a").await.unwrap();
    let error = write_result(result, OutputFormat::Json, &mut Closed).await.unwrap_err();
    assert!(matches!(&error, crate::OutputError::Write(e) if e.kind() == std::io::ErrorKind::BrokenPipe), "{error:?}");
}
