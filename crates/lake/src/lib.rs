//! The only user of deltalake: stages, commits and releases tables.
