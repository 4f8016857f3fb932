//! How runs are stopped from outside: before they publish at once, and once they do, not any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Cause;

/// How long a run that was asked to stop may clear up before it is left behind.
const GRACE: Duration = Duration::from_secs(1);

/// Asks runs to stop. Clones ask the same runs.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    state: Arc<watch::Sender<State>>,
}

/// Both change under one lock, so that a run either hears of it before it publishes or publishes to the end.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    asked: bool,
    publishing: bool,
}

impl State {
    fn stops(self) -> bool {
        self.asked && !self.publishing
    }
}

impl Interrupt {
    /// Asks to stop, for good. Says whether a run is publishing: that run comes to its end.
    pub fn ask(&self) -> bool {
        self.state.send_modify(|state| state.asked = true);
        self.state.borrow().publishing
    }

    /// Whether somebody asked; further runs should not be started.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.state.borrow().asked
    }

    /// Fails if the run has to stop.
    pub(crate) fn check(&self) -> Result<(), Cause> {
        if self.state.borrow().stops() { Err(Cause::Interrupted) } else { Ok(()) }
    }

    /// Does something that can be given up at any time.
    pub(crate) async fn unless_asked<T>(&self, work: impl Future<Output = Result<T, Cause>>) -> Result<T, Cause> {
        tokio::select! {
            done = work => done,
            () = self.asked() => Err(Cause::Interrupted),
        }
    }

    /// Comes when a run had to stop and has had the time to do so.
    pub(crate) async fn patience_ended(&self) {
        self.asked().await;
        tokio::time::sleep(GRACE).await;
    }

    /// From here on the run goes to its end; fails if it has to stop.
    pub(crate) fn begin_publishing(&self) -> Result<(), Cause> {
        self.state.send_if_modified(|state| {
            state.publishing = !state.asked;
            state.publishing
        });
        self.check()
    }

    /// The run is at its end, and the next one may be stopped.
    pub(crate) fn end_publishing(&self) {
        self.state.send_modify(|state| state.publishing = false);
    }

    /// Comes when somebody asked, unless a run publishes.
    pub(crate) async fn asked(&self) {
        // The sender lives as long as this, so there is always an answer.
        let _ = self.state.subscribe().wait_for(|state| state.stops()).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn a_run_that_is_asked_before_it_publishes_stops_at_once() {
        let interrupt = Interrupt::default();
        interrupt.check().unwrap();
        assert_eq!(interrupt.unless_asked(async { Ok(1) }).await.unwrap(), 1);
        assert!(!interrupt.clone().ask(), "nobody publishes");
        assert!(interrupt.is_asked());
        assert!(matches!(interrupt.check(), Err(Cause::Interrupted)));
        assert!(matches!(interrupt.begin_publishing(), Err(Cause::Interrupted)));
        let endless = std::future::pending::<Result<(), Cause>>();
        assert!(matches!(interrupt.unless_asked(endless).await, Err(Cause::Interrupted)));
    }

    #[tokio::test]
    async fn a_run_that_publishes_comes_to_its_end_and_the_next_one_does_not_begin() {
        let interrupt = Interrupt::default();
        interrupt.begin_publishing().unwrap();
        assert!(interrupt.ask(), "it publishes");
        interrupt.check().unwrap();
        assert!(interrupt.is_asked());
        interrupt.end_publishing();
        assert!(matches!(interrupt.check(), Err(Cause::Interrupted)));
    }
}
