//! The command line as it is written.

mod customers;
mod examples;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use chrono::NaiveDate;
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use medallion_pipeline::{Selection, SelectionError};
use medallion_runner::fleet::Shard;

pub(crate) use customers::{AddArguments, CustomerCommand, DoctorArguments, ListArguments, RemoveArguments};

const EXAMPLES: &str = "\
Examples:
  medallion generate --profile reference --out exports/acme
  medallion run -c acme --source exports/acme --lake ./lake --as-of 2025-06-30
  medallion query -c acme --lake ./lake \"SELECT count(*) FROM gold.dim_user\"

Exit codes:
  0 done   1 failed   2 options or configuration   3 some customers failed, others are done
  4 tests or guards failed   5 counts differ   6 the selection matches nothing
  7 another run holds the customer   130 interrupted";

/// Turns nightly CSV exports into a medallion lakehouse: bronze, silver and gold Delta tables.
#[derive(Debug, Parser)]
#[command(name = "medallion", version, after_help = EXAMPLES, propagate_version = true)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub global: GlobalArguments,
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct GlobalArguments {
    /// Folder with medallion.toml and customers/
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub project: PathBuf,
    /// How messages are written to standard error
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Only errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Every table
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// No progress bars
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// Colours in messages
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto)]
    pub color: Color,
}

fn date(text: &str) -> Result<NaiveDate, String> {
    text.parse().map_err(|error| format!("{error}; expected YYYY-MM-DD, such as 2025-06-30"))
}

/// A time such as 90s, 30m or 1h 30m; never none.
fn duration(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it has to be longer than nothing".to_owned()),
        Ok(duration) => Ok(duration),
        Err(error) => Err(format!("{error}; expected a number with a unit, such as 90s, 30m or 2h")),
    }
}

