//! From arguments, medallion.toml and customer files to what a command needs, resolved once.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytesize::ByteSize;
use medallion_lake::{LakeLocation, Release};
use medallion_pipeline::{Customer, CustomerId, Pipeline, Project, Reporting, Selection, TableName, read_folder};
use medallion_runner::{RunError, RunOptions, modified};
use medallion_sql::SqlOptions;

use crate::arguments::{GlobalArguments, PlaceArguments, RunArguments, SelectionArguments};
use crate::builtin;
use crate::children;
use crate::exit::{Exit, Failure};

/// With less a query cannot even spill.
const MINIMUM_MEMORY: ByteSize = ByteSize::mib(32);

/// A project's folder with its settings.
pub(crate) struct ProjectSettings {
    folder: PathBuf,
    project: Project,
}

impl ProjectSettings {
    pub(crate) fn read(global: &GlobalArguments) -> Result<Self, Failure> {
        let folder = global.project.clone();
        if !folder.is_dir() {
            return Err(Failure::configuration(format!("the project folder {} does not exist", folder.display())));
        }
        let project = Project::read(&folder)?.unwrap_or_default();
        Ok(Self { folder, project })
    }

    /// Where the lakes are: the option's path starts at the current folder, the file's at the file.
    pub(crate) fn lake(&self, place: &PlaceArguments) -> String {
        if let Some(lake) = &place.lake {
            return lake.clone();
        }
        match &self.project.lake {
            Some(lake) if lake.contains("://") => lake.clone(),
            Some(lake) => self.folder.join(lake).display().to_string(),
            None => "lake".to_owned(),
        }
    }

    /// Who hears of runs, whichever customer they are of.
    pub(crate) fn reporting(&self) -> Result<Reporting, Failure> {
        Ok(self.project.reporting(&self.folder)?)
    }

    /// The names of the environment's variables that the project's file refers to.
    pub(crate) fn variables(&self) -> BTreeSet<String> {
        let text = std::fs::read_to_string(self.folder.join(Project::FILE));
        text.map(|text| medallion_pipeline::variables(&text)).unwrap_or_default()
    }

    /// Where the lakes are, with what the project's file says of their storage.
    pub(crate) fn lakes(&self, place: &PlaceArguments) -> Result<LakeLocation, Failure> {
        let address = self.lake(place);
        let storage = if is_local(&address) { BTreeMap::new() } else { self.project.storage(&self.folder)? };
        Ok(LakeLocation { address, storage })
    }

    /// Where a customer's lake is, with what the project's file and its own, if it has one, say of the storage.
    pub(crate) fn lake_of(&self, place: &PlaceArguments, id: &str) -> Result<LakeLocation, Failure> {
        let location = self.lakes(place)?;
        let path = self.customer_file(id);
        if is_local(&location.address) || !path.is_file() {
            return Ok(location);
        }
        let customer = Customer::read(&path).map_err(|error| Failure::from(error).customer(id))?;
        Ok(with_storage(location, &customer))
    }

    /// How many releases `vacuum` keeps, if the project says so.
    pub(crate) fn keep_releases(&self) -> Option<NonZeroU32> {
        self.project.defaults.keep_releases
    }

    pub(crate) fn pipeline(&self, place: &PlaceArguments) -> Result<Pipeline, Failure> {
        let (name, start) = match (&place.pipeline, &self.project.pipeline) {
            (Some(option), _) => (option.as_str(), Path::new("")),
            (None, Some(file)) => (file.as_str(), self.folder.as_path()),
            (None, None) => (builtin::DEFAULT, Path::new("")),
        };
        let folder = start.join(name);
        let files = if folder.join("pipeline.toml").is_file() {
            read_folder(&folder)?
        } else {
            builtin::files(name).ok_or_else(|| {
                let known = builtin::NAMES.join(", ");
                Failure::configuration(format!(
                    "there is no pipeline '{name}': no folder {} with a pipeline.toml, and no \
                                                built-in one of that name",
                    folder.display()
                ))
                .hint(format!("built-in pipelines: {known}"))
            })?
        };
        Ok(Pipeline::load(&files)?)
    }

