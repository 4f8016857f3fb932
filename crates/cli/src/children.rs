//! How the process of one customer is started: this program again, with what the customer needs and no more.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;

use medallion_pipeline::variables;
use medallion_runner::fleet::{ChildCommand, memory_share, threads_share};

use crate::arguments::{GlobalArguments, PlaceArguments, RunArguments, SelectionArguments};
use crate::exit::{Exit, Failure};
use crate::settings::ProjectSettings;

/// The variable that tells a customer's process how many threads SQL may use. The others are those of the libraries.
const THREADS: &str = "MEDALLION_THREADS";
const LIBRARY_THREADS: [&str; 3] = ["POLARS_MAX_THREADS", "RAYON_NUM_THREADS", "TOKIO_WORKER_THREADS"];

/// Variables that programs need as such: a customer's file that refers to one takes it from nobody.
const COMMON: [&str; 14] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "TZ",
    "TMPDIR",
    "TMP",
    "TEMP",
    "PWD",
    "HOSTNAME",
    "NO_COLOR",
    "SYSTEMROOT",
];
const COMMON_BEGINNINGS: [&str; 8] = ["MEDALLION_", "LC_", "RUST_", "AWS_", "AZURE_", "GOOGLE_", "SSL_", "XDG_"];

/// How many threads SQL may use, if the process that started this one says so.
pub(crate) fn threads() -> Option<usize> {
    std::env::var(THREADS).ok()?.parse().ok().filter(|threads| *threads > 0)
}

/// How a machine is shared between customers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shares {
    /// Customers at the same time.
    pub jobs: NonZeroUsize,
    /// Threads of each.
    pub threads: usize,
    /// Memory for each customer's SQL in bytes; `None` if it was given.
    pub memory: Option<u64>,
}

impl Shares {
    /// The shares of so many customers; by default as many run at the same time as there are cores.
    pub(crate) fn new(jobs: Option<NonZeroUsize>, customers: usize, is_memory_given: bool) -> Self {
        let cores = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let jobs = jobs.unwrap_or(cores).min(NonZeroUsize::new(customers).unwrap_or(NonZeroUsize::MIN));
        let memory = (!is_memory_given).then(|| memory_share(jobs.get()));
        Self { jobs, threads: threads_share(cores.get(), jobs.get()), memory }
    }
}

/// What the processes of all customers have in common.
pub(crate) struct Children {
    program: PathBuf,
    before: Vec<OsString>,
    after: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    /// The variables that each customer's file refers to.
    variables: BTreeMap<String, BTreeSet<String>>,
    /// Those of them that only these customers get.
    withheld: Arc<BTreeSet<String>>,
}

impl Children {
    pub(crate) fn new(
        global: &GlobalArguments,
        run: &RunArguments,
        settings: &ProjectSettings,
        shares: Shares,
    ) -> Result<Self, Failure> {
        let program = std::env::current_exe()
            .map_err(|error| Failure::new(Exit::Failed, format!("this program cannot find itself: {error}")))?;
        let threads = OsString::from(shares.threads.to_string());
        let own = std::iter::once(THREADS).chain(LIBRARY_THREADS);
        let is_set = |name: &&str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let environment = own.filter(|name| !is_set(name)).map(|name| (name, threads.clone())).collect();
        let before = ["run", "--log-format", "json", "--no-progress", "--project"].map(OsString::from);
        let before = before.into_iter().chain([global.project.clone().into_os_string()]).collect();
        let (variables, shared) = (variables_of_customers(settings), settings.variables());
        let referred = variables.values().flatten();
        let withheld = referred.filter(|name| !shared.contains(*name) && !is_common(name)).cloned().collect();
        Ok(Self { program, before, after: options(run, shares), environment, variables, withheld: Arc::new(withheld) })
    }

    /// How a customer's process is started.
    pub(crate) fn command(&self, customer: &str) -> ChildCommand {
        let mut arguments = self.before.clone();
        arguments.push(format!("--customer={customer}").into());
        arguments.extend(self.after.iter().cloned());
        ChildCommand {
            program: self.program.clone(),
            arguments,
            environment: self.environment.clone(),
            withheld: Arc::clone(&self.withheld),
            own: self.variables.get(customer).cloned().unwrap_or_default(),
        }
    }
}