/// The format of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// When messages are coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The format of results on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Columns for people.
    Table,
    /// RFC 4180 with a header.
    Csv,
    /// One array of objects.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a new project: medallion.toml, customers/ and a copy of the pipeline
    #[command(after_help = examples::INIT)]
    Init {
        /// The project's folder, new or empty
        #[arg(value_name = "DIR")]
        folder: PathBuf,
    },
    /// Make the exports of an invented customer
    #[command(after_help = examples::GENERATE)]
    Generate(GenerateArguments),
    /// Take in what arrived, build all layers and publish them
    #[command(after_help = examples::RUN)]
    Run(RunCommand),
    /// Run customers when their exports are there
    ///
    /// Looks at the drop folders again and again. A customer is run when every required source has a file, no file is
    /// waited for and all of them have stayed as they are for a while; then again when files change. What fails is not
    /// tried again with the same files, unless the failure may pass by itself. Runs until it is interrupted.
    #[command(after_help = examples::WATCH)]
    Watch(WatchArguments),
    /// Show what a run would do and why, without doing it
    ///
    /// Reads what arrived as a run does and writes nothing to the lake: which files would be taken in, which tables would
    /// be built and which would not, how their columns change, and what would stop the run. As a table only what would
    /// be done is listed, as CSV and JSON every table.
    #[command(after_help = examples::PLAN)]
    Plan(PlanArguments),
    /// List a customer's published tables
    #[command(after_help = examples::LS)]
    Ls {
        #[command(flatten)]
        selection: SelectionArguments,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// Show a table's columns and first rows
    #[command(after_help = examples::SHOW)]
    Show {
        /// The table, such as gold.dim_user
        table: String,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// Answer a query over one customer's tables
    #[command(after_help = examples::QUERY)]
    Query {
        /// A SELECT over tables such as gold.dim_user
        sql: String,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// List a customer's releases
    #[command(after_help = examples::RELEASES)]
    Releases(HistoryArguments),
    /// List a customer's runs
    #[command(after_help = examples::RUNS)]
    Runs(HistoryArguments),
    /// Show how many rows differ between two releases, table by table
    #[command(after_help = examples::DIFF)]
    Diff {
        /// A release
        #[arg(value_name = "A")]
        from: u64,
        /// Another one, to which rows were added or changed
        #[arg(value_name = "B")]
        to: u64,
        #[command(flatten)]
        history: HistoryArguments,
    },
    /// Publish what silver and gold were in an earlier release, as a new release
    ///
    /// Bronze stays as it is. The next run is refused with exit code 4 until something newer arrives or --resume is
    /// given, because it would publish again what was rolled back.
    #[command(after_help = examples::ROLLBACK)]
    Rollback {
        /// The release whose contents come back
        #[arg(long, value_name = "N")]
        to: u64,
        #[command(flatten)]
        history: HistoryArguments,
    },
    /// Run the pipeline's data tests on a customer's published tables
    ///
    /// A run does so before it publishes. Exit code 4 if a test of severity error fails. As a table only what fails is
    /// listed, as CSV and JSON every test.
    #[command(after_help = examples::TEST)]
    Test {
        /// Folder to write failing rows into, up to 100 of each test as CSV
        #[arg(long, value_name = "DIR")]
        samples: Option<PathBuf>,
        #[command(flatten)]
        selection: SelectionArguments,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// Compare row counts with what is expected
    #[command(after_help = examples::VALIDATE)]
    Validate {
        /// TOML file with a [counts] table
        #[arg(long, value_name = "FILE")]
        counts: PathBuf,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// Show what was set aside of a customer's records, by rule and reason
    ///
    /// The rejects of the batches that the last release was built from, with the first records of each kind. All of
    /// them are in bronze.rejected_rows.
    #[command(after_help = examples::REJECTS)]
    Rejects {
        /// Only of a source while parsing (bronze.users), of a table's source while cleansing (silver.users), or both
        /// (users)
        table: Option<String>,
        #[command(flatten)]
        read: ReadArguments,
    },
    /// Merge small files of bronze batches and write checkpoints that are due
    #[command(after_help = examples::OPTIMIZE)]
    Optimize(HistoryArguments),
    /// Remove files that no kept release and no table needs
    #[command(after_help = examples::VACUUM)]
    Vacuum(VacuumArguments),
    /// Add, list, show and remove the project's customers
    #[command(subcommand, after_help = examples::CUSTOMER)]
    Customer(CustomerCommand),
    /// Look for what may keep customers from being published
    ///
    /// Looks at configuration, pipeline, folders, permissions, room on the disk, locks, the last runs and releases, and that
    /// no customer reaches another. Nothing is changed. Exit code 1 if there are errors. As a table only what is not well
    /// is listed, as CSV and JSON everything.
    #[command(after_help = examples::DOCTOR)]
    Doctor(DoctorArguments),
    /// Print the completions of a shell
    #[command(after_help = examples::COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Options of `generate`.
#[derive(Debug, Args)]
pub(crate) struct GenerateArguments {
    /// reference, or customer-a to customer-j
    #[arg(long, default_value = "reference")]
    pub profile: String,
    /// Folder to write the files into
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Another seed gives another customer of the same size
    #[arg(long, default_value_t = medallion_datagen::DEFAULT_SEED)]
    pub seed: u64,
    /// Multiplies every row count
    #[arg(long, default_value_t = 1.0)]
    pub scale: f64,
}

/// Options of `run` for customers and for fleets of them.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["customers", "all", "retry_failed"]).required(true).multiple(true)))]
pub(crate) struct RunCommand {
    #[command(flatten)]
    pub run: RunArguments,
    #[command(flatten)]
    pub fleet: FleetArguments,
}

/// Options of runs of several customers.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Several customers")]
pub(crate) struct FleetArguments {
    /// Customers at the same time; by default as many as there are cores
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How long a customer may take, such as 90s, 30m or 2h; it is then ended, and killed 10 s later
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// How often a customer is tried again that failed for a reason that may pass: disk, network, a lock that is held;
    /// by default 2
    #[arg(long, value_name = "N")]
    pub retries: Option<u32>,
    /// Only part I of N, for several machines; every customer is in exactly one part
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,
    /// This customer runs first and alone; if it fails, no other is started
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new())]
    pub canary: Option<String>,
    /// After so many failures no further customer is started
    #[arg(long, value_name = "N")]
    pub max_failures: Option<NonZeroUsize>,
    /// Only customers that failed, were interrupted or had not started in the last fleet
    #[arg(long)]
    pub retry_failed: bool,
}

impl FleetArguments {
    /// Whether any of them was given.
    pub(crate) fn is_given(&self) -> bool {
        let Self { jobs, timeout, retries, shard, canary, max_failures, retry_failed } = self;
        jobs.is_some()
            || timeout.is_some()
            || retries.is_some()
            || shard.is_some()
            || canary.is_some()
            || max_failures.is_some()
            || *retry_failed
    }
}

/// Options of `run`.
#[derive(Debug, Default, Args)]
pub(crate) struct RunArguments {
    /// A customer's id; may be given several times
    #[arg(short, long = "customer", value_name = "ID")]
    pub customers: Vec<String>,
    /// Every customer in customers/
    #[arg(long, conflicts_with = "customers")]
    pub all: bool,
    /// The drop folder, in place of the customer file's
    #[arg(long, value_name = "DIR")]
    pub source: Option<PathBuf>,
    /// The run's date; by default today in the customer's time zone
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub as_of: Option<NaiveDate>,
    /// Memory for each customer's queries, such as 2GiB, at least 32MiB; beyond it they spill to disk
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// Publish although SOURCE has far fewer records than last time; may be given several times
    ///
    /// An export that is much shorter than the last published one fails the run with exit code 4 (min_ratio and
    /// min_rows of the source say when), because it may have been cut off. This takes it as it is, in this run.
    #[arg(long, value_name = "SOURCE", value_parser = NonEmptyStringValueParser::new())]
    pub accept_shrink: Vec<String>,
    /// Publish although TABLE loses columns or their types change; may be given several times
    #[arg(long, value_name = "TABLE", value_parser = NonEmptyStringValueParser::new())]
    pub accept_schema: Vec<String>,
    /// Build all tables anew, also those whose definition and inputs have not changed; tables of versions go on from
    /// what is published
    #[arg(long)]
    pub full_refresh: bool,
    /// Publish again after a rollback though nothing newer has arrived
    #[arg(long)]
    pub resume: bool,
    #[command(flatten)]
    pub selection: SelectionArguments,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options that select tables.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SelectionArguments {
    /// Only these sources and tables, as dbt selects: dim_user, 'fact_*', +x, x+, 2+x+1, @x, layer:gold, source:users,
    /// tag:history, state:modified; a space adds, a comma takes what both have
    #[arg(short, long, value_name = "SELECTION", num_args = 1..)]
    pub select: Vec<String>,
    /// All but these, of what is selected
    #[arg(long, value_name = "SELECTION", num_args = 1..)]
    pub exclude: Vec<String>,
}

impl SelectionArguments {
    pub(crate) fn is_given(&self) -> bool {
        !(self.select.is_empty() && self.exclude.is_empty())
    }

    pub(crate) fn parse(&self) -> Result<Option<Selection>, SelectionError> {
        Selection::parse(&self.select, &self.exclude)
    }
}

/// Options of `watch`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["customers", "all"]).required(true)))]
pub(crate) struct WatchArguments {
    /// A customer's id; may be given several times
    #[arg(short, long = "customer", value_name = "ID")]
    pub customers: Vec<String>,
    /// Every customer in customers/, also those that are added meanwhile
    #[arg(long)]
    pub all: bool,
    /// Time between two looks at the folders
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10s")]
    pub interval: Duration,
    /// How long a complete folder has to stay as it is before it is run
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration, default_value = "30s")]
    pub settle: Duration,
    /// Customers that run at the same time; by default as many as there are cores
    #[arg(long, value_name = "N")]
    pub jobs: Option<NonZeroUsize>,
    /// How long a run may take; it is then ended, and killed 10 s later
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub timeout: Option<Duration>,
    /// End when each customer was run once
    #[arg(long)]
    pub once: bool,
    /// Memory for each customer's queries; by default its share of what is available
    #[arg(long, value_name = "SIZE")]
    pub memory_limit: Option<String>,
    /// The date of the runs; by default the day of each in the customer's time zone
    #[arg(long, value_name = "DATE", value_parser = date)]
    pub as_of: Option<NaiveDate>,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options of `plan`.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("which").args(["customers", "all"]).required(true)))]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    pub run: RunArguments,
    /// How the plan is written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
}