    /// The customers a run is for, each once. One that has no sound id or file is a failure of its own.
    pub(crate) fn customers(&self, run: &RunArguments) -> Result<Vec<Result<Customer, Failure>>, Failure> {
        let mut ids: Vec<String> = Vec::new();
        for id in if run.all { self.all_customers()? } else { run.customers.clone() } {
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        if run.source.is_some() && ids.len() > 1 {
            return Err(Failure::configuration("--source is for one customer; several were named"));
        }
        Ok(ids.iter().map(|id| self.customer(id, run).map_err(|failure| failure.customer(id))).collect())
    }

    pub(crate) fn customer(&self, id: &str, run: &RunArguments) -> Result<Customer, Failure> {
        let path = self.customer_file(id);
        let id = customer_id(id).map_err(|failure| {
            failure.hint(run.all.then(|| format!("rename {}, or move it out of the folder", path.display())))
        })?;
        if path.is_file() {
            let mut customer = Customer::read(&path)?;
            if let Some(source) = &run.source {
                customer.source.clone_from(source);
            }
            return Ok(customer);
        }
        let source = run.source.clone().ok_or_else(|| {
            Failure::configuration(format!(
                "customer {id}: there is no {} and no --source; a run needs the folder the exports arrive in",
                path.display()
            ))
        })?;
        Ok(Customer::without_file(id, source))
    }

    /// The project's folder.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The file of a customer, which need not be there.
    pub(crate) fn customer_file(&self, id: &str) -> PathBuf {
        self.customers_folder().join(format!("{id}.toml"))
    }

    /// The customer that its file describes.
    pub(crate) fn read_customer(&self, id: &str) -> Result<Customer, Failure> {
        customer_id(id)?;
        Customer::read(&self.customer_file(id)).map_err(|error| Failure::from(error).customer(id))
    }

    /// The names of the files in customers/, in order, also those that are no ids; none if there is no such folder.
    pub(crate) fn customer_ids(&self) -> Result<Vec<String>, Failure> {
        if self.customers_folder().is_dir() { self.files_of_customers() } else { Ok(Vec::new()) }
    }

    fn customers_folder(&self) -> PathBuf {
        self.folder.join("customers")
    }

    /// What stands where ids should: the names of all customer files, sorted.
    pub(crate) fn all_customers(&self) -> Result<Vec<String>, Failure> {
        let ids = self.files_of_customers()?;
        if ids.is_empty() {
            let folder = self.customers_folder();
            return Err(Failure::configuration(format!("there is no customer file in {}", folder.display())));
        }
        Ok(ids)
    }

    fn files_of_customers(&self) -> Result<Vec<String>, Failure> {
        let folder = self.customers_folder();
        let failed = |error: std::io::Error| {
            Failure::configuration(format!("cannot list {}: {error}", folder.display())).hint(
                "--all runs every customer in the project's customers/: name the project's folder with --project, or \
                 make one with 'medallion init'"
                    .to_owned(),
            )
        };
        let mut ids = Vec::new();
        for entry in std::fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
            if !hidden && path.extension().is_some_and(|ending| ending == "toml") {
                ids.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
            }
        }
        ids.sort();
        Ok(ids)
    }

    /// The tables that a reading command is about; `None` is all.
    pub(crate) fn selected(
        &self,
        selection: &SelectionArguments,
        customer: &CustomerId,
        pipeline: &Pipeline,
        release: Option<&Release>,
    ) -> Result<Option<BTreeSet<TableName>>, Failure> {
        let Some(selection) = selection.parse()? else { return Ok(None) };
        let path = self.customer_file(customer.as_str());
        let own = match selection.needs_state() && path.is_file() {
            true => Some(pipeline.for_customer(&Customer::read(&path)?)?),
            false => None,
        };
        let modified = match selection.needs_state() {
            true => modified(own.as_ref().unwrap_or(pipeline), release)
                .map_err(|cause| RunError { customer: customer.clone(), cause })?,
            false => BTreeSet::new(),
        };
        Ok(Some(selection.resolve(pipeline, &modified)?))
    }

    pub(crate) fn sql(&self, memory_limit: Option<&String>) -> Result<SqlOptions, Failure> {
        let threads = children::threads().unwrap_or(SqlOptions::default().threads);
        let Some(text) = memory_limit.or(self.project.defaults.memory_limit.as_ref()) else {
            return Ok(SqlOptions { memory_limit: None, threads });
        };
        let size: ByteSize = text.parse().map_err(|_| {
            Failure::configuration(format!("'{text}' is not a size"))
                .hint("write for instance 512MiB or 2GiB".to_owned())
        })?;
        if size < MINIMUM_MEMORY {
            return Err(Failure::configuration(format!(
                "a memory limit of '{text}' is too small: the minimum is {MINIMUM_MEMORY}"
            )));
        }
        let limit = usize::try_from(size.as_u64()).unwrap_or(usize::MAX);
        Ok(SqlOptions { memory_limit: Some(limit), threads })
    }

