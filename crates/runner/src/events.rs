//! What a run tells while it runs.

use medallion_pipeline::{Layer, TableName};

/// Something that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// A run began.
    Started {
        /// The run.
        run_id: String,
    },
    /// A layer's work began.
    LayerStarted {
        /// The layer.
        layer: Layer,
        /// How many tables it has.
        tables: usize,
    },
    /// A table is staged.
    TableDone {
        /// The table.
        table: TableName,
        /// Its rows.
        rows: u64,
        /// How long it took.
        seconds: f64,
    },
    /// Something a person should know, though the run goes on.
    Warning {
        /// The table it is about.
        table: Option<TableName>,
        /// What, as a sentence.
        message: String,
    },
    /// The tables are being committed.
    Publishing {
        /// The release they will be.
        release: u64,
    },
}

/// Listens to a run; called from several threads.
pub trait Listener: Send + Sync {
    /// Takes notice of an event.
    fn on(&self, event: &Event);
}
