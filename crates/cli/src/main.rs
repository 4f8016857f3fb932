//! The `medallion` program: arguments become settings, settings one call, its result output and an exit code.

mod arguments;
mod builtin;
mod children;
mod commands;
mod console;
mod exit;
mod library_lines;
mod output;
mod settings;
mod signals;
mod telling;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;

use crate::arguments::Arguments;
use crate::console::Console;
use crate::exit::{Exit, Failure};

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let console = Console::new(&arguments.global);
    console.listen_to_libraries();
    console.listen_to_panics();
    let exit = match start(arguments, &console) {
        Ok(exit) => exit,
        Err(error) => {
            let failure = error.downcast::<Failure>();
            let failure = failure.unwrap_or_else(|error| Failure::new(Exit::Failed, format!("{error:#}")));
            console.failure(&failure);
            failure.exit
        }
    };
    ExitCode::from(exit as u8)
}

fn start(arguments: Arguments, console: &Console) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.context("cannot start the threads of this program")?;
    let exit = runtime.block_on(async {
        signals::survive_file_size_limits().context("cannot listen to signals")?;
        Ok(commands::run(arguments, console).await?)
    });
    // What an interrupted run still computes is not waited for.
    runtime.shutdown_background();
    exit
}
