//! Rows of tables as text: expected ones from CSV, published ones from the lake, and how they differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use arrow::array::Array;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use futures::TryStreamExt;
use medallion_lake::Lake;
use medallion_pipeline::TableSchema;
use medallion_runner::{PublishedTables, published_tables};
use medallion_sql::{SqlError, SqlOptions, SqlSession};
use tokio::runtime::Runtime;

/// As many rows a difference shows of each kind.
const SHOWN: usize = 12;

/// A row; `None` is NULL.
pub(crate) type Row = Vec<Option<String>>;

/// Some columns of all rows of a table.
#[derive(Debug, PartialEq)]
pub(crate) struct Rows {
    /// The columns' names.
    pub(crate) columns: Vec<String>,
    /// The rows, in no particular order.
    pub(crate) rows: Vec<Row>,
}

impl Rows {
    /// Reads a CSV file with a header; an empty field is NULL.
    pub(crate) fn read_csv(path: &Path) -> Self {
        let mut reader = csv::Reader::from_path(path).unwrap();
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let row = |record: csv::Result<csv::StringRecord>| match record {
            Ok(record) => record.iter().map(cell).collect(),
            Err(error) => panic!("{}: {error}", path.display()),
        };
        Self { columns, rows: reader.records().map(row).collect() }
    }

    /// Reads CSV text, as `query --format csv` writes it.
    pub(crate) fn parse_csv(text: &str) -> Self {
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let columns = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let cell = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self { columns, rows: reader.records().map(|record| record.unwrap().iter().map(cell).collect()).collect() }
    }

    /// The rows expected here and missing there, and those found there and not expected; `None` if there are none.
    pub(crate) fn difference(&self, found: &Self) -> Option<String> {
        let mut surplus: BTreeMap<&Row, i64> = BTreeMap::new();
        found.rows.iter().for_each(|row| *surplus.entry(row).or_default() += 1);
        self.rows.iter().for_each(|row| *surplus.entry(row).or_default() -= 1);
        surplus.retain(|_, count| *count != 0);
        if surplus.is_empty() {
            return None;
        }
        let mut text = format!("      {}\n", self.columns.join(" | "));
        for (sign, what) in [(-1, "missing"), (1, "surplus")] {
            let rows = surplus.iter().filter(|(_, count)| count.signum() == sign);
            let rows: Vec<_> =
                rows.flat_map(|(row, count)| std::iter::repeat_n(*row, count.unsigned_abs() as usize)).collect();
            for row in rows.iter().take(SHOWN) {
                let _ = writeln!(text, "    {} {}", if sign < 0 { '-' } else { '+' }, shown(row));
            }
            if rows.len() > SHOWN {
                let _ = writeln!(text, "      ... {} rows {what} in all", rows.len());
            }
        }
        Some(text)
    }
}

fn shown(row: &Row) -> String {
    let cells = row.iter().map(|cell| cell.as_ref().map_or("NULL".to_owned(), |text| text.escape_debug().to_string()));
    cells.collect::<Vec<_>>().join(" | ")
}

/// A customer's tables as readers see them: silver and gold at the versions the last release names.
pub(crate) struct Published {
    runtime: Runtime,
    session: SqlSession,
    tables: PublishedTables,
}

impl Published {
    /// Reads the Delta logs of a customer's tables.
    pub(crate) fn open(lake: &Path, customer: &str) -> Self {
        let runtime = Runtime::new().unwrap();
        let session = SqlSession::new(&SqlOptions::default()).unwrap();
        let lake = Lake::open_existing(lake.to_str().unwrap(), customer).unwrap();
        let tables = runtime.block_on(async {
            let tables = published_tables(&lake, None).await.unwrap();
            for table in &tables.tables {
                session.register(&table.files).await.unwrap();
            }
            tables
        });
        Self { runtime, session, tables }
    }

    /// The version of a table's Delta log, and its rows; of bronze those of the current batch.
    pub(crate) fn version_and_rows(&self, table: &str) -> (u64, u64) {
        let found = self.tables.tables.iter().find(|one| one.name.to_string() == table);
        let found = found.unwrap_or_else(|| panic!("{table} is not published"));
        (found.version, found.current_rows)
    }

    /// The names of the published tables.
    pub(crate) fn names(&self) -> Vec<String> {
        self.tables.tables.iter().map(|table| table.name.to_string()).collect()
    }

    /// What a table looks like.
    pub(crate) fn schema(&self, table: &str) -> &TableSchema {
        let found = self.tables.tables.iter().find(|one| one.name.to_string() == table);
        &found.unwrap_or_else(|| panic!("{table} is not published")).files.schema
    }

    /// The single number a query returns.
    pub(crate) fn number(&self, sql: &str) -> i64 {
        let rows = self.query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
        let [row] = rows.as_slice() else { panic!("{sql}: {} rows", rows.len()) };
        row[0].as_deref().unwrap().parse().unwrap()
    }

    /// All tables of silver and gold with their rows, without the columns that begin with `_`.
    pub(crate) fn contents(&self) -> BTreeMap<String, Rows> {
        let tables = self.names().into_iter().filter(|table| !table.starts_with("bronze."));
        let contents = tables.map(|table| {
            let columns = self.schema(&table).columns.iter().map(|column| column.name.clone());
            let columns: Vec<String> = columns.filter(|column| !column.starts_with('_')).collect();
            let rows = self.rows(&table, &columns).unwrap_or_else(|error| panic!("{table}: {error}"));
            (table, rows)
        });
        contents.collect()
    }

    /// All rows of a table, or why they cannot be read.
    pub(crate) fn rows(&self, table: &str, columns: &[String]) -> Result<Rows, String> {
        let list: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let rows = self.query(&format!("SELECT {} FROM {table}", list.join(", ")))?;
        Ok(Rows { columns: columns.to_vec(), rows })
    }

    fn query(&self, sql: &str) -> Result<Vec<Row>, String> {
        let batches = self.runtime.block_on(async { self.session.query(sql).await?.batches.try_collect().await });
        let batches: Vec<RecordBatch> = batches.map_err(|error: SqlError| error.to_string())?;
        Ok(batches.iter().flat_map(rows_of).collect())
    }
}

fn rows_of(batch: &RecordBatch) -> Vec<Row> {
    let options = FormatOptions::default().with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S"));
    let columns = batch.columns().iter();
    let columns: Vec<_> = columns.map(|column| (column, ArrayFormatter::try_new(column, &options).unwrap())).collect();
    let cell = |row: usize| {
        move |(column, text): &(&std::sync::Arc<dyn Array>, ArrayFormatter<'_>)| {
            column.is_valid(row).then(|| text.value(row).to_string())
        }
    };
    (0..batch.num_rows()).map(|row| columns.iter().map(cell(row)).collect()).collect()
}

#[test]
fn a_difference_names_missing_and_surplus_rows_and_counts_repeated_ones() {
    let rows = |texts: &[&str]| Rows {
        columns: vec!["name".to_owned()],
        rows: texts.iter().map(|text| vec![(!text.is_empty()).then(|| (*text).to_owned())]).collect(),
    };
    assert_eq!(rows(&["a", "b", "b"]).difference(&rows(&["b", "a", "b"])), None);
    let difference = rows(&["a", "b", "b", ""]).difference(&rows(&["b", "c"])).unwrap();
    assert_eq!(difference, "      name\n    - NULL\n    - a\n    - b\n    + c\n");
}
