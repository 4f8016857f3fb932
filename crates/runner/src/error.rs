//! What ends a customer's run.

use std::path::PathBuf;

use medallion_bronze::BronzeError;
use medallion_gold::GoldError;
use medallion_lake::{LakeError, no_room_hint};
use medallion_pipeline::{CustomerId, DefinitionError, SelectionError, TableName};
use medallion_silver::SilverError;
use medallion_sql::{OutputError, SqlError};

/// Why a customer was not published. The message names the customer.
#[derive(Debug, thiserror::Error)]
#[error("{}{cause}", prefix(customer, cause))]
pub struct RunError {
    /// The customer.
    pub customer: CustomerId,
    /// What happened.
    #[source]
    pub cause: Cause,
}

/// What a lake says names the customer already.
fn prefix(customer: &CustomerId, cause: &Cause) -> String {
    if matches!(cause, Cause::Lake(_) | Cause::Bronze(BronzeError::Lake(_))) {
        String::new()
    } else {
        format!("customer {customer}: ")
    }
}

/// What happened.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Required sources never arrived.
    #[error(
        "no file for the required source{} {} in {folder}, and none arrived before{}",
        if sources.len() == 1 { "" } else { "s" }, sources.join(", "), in_detail(not_taken)
    )]
    MissingSources {
        /// The sources.
        sources: Vec<String>,
        /// The drop folder.
        folder: String,
        /// File patterns of the first of them.
        patterns: Vec<String>,
        /// Files of theirs that wait or are refused, each with the reason.
        not_taken: Vec<String>,
    },
    /// What arrived may not be published.
    #[error("{}; nothing was published, bronze has what arrived", reasons.join("; "))]
    Guard {
        /// What the guards say.
        reasons: Vec<String>,
        /// Sources that shrank.
        shrunk: Vec<String>,
    },
    /// Data tests fail on what was built.
    #[error(
        "{} failed: {}; nothing was published, bronze has what arrived",
        if failed.len() == 1 { "a data test".to_owned() } else { format!("{} data tests", failed.len()) },
        failed.join("; ")
    )]
    Audit {
        /// Each with table, name, what fails and where the failing rows are.
        failed: Vec<String>,
    },
    /// Failing rows of a data test cannot be kept.
    #[error("cannot write failing rows of a data test to {}: {source}", path.display())]
    Sample {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A drop folder or file.
    #[error(transparent)]
    Bronze(#[from] BronzeError),
    /// A silver table.
    #[error(transparent)]
    Silver(#[from] SilverError),
    /// A gold table's definition.
    #[error(transparent)]
    Gold(#[from] GoldError),
    /// A query.
    #[error(transparent)]
    Sql(#[from] SqlError),
    /// A query's result.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The pipeline.
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    /// The lake.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// Nothing was ever published.
    #[error("no release was published yet in {lake}")]
    NoRelease {
        /// The lake.
        lake: String,
    },
    /// The run published, and failed at the last step.
    #[error("release {release} is published, but the results of its run are not there: {source}")]
    Unrecorded {
        /// The release.
        release: u64,
        /// Why.
        source: Box<Cause>,
    },
    /// There is no folder for what a plan reads.
    #[error("cannot make a folder for temporary files: {source}")]
    Scratch {
        /// Why.
        source: std::io::Error,
    },
    /// Somebody asked the run to stop.
    #[error("the run was interrupted; silver and gold are as before, bronze has what was taken in by then")]
    Interrupted,
    /// A worker of this program ended without a result.
    #[error("building {table} stopped unexpectedly: {message}; nothing was published")]
    Worker {
        /// What it was building.
        table: String,
        /// What it said last.
        message: String,
    },
    /// What rejects are asked for of has none.
    #[error(
        "there is no table '{table}' that rows are set aside of: expected a source (bronze.users), a cleansed table \
         (silver.users) or the name alone (users)"
    )]
    NoRejects {
        /// What was asked for.
        table: String,
        /// The table with the most similar name.
        nearest: Option<String>,
    },
    /// Records were lost or doubled on the way.
    #[error(
        "the sums of {table} do not add up: {whole} {what} {} ({}); nothing was published",
        parts.iter().map(|(_, count)| count).sum::<u64>(),
        parts.iter().map(|(part, count)| format!("{count} {part}")).collect::<Vec<_>>().join(", ")
    )]
    Conservation {
        /// The table.
        table: String,
        /// What there was.
        whole: u64,
        /// What it is and what it became.
        what: &'static str,
        /// What became of it.
        parts: Vec<(&'static str, u64)>,
    },
    /// The selection cannot be read, or matches nothing.
    #[error(transparent)]
    Selection(#[from] SelectionError),
    /// A selected table is built from one that is neither selected nor published.
    #[error("{table} is selected, and is built from {input}, which is not selected and was never published")]
    NeverPublished {
        /// The selected table.
        table: TableName,
        /// What it needs.
        input: TableName,
    },
    /// The rows that a release was built from have left bronze.
    #[error(
        "{source_table} is not selected, and bronze no longer has the batch {batch} that release {release} was built from"
    )]
    BatchGone {
        /// The source.
        source_table: TableName,
        /// The batch.
        batch: String,
        /// The release.
        release: u64,
    },
    /// After a rollback only part of the tables would be built.
    #[error(
        "release {release} was rolled back to {to}: the next run has to be about all tables; nothing was published"
    )]
    PartOfRollback {
        /// The release that rolled back.
        release: u64,
        /// The release whose contents it has.
        to: u64,
    },
    /// What a rollback took back would be published again.
    #[error(
        "release {release} was rolled back to {to}, and nothing newer than what was rolled back has arrived; nothing \
         was published"
    )]
    RolledBack {
        /// The release that rolled back.
        release: u64,
        /// The release whose contents it has.
        to: u64,
    },
    /// Columns of published tables would go away or change.
    #[error("{}; nothing was published", changes.join("; "))]
    SchemaChange {
        /// The changes, each with its table.
        changes: Vec<String>,
        /// The tables.
        tables: Vec<String>,
    },
    /// The results cannot be written as JSON.
    #[error("the run's results cannot be written: {0}")]
    Results(#[from] serde_json::Error),
}

