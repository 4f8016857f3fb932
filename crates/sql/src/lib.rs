//! The only user of datafusion: SQL over a customer's tables.
