//! Which failures pass by themselves.

use std::error::Error;
use std::io::{self, ErrorKind};

use medallion_bronze::BronzeError;
use medallion_lake::LakeError;

use crate::error::{Cause, RunError};

/// What the operating system says when a place, a connection or memory is missing for the moment: EIO, EAGAIN, ENOMEM,
/// EBUSY, ENFILE, EMFILE, ETXTBSY, ENETDOWN, ENETUNREACH, ENETRESET, ECONNABORTED, ECONNRESET, ETIMEDOUT, ECONNREFUSED,
/// EHOSTDOWN, EHOSTUNREACH, ESTALE. Linux's numbers.
const PASSING: [i32; 17] = [5, 11, 12, 16, 23, 24, 26, 100, 101, 102, 103, 104, 110, 111, 112, 113, 116];

impl RunError {
    /// Whether the same run may succeed a little later with nothing changed: the disk or network did not answer, memory
    /// or handles were short, or another run held the customer. Never for what arrived, guards, tests, definitions or
    /// a full disk.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &self.cause {
            Cause::Lake(LakeError::Held { .. }) => true,
            cause => match system_error(cause) {
                Some(error) => is_passing(error),
                None => is_of_engine(cause) && says_passing(&cause.to_string()),
            },
        }
    }
}

/// What the operating system said, among all that an error comes from.
fn system_error(cause: &Cause) -> Option<&io::Error> {
    let mut error: Option<&(dyn Error + 'static)> = Some(cause);
    while let Some(this) = error {
        if let Some(found) = this.downcast_ref::<io::Error>() {
            return Some(found);
        }
        error = this.source();
    }
    None
}

/// Whether a cause's text may be what an engine passes on from the operating system. Other texts can be a customer's.
fn is_of_engine(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::Sql(_)
            | Cause::Output(_)
            | Cause::Silver(_)
            | Cause::Worker { .. }
            | Cause::Lake(LakeError::Delta { .. })
            | Cause::Bronze(BronzeError::Parse { .. })
    )
}

fn says_passing(text: &str) -> bool {
    PASSING.iter().any(|code| text.contains(&format!("(os error {code})")))
}

fn is_passing(error: &io::Error) -> bool {
    let code = error.raw_os_error().is_some_and(|code| cfg!(target_os = "linux") && PASSING.contains(&code));
    // What stands behind an error of a library's own making says more than its kind.
    let inner = || error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>()).is_some_and(is_passing);
    code || is_passing_kind(error.kind()) || inner()
}

fn is_passing_kind(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::TimedOut
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
            | ErrorKind::ResourceBusy
            | ErrorKind::OutOfMemory
            | ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NetworkDown
            | ErrorKind::NetworkUnreachable
            | ErrorKind::HostUnreachable
            | ErrorKind::StaleNetworkFileHandle
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::path::PathBuf;

    use super::*;

    fn of(cause: Cause) -> bool {
        RunError { customer: "acme".parse().unwrap(), cause }.is_transient()
    }

    fn folder(source: io::Error) -> Cause {
        Cause::Bronze(BronzeError::Folder { folder: PathBuf::from("drop"), source })
    }

    #[test]
    fn what_a_disk_or_network_says_for_the_moment_passes() {
        let held = LakeError::Held { customer: "acme".to_owned(), path: PathBuf::from("lock"), holder: None };
        assert!(of(Cause::Lake(held)));
        // EIO, EMFILE, ESTALE
        for code in [5, 24, 116] {
            assert!(of(folder(io::Error::from_raw_os_error(code))), "{code}");
        }
        assert!(of(folder(ErrorKind::TimedOut.into())));
        assert!(of(folder(io::Error::other(io::Error::from(ErrorKind::ConnectionReset)))));
        let worker = |message: &str| Cause::Worker { table: "gold.dim_user".to_owned(), message: message.to_owned() };
        assert!(of(worker("IO error: Stale file handle (os error 116)")));
        assert!(!of(worker("index out of bounds: the length is (os error 1160)")));
    }

    #[test]
    fn what_somebody_has_to_mend_does_not() {
        // ENOENT, EACCES, EFBIG, ENOSPC, EROFS, EDQUOT
        for code in [2, 13, 27, 28, 30, 122] {
            assert!(!of(folder(io::Error::from_raw_os_error(code))), "{code}");
        }
        assert!(!of(Cause::Interrupted));
        assert!(!of(Cause::Guard { reasons: vec!["users has shrunk".to_owned()], shrunk: Vec::new() }));
        assert!(!of(Cause::Audit { failed: vec!["users: a file named (os error 5)".to_owned()] }), "a customer's text");
        let header = BronzeError::Empty { source_name: "users".to_owned(), file: "users (os error 5).csv".to_owned() };
        assert!(!of(Cause::Bronze(header)), "a customer's text");
    }
}
