//! Drop folder to bronze tables.
