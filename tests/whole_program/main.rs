//! The program as its users see it: the binary is started, and what it published is read back.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arrivals;
mod audits;
mod case;
mod catalogue;
mod clock;
mod conventions;
mod disk_full;
mod exit_codes;
mod faults;
mod fleets;
mod flow;
mod hierarchies;
mod history;
mod incremental;
mod interrupts;
mod kills;
mod layers;
mod models;
mod night;
mod nights;
mod pipeline;
mod plans;
mod project;
mod reading;
mod rows;
mod rules;
mod together;
mod upkeep;
mod watching;