    pub(crate) fn run_options(&self, run: &RunArguments) -> Result<Vec<Result<RunOptions, Failure>>, Failure> {
        let pipeline = Arc::new(self.pipeline(&run.place)?);
        let selection = check_names(run, &pipeline)?;
        let sql = self.sql(run.memory_limit.as_ref())?;
        let reporting = self.reporting()?;
        let lakes = self.lakes(&run.place)?;
        let options = |customer: Result<Customer, Failure>| {
            let customer = customer?;
            Ok(RunOptions {
                pipeline: own_pipeline(&pipeline, &customer)?,
                lake: with_storage(lakes.clone(), &customer),
                customer,
                as_of: run.as_of,
                sql: sql.clone(),
                full_refresh: run.full_refresh,
                resume: run.resume,
                accept_schema: run.accept_schema.iter().cloned().collect(),
                accept_shrink: run.accept_shrink.iter().cloned().collect(),
                gate: Arc::new(medallion_lake::OpenGate),
                interrupt: medallion_runner::Interrupt::default(),
                selection: selection.clone(),
                reporting: reporting.clone(),
            })
        };
        Ok(self.customers(run)?.into_iter().map(options).collect())
    }
}

/// That the options name what the pipeline has; says what they select.
pub(crate) fn check_names(run: &RunArguments, pipeline: &Pipeline) -> Result<Option<Selection>, Failure> {
    for source in &run.accept_shrink {
        pipeline.check_source("--accept-shrink", source)?;
    }
    for table in &run.accept_schema {
        pipeline.check_table("--accept-schema", table)?;
    }
    let selection = run.selection.parse()?;
    selection.iter().try_for_each(|selection| selection.check(pipeline))?;
    Ok(selection)
}

fn is_local(address: &str) -> bool {
    address.split_once("://").is_none_or(|(scheme, _)| scheme.eq_ignore_ascii_case("file"))
}

/// What a customer's file says of the storage goes before what the project's says.
fn with_storage(mut location: LakeLocation, customer: &Customer) -> LakeLocation {
    if !is_local(&location.address) {
        location.storage.extend(customer.storage.clone());
    }
    location
}

/// The pipeline as the customer's file has it; customers without a word on sources and silver share one.
pub(crate) fn own_pipeline(pipeline: &Arc<Pipeline>, customer: &Customer) -> Result<Arc<Pipeline>, Failure> {
    if customer.sources.is_empty() && customer.silver.is_empty() {
        return Ok(Arc::clone(pipeline));
    }
    let own = pipeline.for_customer(customer).map_err(|error| Failure::from(error).customer(customer.id.as_str()))?;
    Ok(Arc::new(own))
}

/// A customer id from the command line.
pub(crate) fn customer_id(text: &str) -> Result<CustomerId, Failure> {
    text.parse()
        .map_err(|error: medallion_pipeline::DefinitionError| Failure::new(Exit::Configuration, error.to_string()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    /// What `medallion run` makes of the customers `plain` and `own`, whose file has the given lines on sources.
    fn resolve(own: &str, options: &[&str]) -> Result<Vec<Result<RunOptions, Failure>>, Failure> {
        let folder = tempfile::tempdir().unwrap();
        let customers = folder.path().join("customers");
        std::fs::create_dir(&customers).unwrap();
        std::fs::write(customers.join("plain.toml"), "source = \"drop\"\n").unwrap();
        std::fs::write(customers.join("own.toml"), format!("source = \"drop\"\n{own}\n")).unwrap();
        let project = folder.path().to_str().unwrap();
        let start = ["medallion", "--project", project, "run", "-c", "own", "-c", "plain"];
        let Arguments { global, command } = Arguments::try_parse_from(start.iter().chain(options)).unwrap();
        let Command::Run(run) = command else { panic!("not a run") };
        ProjectSettings::read(&global)?.run_options(&run.run)
    }

    #[test]
    fn a_customers_sources_are_its_own() {
        let options = resolve("[sources.seminar_attendance]\nrequired = true", &[]).unwrap();
        let required: Vec<bool> = options
            .iter()
            .map(|options| options.as_ref().unwrap().pipeline.sources["seminar_attendance"].source.required)
            .collect();
        assert_eq!(required, [true, false]);
    }

    #[test]
    fn an_override_of_no_source_is_that_customers_own_failure() {
        let options = resolve("[sources.user]\nrequired = true", &[]).unwrap();
        let failure = options[0].as_ref().unwrap_err();
        assert_eq!((failure.exit, failure.customer.as_deref()), (Exit::Configuration, Some("own")));
        let expected = "own.toml:2:10: there is no source 'user' in the pipeline totara";
        assert!(failure.message.ends_with(expected), "{}", failure.message);
        assert_eq!(failure.hint.as_deref(), Some("did you mean 'users'?"));
        assert!(options[1].is_ok(), "the other customer runs");
    }

    #[test]
    fn shrinking_is_accepted_of_known_sources_only() {
        let failure = resolve("", &["--accept-shrink", "users", "--accept-shrink", "scrom"]).unwrap_err();
        assert_eq!(failure.exit, Exit::Configuration);
        assert_eq!(failure.message, "--accept-shrink: there is no source 'scrom' in the pipeline totara");
        assert_eq!(failure.hint.as_deref(), Some("did you mean 'scorm'?"));
    }
}
