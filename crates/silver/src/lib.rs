//! Bronze to silver: the rules engine and the hierarchy closure.
