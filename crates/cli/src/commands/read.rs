//! Commands that read a customer's published tables: `ls`, `show`, `query`, `validate`.

use std::path::Path;

use medallion_lake::Lake;
use medallion_pipeline::{CustomerId, nearest};
use medallion_runner::{
    Cause, ExpectedCounts, PublishedTables, PublishedVersion, RunError, check_counts, published_tables, sql_session,
};
use medallion_sql::{OutputError, OutputFormat, SqlError, SqlOptions, SqlSession, write_result};
use serde_json::json;

use crate::arguments::{Format, GlobalArguments, ReadArguments, SelectionArguments};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::{ProjectSettings, customer_id};

/// How many rows `show` gives.
const FIRST_ROWS: usize = 10;

/// A customer whose tables are read.
pub(super) struct Reader {
    pub(super) customer: CustomerId,
    pub(super) published: PublishedTables,
}

impl Reader {
    pub(super) async fn open(global: &GlobalArguments, read: &ReadArguments) -> Result<Self, Failure> {
        let settings = ProjectSettings::read(global)?;
        let customer = customer_id(&read.customer)?;
        let failed = |cause: Cause| RunError { customer: customer.clone(), cause };
        let location = settings.lake_of(&read.place, customer.as_str())?;
        let lake = Lake::open_existing(&location, customer.as_str()).map_err(|error| failed(error.into()))?;
        let published = published_tables(&lake, read.release).await.map_err(failed)?;
        if published.release.is_none() {
            return Err(failed(Cause::NoRelease { lake: location.address }).into());
        }
        Ok(Self { customer, published })
    }

    pub(super) fn failed(&self, cause: Cause) -> Failure {
        RunError { customer: self.customer.clone(), cause }.into()
    }

    fn table(&self, name: &str) -> Result<&PublishedVersion, Failure> {
        let found = self.published.tables.iter().find(|table| table.name.to_string() == name);
        found.ok_or_else(|| {
            let names: Vec<String> = self.published.tables.iter().map(|table| table.name.to_string()).collect();
            let nearest = nearest(name, names.iter().map(String::as_str));
            Failure::configuration(format!("customer {}: there is no table {name}", self.customer))
                .customer(self.customer.as_str())
                .hint(nearest.map(|nearest| format!("did you mean '{nearest}'? 'medallion ls' lists all")))
        })
    }

    async fn session(&self, tables: &[&PublishedVersion]) -> Result<SqlSession, Failure> {
        let failed = |error: SqlError| self.failure(&error);
        let session = sql_session(&SqlOptions::default()).map_err(failed)?;
        for table in tables {
            session.register(&table.files).await.map_err(failed)?;
        }
        Ok(session)
    }

    fn failure(&self, error: &SqlError) -> Failure {
        self.failed(Cause::Sql(error.clone()))
    }

    async fn answer(&self, session: &SqlSession, sql: &str, format: Format) -> Result<(), Failure> {
        let result = session.query(sql).await.map_err(|error| self.failure(&error))?;
        let format = match format {
            Format::Table => OutputFormat::Table,
            Format::Csv => OutputFormat::Csv,
            Format::Json => OutputFormat::Json,
        };
        let mut standard_output = std::io::BufWriter::new(std::io::stdout());
        match write_result(result, format, &mut standard_output).await {
            Ok(_) => Ok(()),
            Err(OutputError::Query(error)) => Err(self.failure(&error)),
            Err(OutputError::Write(error)) => output::written(Err(error)),
            Err(error @ OutputError::Format(_)) => Err(Failure::new(Exit::Failed, error.to_string())),
        }
    }
}

