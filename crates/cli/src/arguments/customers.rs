//! Arguments of commands about customers and the project as a whole.

use chrono::TimeDelta;
use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

use super::{Format, PlaceArguments, examples};

/// What to do with customers.
#[derive(Debug, Subcommand)]
pub(crate) enum CustomerCommand {
    /// Write customers/<id>.toml and look at what is in the drop folder
    ///
    /// The file is never overwritten. What is wrong with an option is answered before anything is made. A required
    /// source of which no file is there yet is told, and is no failure.
    #[command(after_help = examples::CUSTOMER_ADD)]
    Add(AddArguments),
    /// List the project's customers with their last release and run
    #[command(after_help = examples::CUSTOMER_LIST)]
    List(ListArguments),
    /// Show all settings of a customer, where each comes from, and how it stands
    ///
    /// Values are shown as they are written: ${NAME} is not replaced, passwords in URLs are left out.
    #[command(after_help = examples::CUSTOMER_SHOW)]
    Show {
        /// The customer's id
        #[arg(value_name = "ID")]
        id: String,
        #[command(flatten)]
        list: ListArguments,
    },
    /// Remove a customer's file and its tables
    ///
    /// Asks before it does on a terminal; elsewhere it needs --yes. The drop folder stays as it is. A customer that a run
    /// holds is not removed (exit code 7).
    #[command(after_help = examples::CUSTOMER_REMOVE)]
    Remove(RemoveArguments),
}

/// Options of `customer add`.
#[derive(Debug, Args)]
pub(crate) struct AddArguments {
    /// The customer's id: a-z, 0-9, - and _, the first a letter or digit
    #[arg(value_name = "ID")]
    pub id: String,
    /// The folder the exports arrive in
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    pub source: String,
    /// Make the drop folder if it is not there
    #[arg(long)]
    pub make_source: bool,
    /// What people call the customer
    #[arg(long, value_parser = NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// The time zone in which its days begin, such as Europe/Berlin; UTC if none is given
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// The month in which its fiscal years start; 1 if none is given
    #[arg(long, value_name = "MONTH", value_parser = clap::value_parser!(u32).range(1..=12))]
    pub fiscal_year_start: Option<u32>,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options of `customer list` and `customer show`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// How results are written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options of `customer remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArguments {
    /// The customer's id
    #[arg(value_name = "ID")]
    pub id: String,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Leave its tables in the lake
    #[arg(long)]
    pub keep_data: bool,
    #[command(flatten)]
    pub place: PlaceArguments,
}

/// Options of `doctor`.
#[derive(Debug, Args)]
pub(crate) struct DoctorArguments {
    /// A customer's id; may be given several times, all in customers/ if none is given
    #[arg(short, long = "customer", value_name = "ID")]
    pub customers: Vec<String>,
    /// How old the last release may be: hours (36h) or days (2d)
    #[arg(long, value_name = "TIME", default_value = "36h", value_parser = duration)]
    pub stale_after: TimeDelta,
    /// How the findings are written to standard output
    #[arg(long, value_enum, default_value_t = Format::Table)]
    pub format: Format,
    #[command(flatten)]
    pub place: PlaceArguments,
}

fn duration(text: &str) -> Result<TimeDelta, String> {
    let expected = || "expected hours or days, such as 36h or 2d".to_owned();
    let digits = text.trim_end_matches(['h', 'd']);
    let number: i64 = digits.parse().map_err(|_| expected())?;
    let duration = match &text[digits.len()..] {
        "h" => TimeDelta::try_hours(number),
        "d" => TimeDelta::try_days(number),
        _ => None,
    };
    duration.filter(|duration| *duration > TimeDelta::zero()).ok_or_else(expected)
}
