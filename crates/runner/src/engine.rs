//! The SQL engine of a run.

use std::sync::OnceLock;

use medallion_sql::{SqlError, SqlOptions, SqlSession};

use crate::reading::sql_session;

/// A session that is set up when it is first asked for: a night without changes does without it.
#[derive(Debug)]
pub(crate) struct Engine {
    options: SqlOptions,
    session: OnceLock<SqlSession>,
}

impl Engine {
    pub(crate) fn new(options: SqlOptions) -> Self {
        Self { options, session: OnceLock::new() }
    }

    /// The one session of the run.
    pub(crate) fn session(&self) -> Result<&SqlSession, SqlError> {
        match self.session.get() {
            Some(session) => Ok(session),
            // Of two who come at once, the session of one is used by both.
            None => sql_session(&self.options).map(|session| self.session.get_or_init(|| session)),
        }
    }
}