/// The options of `run` that concern each customer. Every field is named, so that no new one is forgotten.
fn options(run: &RunArguments, shares: Shares) -> Vec<OsString> {
    let RunArguments {
        customers: _,
        all: _,
        source,
        as_of,
        memory_limit,
        accept_shrink,
        accept_schema,
        full_refresh,
        resume,
        selection: SelectionArguments { select, exclude },
        place: PlaceArguments { lake, pipeline },
    } = run;
    let mut options = Vec::new();
    let mut give = |name: &str, value: OsString| {
        let mut option = OsString::from(format!("{name}="));
        option.push(value);
        options.push(option);
    };
    source.iter().for_each(|source| give("--source", source.clone().into_os_string()));
    as_of.iter().for_each(|as_of| give("--as-of", as_of.to_string().into()));
    let share = shares.memory.map(|bytes| format!("{bytes}B"));
    memory_limit.iter().chain(&share).for_each(|limit| give("--memory-limit", limit.into()));
    accept_shrink.iter().for_each(|source| give("--accept-shrink", source.into()));
    accept_schema.iter().for_each(|table| give("--accept-schema", table.into()));
    select.iter().for_each(|select| give("--select", select.into()));
    exclude.iter().for_each(|exclude| give("--exclude", exclude.into()));
    lake.iter().for_each(|lake| give("--lake", lake.into()));
    pipeline.iter().for_each(|pipeline| give("--pipeline", pipeline.into()));
    let flags = [("--full-refresh", *full_refresh), ("--resume", *resume)];
    options.extend(flags.into_iter().filter(|(_, is_given)| *is_given).map(|(name, _)| name.into()));
    options
}

/// What the files of all customers of the project refer to, also of those that are not run now.
fn variables_of_customers(settings: &ProjectSettings) -> BTreeMap<String, BTreeSet<String>> {
    // Who has no customer files has nothing to keep apart.
    let ids = settings.all_customers().unwrap_or_default();
    let read = |id: String| {
        let text = std::fs::read_to_string(settings.customer_file(&id)).ok()?;
        let names = variables(&text);
        (!names.is_empty()).then_some((id, names))
    };
    ids.into_iter().filter_map(read).collect()
}

fn is_common(name: &str) -> bool {
    COMMON.contains(&name) || COMMON_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)]

    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn children(arguments: &[&str], change: impl FnOnce(&std::path::Path)) -> Children {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("customers")).unwrap();
        change(folder.path());
        let project = folder.path().to_str().unwrap();
        let arguments = ["medallion", "--project", project, "run"].into_iter().chain(arguments.iter().copied());
        let Arguments { global, command } = Arguments::try_parse_from(arguments).unwrap();
        let Command::Run(run) = command else { panic!("not a run") };
        let settings = ProjectSettings::read(&global).unwrap();
        let shares = Shares { jobs: NonZeroUsize::MIN, threads: 3, memory: Some(1 << 30) };
        Children::new(&global, &run.run, &settings, shares).unwrap()
    }

    /// The options of the customer's process, without the global ones.
    fn parsed(command: &ChildCommand) -> RunArguments {
        let program = [OsString::from("medallion")];
        let arguments = Arguments::try_parse_from(program.iter().chain(&command.arguments)).unwrap();
        let Command::Run(run) = arguments.command else { panic!("not a run") };
        assert!(!run.fleet.is_given(), "a customer's process is no fleet");
        run.run
    }

    #[test]
    fn a_customers_process_gets_the_options_of_the_fleet() {
        let given = [
            "--all",
            "--as-of",
            "2025-06-30",
            "--accept-shrink",
            "users",
            "--accept-schema",
            "gold.dim_user",
            "--full-refresh",
            "--resume",
            "--lake",
            "the lake",
            "--pipeline",
            "totara",
            "--jobs",
            "4",
        ];
        let run = parsed(&children(&given, |_| {}).command("acme"));
        assert_eq!((run.customers.as_slice(), run.all), (["acme".to_owned()].as_slice(), false));
        assert_eq!(run.as_of.unwrap().to_string(), "2025-06-30");
        assert_eq!(
            (run.accept_shrink, run.accept_schema),
            (vec!["users".to_owned()], vec!["gold.dim_user".to_owned()])
        );
        assert!(run.full_refresh && run.resume);
        assert_eq!((run.place.lake.as_deref(), run.place.pipeline.as_deref()), (Some("the lake"), Some("totara")));
        assert_eq!(run.memory_limit.as_deref(), Some("1073741824B"));
    }

    #[test]
    fn an_id_that_looks_like_an_option_stays_an_id() {
        assert_eq!(parsed(&children(&["--all"], |_| {}).command("--all")).customers, ["--all"]);
    }

    #[test]
    fn a_customer_gets_no_variable_that_only_others_refer_to() {
        let children = children(&["--all"], |folder| {
            for (id, names) in [("acme", "${ACME_KEY}/${HOME}/${LAKE}/${BOTH}"), ("globex", "${GLOBEX_KEY}/${BOTH}")] {
                std::fs::write(folder.join(format!("customers/{id}.toml")), format!("source = \"{names}\"\n")).unwrap();
            }
            // In a comment, as a variable that is used would have to be set.
            std::fs::write(folder.join("medallion.toml"), "# ${LAKE}\n").unwrap();
        });
        let without = |id: &str| {
            let command = children.command(id);
            command.withheld.difference(&command.own).cloned().collect::<Vec<_>>()
        };
        assert_eq!(without("acme"), ["GLOBEX_KEY"]);
        assert_eq!(without("globex"), ["ACME_KEY"]);
        assert_eq!(without("initech"), ["ACME_KEY", "BOTH", "GLOBEX_KEY"]);
    }
}
