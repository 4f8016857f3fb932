//! One module per command.

mod customer;
mod doctor;
mod fleet;
mod generate;
mod history;
mod init;
mod optimize;
mod plan;
mod read;
mod rejects;
mod run;
mod test;
mod vacuum;
mod watch;

use clap::CommandFactory;

use crate::arguments::{Arguments, Command};
use crate::console::Console;
use crate::exit::{Exit, Failure};
use crate::output;

/// Carries out a command.
pub(crate) async fn run(arguments: Arguments, console: &Console) -> Result<Exit, Failure> {
    let Arguments { global, command } = arguments;
    match command {
        Command::Init { folder } => init::init(&folder, console),
        Command::Generate(generate) => generate::generate(&generate),
        Command::Run(run) => run::run(&global, &run, console).await,
        Command::Watch(arguments) => watch::run(&global, arguments, console).await,
        Command::Plan(arguments) => plan::show(&global, &arguments, console).await,
        Command::Ls { selection, read } => read::list(&global, &read, &selection).await,
        Command::Show { table, read } => read::show(&global, &read, &table).await,
        Command::Query { sql, read } => read::query(&global, &read, &sql).await,
        Command::Releases(history) => history::releases(&global, &history),
        Command::Runs(history) => history::runs(&global, &history),
        Command::Diff { from, to, history } => history::diff(&global, &history, (from, to)).await,
        Command::Rollback { to, history } => history::roll_back(&global, &history, to, console).await,
        Command::Test { samples, selection, read } => {
            test::test(&global, &read, &selection, samples.as_deref(), console).await
        }
        Command::Validate { counts, read } => read::validate(&global, &read, &counts, console).await,
        Command::Rejects { table, read } => rejects::rejects(&global, &read, table.as_deref()).await,
        Command::Optimize(read) => optimize::optimize(&global, &read).await,
        Command::Vacuum(arguments) => vacuum::vacuum(&global, &arguments).await,
        Command::Customer(command) => customer::customer(&global, command, console),
        Command::Doctor(arguments) => doctor::doctor(&global, &arguments).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "medallion", &mut script);
            output::write(&String::from_utf8_lossy(&script))?;
            Ok(Exit::Done)
        }
    }
}
