//! What keeps a fleet from running, or its results from being kept.

use medallion_lake::FleetFolderError;

/// A fleet that cannot begin, or whose results cannot be written or read. What happens to its customers is no error but
/// an entry in the results.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    /// The folder of fleets.
    #[error("the results of the fleet cannot be kept: {0}")]
    Folder(#[from] FleetFolderError),
    /// Results cannot be written as JSON.
    #[error("the results of the fleet cannot be written: {0}")]
    Results(#[from] serde_json::Error),
    /// The results of an earlier fleet have not the form they should have.
    #[error("the results of fleet {fleet_id} are not readable: {source}")]
    Unreadable {
        /// The fleet.
        fleet_id: String,
        /// What is wrong.
        source: serde_json::Error,
    },
}

impl FleetError {
    /// What to do about it, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Folder(FleetFolderError::Location(error)) => error.hint(),
            Self::Folder(FleetFolderError::Linked { .. }) => {
                Some("replace the link by the folder it points to, or mount that folder there".to_owned())
            }
            Self::Folder(FleetFolderError::Io { source, .. }) => medallion_lake::no_room_hint(&source.to_string())
                .or_else(|| {
                    (source.kind() == std::io::ErrorKind::PermissionDenied)
                        .then(|| "check who owns the lake's folders and which user runs medallion".to_owned())
                }),
            Self::Unreadable { .. } => {
                Some("remove its folder in <lake>/_medallion/fleet, and run all customers with --all".to_owned())
            }
            Self::Folder(FleetFolderError::InvalidName { .. }) | Self::Results(_) => None,
        }
    }

    /// Whether the lake is on no storage that there is.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(self, Self::Folder(FleetFolderError::Location(_)))
    }
}
