//! `medallion doctor`

use std::sync::Arc;

use chrono::{DateTime, Utc};
use medallion_pipeline::{Customer, Pipeline};
use medallion_runner::{Check, Examination, Finding, FindingSeverity, overlaps};
use serde_json::json;

use crate::arguments::{DoctorArguments, Format, GlobalArguments};
use crate::exit::{Exit, Failure};
use crate::output::{self, Listing};
use crate::settings::{ProjectSettings, customer_id, own_pipeline};

/// Before that this program was not there: a clock that says so is wrong.
const EARLIEST: i64 = 1_735_689_600;

pub(crate) async fn doctor(global: &GlobalArguments, arguments: &DoctorArguments) -> Result<Exit, Failure> {
    let ids = arguments.customers.iter().map(|id| customer_id(id)).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<String> = ids.into_iter().map(|id| id.to_string()).collect();
    let mut findings = Vec::new();
    match ProjectSettings::read(global) {
        Ok(settings) => {
            let mut doctor = Doctor { settings, arguments, now: Utc::now(), findings: Vec::new() };
            doctor.look(&ids).await;
            findings.append(&mut doctor.findings);
        }
        Err(failure) => findings.push(broken(Check::Configuration, failure)),
    }
    show(&findings, arguments.format)?;
    let is_well = findings.iter().all(|finding| finding.severity != FindingSeverity::Error);
    Ok(if is_well { Exit::Done } else { Exit::Failed })
}

/// Collects what is found; one thing that is wrong keeps nothing else from being looked at.
struct Doctor<'a> {
    settings: ProjectSettings,
    arguments: &'a DoctorArguments,
    now: DateTime<Utc>,
    findings: Vec<Finding>,
}

impl Doctor<'_> {
    async fn look(&mut self, asked_for: &[String]) {
        self.clock();
        let pipeline = self.pipeline();
        let everybody = self.customers(asked_for);
        let lake = self.settings.lake(&self.arguments.place);
        let about = |customer: &str| asked_for.is_empty() || asked_for.iter().any(|id| id == customer);
        let isolation = overlaps(&everybody, &lake);
        let concerns = |finding: &Finding| {
            let of_others = everybody
                .iter()
                .any(|other| about(other.id.as_str()) && finding.message.contains(&format!("customer {}:", other.id)));
            finding.customer.as_deref().is_none_or(about) || of_others
        };
        self.findings.extend(isolation.into_iter().filter(concerns));
        let Some(pipeline) = pipeline else { return };
        for customer in everybody.iter().filter(|customer| about(customer.id.as_str())) {
            let own = match own_pipeline(&pipeline, customer) {
                Ok(own) => own,
                Err(failure) => {
                    self.findings.push(broken(Check::Configuration, failure));
                    continue;
                }
            };
            let (now, stale_after) = (self.now, self.arguments.stale_after);
            let lake = match self.settings.lake_of(&self.arguments.place, customer.id.as_str()) {
                Ok(lake) => lake,
                Err(failure) => {
                    self.findings.push(broken(Check::Configuration, failure));
                    continue;
                }
            };
            let examination = Examination { customer, pipeline: &own, lake: &lake, now, stale_after };
            self.findings.extend(examination.findings().await);
        }
    }

    fn clock(&mut self) {
        let time = self.now.format("%Y-%m-%dT%H:%M:%SZ");
        self.findings.push(if self.now.timestamp() < EARLIEST {
            let message = format!("this machine's clock says {time}");
            Finding::new(Check::Clock, FindingSeverity::Error, message)
                .hint("set it right: run ids, dates and locks depend on it".to_owned())
        } else {
            Finding::new(Check::Clock, FindingSeverity::Ok, format!("this machine's clock says {time}"))
        });
    }

    fn pipeline(&mut self) -> Option<Arc<Pipeline>> {
        match self.settings.pipeline(&self.arguments.place) {
            Ok(pipeline) => {
                let (sources, tables) = (pipeline.sources.len(), pipeline.tables.len());
                let message = format!("{}: {sources} sources, {tables} tables", pipeline.name);
                self.findings.push(Finding::new(Check::Pipeline, FindingSeverity::Ok, message));
                Some(Arc::new(pipeline))
            }
            Err(failure) => {
                self.findings.push(broken(Check::Pipeline, failure));
                None
            }
        }
    }

    /// All customers that can be read, also those that nobody asked for: one of them may be in another's way.
    fn customers(&mut self, asked_for: &[String]) -> Vec<Customer> {
        let mut ids = match self.settings.customer_ids() {
            Ok(ids) => ids,
            Err(failure) => {
                self.findings.push(broken(Check::Configuration, failure));
                Vec::new()
            }
        };
        ids.extend(asked_for.iter().filter(|id| !ids.contains(id)).cloned().collect::<Vec<_>>());
        if ids.is_empty() {
            let finding = Finding::new(Check::Configuration, FindingSeverity::Warning, "the project has no customers");
            self.findings.push(finding.hint("'medallion customer add' makes one".to_owned()));
        }
        let mut customers = Vec::new();
        for id in ids {
            match self.settings.read_customer(&id) {
                Ok(customer) => {
                    let finding = Finding::new(Check::Configuration, FindingSeverity::Ok, "its file is sound").of(&id);
                    if asked_for.is_empty() || asked_for.contains(&id) {
                        self.findings.push(finding);
                    }
                    customers.push(customer);
                }
                Err(failure) if asked_for.is_empty() || asked_for.contains(&id) => {
                    self.findings.push(broken(Check::Configuration, failure).of(&id));
                }
                Err(_) => {}
            }
        }
        customers
    }
}

fn broken(check: Check, failure: Failure) -> Finding {
    let finding = Finding::new(check, FindingSeverity::Error, failure.message).hint(failure.hint);
    match failure.customer {
        Some(customer) => finding.of(&customer),
        None => finding,
    }
}

fn show(findings: &[Finding], format: Format) -> Result<(), Failure> {
    let mut listing = Listing::new(&["customer", "check", "severity", "message", "hint"]);
    for finding in findings {
        // People look for what is wrong; programs may want to know what was looked at.
        if format == Format::Table && finding.severity == FindingSeverity::Ok {
            continue;
        }
        listing.push(vec![
            json!(finding.customer),
            json!(finding.check.name()),
            json!(finding.severity.name()),
            json!(finding.message),
            json!(finding.hint),
        ]);
    }
    if format != Format::Table {
        return listing.write(format);
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (warnings, errors) = (count(FindingSeverity::Warning), count(FindingSeverity::Error));
    output::write(&format!("{} checks, {warnings} warnings, {errors} errors\n", findings.len()))?;
    if warnings + errors > 0 { listing.write(format) } else { Ok(()) }
}
