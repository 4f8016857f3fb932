//! The folder that exports arrive in.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use medallion_bronze::{BronzeError, discover};
use medallion_pipeline::{After, Customer, Pipeline};

use super::{Check, Examination, Finding, error, ok, warning};

/// What is in a drop folder.
#[derive(Debug, Default)]
pub struct SourceLook {
    /// The sources of which there are files, with how many.
    pub found: BTreeMap<String, usize>,
    /// Required sources of which there is none.
    pub missing: Vec<String>,
    /// Files that no source claims.
    pub unclaimed: Vec<String>,
}

/// Looks at the names of the files in a customer's drop folder; nothing is read.
///
/// # Errors
/// If the folder cannot be listed, or two sources claim a file.
pub fn look_at_source(customer: &Customer, pipeline: &Pipeline, now: DateTime<Utc>) -> Result<SourceLook, BronzeError> {
    let discovery = discover(&customer.source, pipeline.sources.values(), &customer.arrival, now)?;
    let mut look = SourceLook { unclaimed: discovery.unclaimed, ..SourceLook::default() };
    for (source, exports) in discovery.exports {
        *look.found.entry(source).or_default() += exports.iter().map(|export| export.files.len()).sum::<usize>();
    }
    for file in discovery.waiting.iter().chain(&discovery.refused) {
        *look.found.entry(file.source.clone()).or_default() += 1;
    }
    let required = pipeline.sources.iter().filter(|(_, source)| source.source.required);
    look.missing = required.map(|(name, _)| name.clone()).filter(|name| !look.found.contains_key(name)).collect();
    Ok(look)
}

impl Examination<'_> {
    pub(super) fn drop_folder(&self) -> Vec<Finding> {
        let folder = self.customer.source.display();
        let look = match look_at_source(self.customer, self.pipeline, self.now) {
            Ok(look) => look,
            Err(problem) => {
                let hint = problem.hint().or_else(|| {
                    Some("check that the folder is there, and that the user who runs medallion may list it".to_owned())
                });
                return vec![error(Check::DropFolder, problem.to_string()).hint(hint)];
            }
        };
        let files: usize = look.found.values().sum();
        let mut findings =
            vec![ok(Check::DropFolder, format!("{folder} has {files} files of {} sources", look.found.len()))];
        if !look.unclaimed.is_empty() {
            let some: Vec<&str> = look.unclaimed.iter().take(3).map(String::as_str).collect();
            let message = format!("{folder} has {} files of no source: {}", look.unclaimed.len(), some.join(", "));
            let hint = "rename or remove them; bronze/<source>.toml has the patterns";
            findings.push(warning(Check::DropFolder, message, hint));
        }
        // Files that are to be moved or removed need a folder that lets them go.
        if self.customer.arrival.after != After::Keep
            && let Err(problem) = tempfile::tempfile_in(&self.customer.source)
        {
            let message = format!("files cannot be put away from {folder}: {problem}");
            let hint = "give the user who runs medallion the right to write there, or set after = \"keep\"";
            findings.push(warning(Check::DropFolder, message, hint));
        }
        findings
    }
}