/// `medallion ls`
pub(crate) async fn list(
    global: &GlobalArguments,
    read: &ReadArguments,
    selection: &SelectionArguments,
) -> Result<Exit, Failure> {
    let settings = ProjectSettings::read(global)?;
    let pipeline = if selection.is_given() { Some(settings.pipeline(&read.place)?) } else { None };
    let reader = Reader::open(global, read).await?;
    let release = reader.published.release.as_ref();
    let selected = pipeline.map(|pipeline| settings.selected(selection, &reader.customer, &pipeline, release));
    let selected = selected.transpose()?.flatten();
    let is_selected =
        |table: &&PublishedVersion| selected.as_ref().is_none_or(|selected| selected.contains(&table.name));
    let tables: Vec<&PublishedVersion> = reader.published.tables.iter().filter(is_selected).collect();
    if tables.is_empty() {
        let customer = &reader.customer;
        let message = format!("customer {customer}: none of the selected tables is published");
        return Err(Failure::new(Exit::Selection, message).customer(customer.as_str()));
    }
    let mut listing = Listing::new(&["table", "version", "rows", "description"]);
    for table in tables {
        listing.push(vec![
            json!(table.name),
            json!(table.version),
            json!(table.current_rows),
            json!(table.files.schema.description),
        ]);
    }
    listing.write(read.format)?;
    Ok(Exit::Done)
}

/// `medallion show`
pub(crate) async fn show(global: &GlobalArguments, read: &ReadArguments, table: &str) -> Result<Exit, Failure> {
    let reader = Reader::open(global, read).await?;
    let table = reader.table(table)?;
    let mut columns = Listing::new(&["column", "type", "description"]);
    for column in &table.files.schema.columns {
        columns.push(vec![json!(column.name), json!(column.data_type), json!(column.description)]);
    }
    columns.write(read.format)?;
    if read.format != Format::Table {
        return Ok(Exit::Done);
    }
    output::write(&format!("\nFirst of {} rows:\n", table.current_rows))?;
    let session = reader.session(&[table]).await?;
    let sql = format!("SELECT * FROM {} LIMIT {FIRST_ROWS}", table.name);
    reader.answer(&session, &sql, read.format).await?;
    Ok(Exit::Done)
}

/// `medallion query`
pub(crate) async fn query(global: &GlobalArguments, read: &ReadArguments, sql: &str) -> Result<Exit, Failure> {
    let reader = Reader::open(global, read).await?;
    let tables: Vec<&PublishedVersion> = reader.published.tables.iter().collect();
    let session = reader.session(&tables).await?;
    reader.answer(&session, sql, read.format).await?;
    Ok(Exit::Done)
}

/// `medallion validate --counts`
pub(crate) async fn validate(
    global: &GlobalArguments,
    read: &ReadArguments,
    counts: &Path,
    console: &Console,
) -> Result<Exit, Failure> {
    let text = std::fs::read_to_string(counts)
        .map_err(|error| Failure::configuration(format!("cannot read {}: {error}", counts.display())))?;
    let expected: ExpectedCounts = medallion_pipeline::parse_toml(&counts.display().to_string(), &text)?;
    let reader = Reader::open(global, read).await?;
    let checks = check_counts(&reader.published, &expected);
    let mut listing = Listing::new(&["table", "expected", "rows", "as expected"]);
    for check in &checks {
        let as_expected = if check.holds { "yes" } else { "NO" };
        listing.push(vec![
            json!(check.table),
            json!(check.expected.to_string()),
            json!(check.rows),
            json!(as_expected),
        ]);
    }
    listing.write(read.format)?;
    let wrong: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
    for check in &wrong {
        let found = check.rows.map_or_else(|| "it is not published".to_owned(), |rows| format!("it has {rows}"));
        let message =
            format!("customer {}: {}: expected {} rows, {found}", reader.customer, check.table, check.expected);
        let hint = check.nearest.as_ref().map(|nearest| format!("did you mean '{nearest}'?"));
        console.failure(&Failure::new(Exit::Counts, message).hint(hint).customer(reader.customer.as_str()));
    }
    Ok(if wrong.is_empty() { Exit::Done } else { Exit::Counts })
}
