//! Signals: the first that asks for the end is passed on to the run, the second ends the process.

use std::io;

use medallion_runner::Interrupt;

use crate::console::Console;
use crate::exit::Exit;

/// Listens for Ctrl-C and SIGTERM on a thread of its own, so that they are heard whatever the others compute.
pub(crate) fn pass_on(interrupt: &Interrupt, console: &Console) -> io::Result<()> {
    let (interrupt, console) = (interrupt.clone(), *console);
    let (started, is_started) = std::sync::mpsc::channel();
    let listen = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let signals = runtime.and_then(|runtime| {
            let _inside = runtime.enter();
            Ok((Signals::new()?, runtime))
        });
        match signals {
            Ok((mut signals, runtime)) => {
                // Nobody waits for the answer only if the command has ended.
                let _ = started.send(Ok(()));
                runtime.block_on(pass_on_both(&mut signals, &interrupt, &console));
            }
            Err(error) => drop(started.send(Err(error))),
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(listen)?;
    is_started.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that listens to signals ended")))
}

async fn pass_on_both(signals: &mut Signals, interrupt: &Interrupt, console: &Console) {
    signals.next().await;
    console.note(if interrupt.ask() {
        "interrupted while it publishes: the release is completed first; interrupt again to end at once"
    } else {
        "interrupted: the run stops; interrupt again to end at once"
    });
    signals.next().await;
    end_at_once();
}

/// As after a crash: the next run, or a vacuum, clears up.
#[expect(clippy::disallowed_methods, reason = "who asks twice does not want to wait for a clean-up")]
fn end_at_once() {
    std::process::exit(Exit::Interrupted as i32);
}

#[cfg(unix)]
struct Signals {
    interrupts: tokio::signal::unix::Signal,
    terminations: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupts: signal(SignalKind::interrupt())?, terminations: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupts.recv() => {}
            _ = self.terminations.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// A file that grows beyond what this process may write becomes an error with a message. The signal that comes with it
/// would end the process without one. Needs a Tokio runtime.
#[cfg(unix)]
pub(crate) fn survive_file_size_limits() -> io::Result<()> {
    /// SIGXFSZ, which has this number on all systems but those with MIPS processors.
    const FILE_SIZE_LIMIT: i32 = 25;
    let kind = tokio::signal::unix::SignalKind::from_raw(FILE_SIZE_LIMIT);
    // Whoever is told of it stays so until the process ends, also without anybody who listens.
    tokio::signal::unix::signal(kind).map(drop)
}

/// There is no such signal here.
#[cfg(not(unix))]
pub(crate) fn survive_file_size_limits() -> io::Result<()> {
    Ok(())
}
