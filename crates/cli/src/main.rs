//! The `medallion` program.
fn main() {}