/// Options of `vacuum`.
#[derive(Debug, Args)]
pub(crate) struct VacuumArguments {
    /// How many of the last releases stay whole; by default medallion.toml's, else 14
    #[arg(long, value_name = "N")]
    pub keep_releases: Option<NonZeroU32>,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub read: HistoryArguments,
}

/// Where tables and definitions are.
#[derive(Debug, Default, Args)]
pub(crate) struct PlaceArguments {
    /// Where the lakes are; by default medallion.toml's, else ./lake
    #[arg(long, value_name = "PATH|URL", value_parser = NonEmptyStringValueParser::new())]
    pub lake: Option<String>,
    /// A pipeline's folder, or the name of a built-in one; by default medallion.toml's, else totara
    #[arg(long, value_name = "DIR|NAME", value_parser = NonEmptyStringValueParser::new())]
    pub pipeline: Option<String>,
}

/// Options of commands about one customer's tables.
#[derive(Debug, Args)]
pub(crate) struct ReadArguments {
    /// The customer's id
    #[arg(short, long = "customer", value_name = "ID")]
    pub customer: String,
    /// Silver and gold as they were in release N; by default the last one
    #[arg(long, value_name = "N")]
    pub release: Option<u64>,
    /// How results are written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options of commands about a customer's lake as it is.
#[derive(Debug, Args)]
pub(crate) struct HistoryArguments {
    /// The customer's id
    #[arg(short, long = "customer", value_name = "ID")]
    pub customer: String,
    /// How results are written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    pub place: PlaceArguments,
}
