//! The program as its users see it: the binary is started, and what it published is read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arrivals;
mod audits;
mod case;
mod catalogue;
mod clock;
mod conventions;
mod customers;
mod disk_full;
mod doctor;
mod exit_codes;
mod faults;
mod fleets;
mod flow;
mod help;
mod hierarchies;
mod history;
mod incremental;
mod interrupts;
mod kills;
mod layers;
mod listening;
mod models;
mod night;
mod nights;
mod object_storage;
mod pipeline;
mod plans;
mod project;
mod reading;
mod reports;
mod rows;
mod rules;
mod selection;
mod storage;
mod telling;
mod together;
mod unchanged;
mod upkeep;
mod watching;
