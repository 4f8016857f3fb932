//! `medallion init`

use std::fs;
use std::path::Path;

use crate::builtin;
use crate::console::Console;
use crate::exit::{Exit, Failure};

const PROJECT: &str = "\
# What all customers of this project share. Paths start at this file.
pipeline = \"pipelines/totara\"
lake = \"lake\"

# [defaults]
# memory_limit = \"2GiB\"
# keep_releases = 14
";

const CUSTOMER: &str = "\
# A customer: copy this file to <id>.toml. The id is a-z, 0-9, - and _.
# The folder the nightly exports arrive in; relative paths start at this file.
source = \"../exports/example\"
# name = \"Example Ltd\"
# timezone = \"Europe/Berlin\"
# fiscal_year.start_month = 7
# settle_seconds = 60    # a file written to less than a minute ago waits for the next run
# after = \"archive\"    # what is in bronze is moved to the folder archive in the drop folder
";

pub(crate) fn init(folder: &Path, console: &Console) -> Result<Exit, Failure> {
    let failed = |path: &Path, error: &std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot create {}: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    let mut entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    if entries.next().is_some() {
        return Err(Failure::configuration(format!(
            "{} is not empty; a project starts in a new folder",
            folder.display()
        )));
    }
    let pipeline = builtin::files(builtin::DEFAULT).unwrap_or_default();
    let files = pipeline.iter().map(|(path, text)| (format!("pipelines/{}/{path}", builtin::DEFAULT), text.as_str()));
    let own = [("medallion.toml", PROJECT), ("customers/example.toml.template", CUSTOMER)];
    for (path, text) in own.into_iter().map(|(path, text)| (path.to_owned(), text)).chain(files) {
        let path = folder.join(path);
        let parent = path.parent().unwrap_or(folder);
        fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        fs::write(&path, text).map_err(|error| failed(&path, &error))?;
    }
    console.note(&format!(
        "{}: medallion.toml, customers/ and pipelines/{} are there; next, 'medallion --project {} customer add \
         <id> --source <folder>', then 'run -c <id>'; the lake will be {}",
        folder.display(),
        builtin::DEFAULT,
        folder.display(),
        folder.join("lake").display()
    ));
    Ok(Exit::Done)
}