fn in_detail(not_taken: &[String]) -> String {
    if not_taken.is_empty() { String::new() } else { format!(" ({})", not_taken.join("; ")) }
}

/// Whose fault it is, which decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Folder, source, column or I/O.
    Failed,
    /// Options or definitions.
    Configuration,
    /// A rule or guard of the customer's own.
    Guard,
    /// The selection names what is not there, or matches nothing.
    Selection,
    /// Another run holds the customer.
    Held,
    /// Nobody's: somebody asked it to stop.
    Interrupted,
}

impl RunError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        // Engines pass on what the disk said as a text.
        self.own_hint().or_else(|| no_room_hint(&self.cause.to_string()))
    }

    fn own_hint(&self) -> Option<String> {
        match &self.cause {
            Cause::MissingSources { not_taken, .. } if !not_taken.is_empty() => {
                Some("run again when the files are complete, or see docs/arrivals.md for what makes them so".to_owned())
            }
            Cause::Guard { shrunk, .. } if !shrunk.is_empty() => {
                let options: Vec<String> = shrunk.iter().map(|source| format!("--accept-shrink {source}")).collect();
                Some(format!("ask for the export again; if it is right as it is, run with {}", options.join(" ")))
            }
            Cause::Selection(error) => error.hint(),
            Cause::NeverPublished { .. } | Cause::BatchGone { .. } | Cause::PartOfRollback { .. } => self.part_hint(),
            Cause::RolledBack { .. } => {
                Some("deliver better files, or run with --resume to publish the same again".to_owned())
            }
            Cause::SchemaChange { tables, .. } => {
                let options: Vec<String> = tables.iter().map(|table| format!("--accept-schema {table}")).collect();
                Some(format!("if readers of these columns know of it, run with {}", options.join(" ")))
            }
            Cause::Guard { .. } => Some("ask why no newer export arrived, or raise max_age_days".to_owned()),
            Cause::MissingSources { patterns, .. } => Some(format!(
                "put the export into the drop folder; files are recognised by their names ({}, .csv, .csv.gz or .csv.zst)",
                patterns.join(", ")
            )),
            Cause::Bronze(error) => error.hint(),
            Cause::Silver(error) => error.hint(),
            Cause::Sql(error) => error.hint(),
            Cause::Definition(error) => error.hint(),
            Cause::Lake(error) => error.hint(),
            Cause::Unrecorded { .. } => {
                Some("the tables are complete; see to the lake's disk before the next run".to_owned())
            }
            Cause::Scratch { .. } => Some("TMPDIR names the folder".to_owned()),
            Cause::Interrupted => Some("run it again: it goes on with what is in bronze".to_owned()),
            Cause::NoRelease { .. } => Some("publish one with 'medallion run'".to_owned()),
            Cause::NoRejects { nearest, .. } => nearest.as_ref().map(|name| format!("did you mean '{name}'?")),
            Cause::Worker { .. } | Cause::Conservation { .. } => {
                Some("this is a fault of medallion; report it with the run's results".to_owned())
            }
            Cause::Audit { .. } => Some(
                "look at the failing rows; mend the export or the model, or give the test severity = \"warn\""
                    .to_owned(),
            ),
            Cause::Gold(_) | Cause::Results(_) | Cause::Output(_) | Cause::Sample { .. } => None,
        }
    }

    /// What to do about a run of a part of the tables.
    fn part_hint(&self) -> Option<String> {
        Some(match &self.cause {
            Cause::NeverPublished { table, .. } => {
                format!("select what it is built from too (--select +{table}), or run once without a selection")
            }
            Cause::BatchGone { source_table, .. } => {
                format!("select the source and what is built from it (--select source:{}+)", source_table.table)
            }
            Cause::PartOfRollback { .. } => {
                "run without --select and --exclude; with --resume if nothing newer has arrived".to_owned()
            }
            _ => return None,
        })
    }

    /// Whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match &self.cause {
            Cause::Bronze(BronzeError::ClaimedTwice { .. })
            | Cause::Gold(_)
            | Cause::Definition(_)
            | Cause::Selection(SelectionError::Syntax { .. })
            | Cause::NeverPublished { .. }
            | Cause::NoRejects { .. } => Fault::Configuration,
            Cause::Selection(_) => Fault::Selection,
            Cause::Silver(SilverError::Expression { .. } | SilverError::VersionsType { .. }) => Fault::Configuration,
            Cause::Silver(SilverError::RuleFailed { .. })
            | Cause::Guard { .. }
            | Cause::Audit { .. }
            | Cause::RolledBack { .. }
            | Cause::PartOfRollback { .. }
            | Cause::SchemaChange { .. } => Fault::Guard,
            Cause::Sql(error) if is_definition(error) => Fault::Configuration,
            Cause::Lake(LakeError::Held { .. }) => Fault::Held,
            Cause::Interrupted => Fault::Interrupted,
            Cause::Lake(
                LakeError::UnknownScheme { .. }
                | LakeError::Storage { .. }
                | LakeError::InvalidLocation { .. }
                | LakeError::InvalidCustomer { .. },
            ) => Fault::Configuration,
            _ => Fault::Failed,
        }
    }
}

fn is_definition(error: &SqlError) -> bool {
    matches!(
        error,
        SqlError::Parse { .. }
            | SqlError::StatementCount { .. }
            | SqlError::NotAQuery { .. }
            | SqlError::UnknownTable { .. }
            | SqlError::UnknownColumn { .. }
            | SqlError::AmbiguousColumn { .. }
            | SqlError::Plan { .. }
            | SqlError::MissingColumn { .. }
            | SqlError::SurplusColumn { .. }
            | SqlError::DuplicateColumn { .. }
            | SqlError::CastType { .. }
    )
}
