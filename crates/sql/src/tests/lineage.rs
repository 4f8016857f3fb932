use super::*;
use crate::SourceColumn;

/// `column: layer.table.column layer.table.column`, a line each.
async fn lineage(sql: &str) -> Option<Vec<String>> {
    let session = session();
    for (table, columns) in [("silver.users", ["user_id", "name"]), ("silver.visits", ["user_id", "place"])] {
        let columns = [(columns[0], ColumnType::Long), (columns[1], ColumnType::Text)];
        let files = TableFiles { schema: schema(table, &columns, &[]), files: Vec::new() };
        session.register(&files).await.unwrap();
    }
    let lineage = session.lineage(sql).await.unwrap()?;
    let source = |source: &SourceColumn| format!("{}.{}", source.table, source.column);
    let line = |(column, sources): (&String, &std::collections::BTreeSet<SourceColumn>)| {
        format!("{column}: {}", sources.iter().map(source).collect::<Vec<_>>().join(" "))
    };
    Some(lineage.iter().map(line).collect())
}

#[tokio::test]
async fn columns_are_followed_to_the_tables() {
    for (sql, expected) in [
        (
            "SELECT user_id AS id, upper(name) AS name FROM silver.users",
            &["id: silver.users.user_id", "name: silver.users.name"][..],
        ),
        (
            "SELECT 1 AS one, 'x' || name AS named FROM silver.users WHERE user_id > 3",
            &["named: silver.users.name", "one: "],
        ),
        (
            "WITH seen AS (SELECT user_id, max(place) AS place FROM silver.visits GROUP BY user_id) \
             SELECT u.name, s.place FROM silver.users u LEFT JOIN seen s USING (user_id)",
            &["name: silver.users.name", "place: silver.visits.place"],
        ),
        (
            "SELECT name AS a FROM silver.users UNION ALL SELECT place FROM silver.visits",
            &["a: silver.users.name silver.visits.place"],
        ),
        (
            "SELECT CASE WHEN u.user_id = 1 THEN v.place ELSE u.name END AS mixed \
             FROM silver.users u JOIN silver.visits v ON u.user_id = v.user_id",
            &["mixed: silver.users.name silver.users.user_id silver.visits.place"],
        ),
        (
            "SELECT DISTINCT row_number() OVER (PARTITION BY name ORDER BY user_id) AS place FROM silver.users",
            &["place: silver.users.name silver.users.user_id"],
        ),
        (
            "SELECT name, unnest(range(user_id, user_id + 2)) AS year FROM silver.users",
            &["name: silver.users.name", "year: silver.users.user_id"],
        ),
        ("SELECT (SELECT max(place) FROM silver.visits) AS last", &["last: silver.visits.place"]),
        ("SELECT count(*) AS rows FROM silver.users", &["rows: "]),
        (
            "SELECT name FROM silver.users WHERE user_id IN (SELECT user_id FROM silver.visits)",
            &["name: silver.users.name"],
        ),
    ] {
        assert_eq!(
            lineage(sql).await.as_deref(),
            Some(expected.iter().map(|&line| line.to_owned()).collect::<Vec<_>>().as_slice()),
            "{sql}"
        );
    }
}

#[tokio::test]
async fn what_cannot_be_followed_has_no_lineage() {
    let sql = "SELECT (SELECT max(v.place || u.name) FROM silver.visits v WHERE v.user_id = u.user_id) AS place FROM silver.users u";
    assert_eq!(lineage(sql).await, None);
    let sql = "SELECT user_id IN (SELECT user_id FROM silver.visits) AS seen FROM silver.users";
    assert_eq!(lineage(sql).await, None);
}
