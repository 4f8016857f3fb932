//! Who hears of a run beside the person at the terminal: `[[notify]]`, `[openlineage]` and `[metrics]`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use url::Url;

use crate::environment;
use crate::error::DefinitionError;

/// The longest that a run may wait for anybody who hears of it.
const MAX_TIMEOUT_SECONDS: u64 = 300;

/// A value that no message, log or report may show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself, for whom it is meant.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// An address on the web. Its user, password, path and query may be secrets: it is shown without them.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Url);

impl Address {
    /// The address as a client needs it.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())?;
        self.0.port().map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// How a run ended, for those who want to hear of some ends only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Occasion {
    /// It could not be done: exit codes 1, 2, 7 and 130.
    Failure,
    /// It is done, be it without a new release.
    Success,
    /// A guard, rule or data test kept it from publishing: exit code 4.
    Guard,
}

impl Occasion {
    /// The name used in files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Failure => "failure",
            Self::Success => "success",
            Self::Guard => "guard",
        }
    }
}

/// How a notification is handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Channel {
    /// A program, started without a shell, that reads the notification from its standard input.
    Command {
        /// The program: a path, or a name that is looked up in `PATH`.
        program: String,
        /// Its arguments.
        arguments: Vec<Secret>,
    },
    /// An address that the notification is posted to.
    Webhook {
        /// The address.
        address: Address,
        /// Further headers.
        headers: BTreeMap<String, Secret>,
    },
}

/// Someone to be told how a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// On which ends.
    pub on: Vec<Occasion>,
    /// How.
    pub channel: Channel,
    /// How long that may take, further attempts included.
    pub timeout: Duration,
}

/// Where `OpenLineage` events are posted to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageEndpoint {
    /// The address that takes one event per request.
    pub address: Address,
    /// The key it wants as bearer token.
    pub api_key: Option<Secret>,
    /// How long posting all events of a run may take.
    pub timeout: Duration,
}

/// `OpenLineage` events: they are in every run's folder, and may be posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LineageOptions {
    /// The namespace of jobs.
    pub namespace: String,
    /// Where they are posted to.
    pub endpoint: Option<LineageEndpoint>,
}

impl Default for LineageOptions {
    fn default() -> Self {
        Self { namespace: "medallion".to_owned(), endpoint: None }
    }
}

/// Who hears of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reporting {
    /// Those who are told how it ended.
    pub notify: Vec<Notify>,
    /// Its `OpenLineage` events.
    pub openlineage: LineageOptions,
    /// The folder for metrics, one file per customer.
    pub metrics: Option<PathBuf>,
}

/// `[[notify]]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotifyKeys {
    #[serde(default = "bad_ends")]
    on: Vec<Occasion>,
    command: Option<Vec<String>>,
    webhook: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default = "ten_seconds")]
    timeout_seconds: u64,
}

/// `[openlineage]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineageKeys {
    url: Option<String>,
    #[serde(default = "lineage_path")]
    endpoint: String,
    api_key: Option<String>,
    #[serde(default = "lineage_namespace")]
    namespace: String,
    #[serde(default = "five_seconds")]
    timeout_seconds: u64,
}

/// `[metrics]` as written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricsKeys {
    folder: String,
}

fn bad_ends() -> Vec<Occasion> {
    vec![Occasion::Failure, Occasion::Guard]
}

fn ten_seconds() -> u64 {
    10
}

fn five_seconds() -> u64 {
    5
}

fn lineage_path() -> String {
    "api/v1/lineage".to_owned()
}

fn lineage_namespace() -> String {
    LineageOptions::default().namespace
}

/// Where the keys stand: messages name the file, relative paths start at its folder.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    pub file: &'a str,
    pub folder: &'a Path,
}

impl Place<'_> {
    fn wrong(&self, message: String) -> DefinitionError {
        DefinitionError::Contradiction { file: self.file.to_owned(), message }
    }

    fn expand(&self, key: &str, text: &str) -> Result<String, DefinitionError> {
        environment::expand(self.file, key, text)
    }

    /// An address with the environment's values put in; no message shows them.
    fn address(&self, key: &str, text: &str) -> Result<Address, DefinitionError> {
        let url = Url::parse(&self.expand(key, text)?);
        let sound = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
        match url {
            Ok(url) if sound(&url) => Ok(Address(url)),
            _ => Err(self.wrong(format!("{key} is not an address: expected http:// or https:// with a host"))),
        }
    }

    fn timeout(&self, key: &str, seconds: u64) -> Result<Duration, DefinitionError> {
        if (1..=MAX_TIMEOUT_SECONDS).contains(&seconds) {
            return Ok(Duration::from_secs(seconds));
        }
        Err(self.wrong(format!("{key} = {seconds} is not in 1 to {MAX_TIMEOUT_SECONDS}")))
    }
}

impl NotifyKeys {
    /// Checks the keys and puts the environment's values in.
    pub(crate) fn resolve(&self, place: Place<'_>) -> Result<Notify, DefinitionError> {
        if self.on.is_empty() {
            return Err(place.wrong("notify.on is empty: expected some of failure, success, guard".to_owned()));
        }
        let channel = match (&self.command, &self.webhook) {
            (Some(command), None) if self.headers.is_empty() => self::command(command, place)?,
            (Some(_), None) => return Err(place.wrong("notify.headers is for a webhook, not a command".to_owned())),
            (None, Some(webhook)) => {
                let headers = self.headers.iter().map(|(name, value)| {
                    let value = place.expand(&format!("notify.headers.{name}"), value)?;
                    if !is_header_name(name) || value.chars().any(|c| c.is_control()) {
                        return Err(place.wrong(format!("notify.headers.{name} is not a header of HTTP")));
                    }
                    Ok((name.clone(), Secret::new(value)))
                });
                Channel::Webhook {
                    address: place.address("notify.webhook", webhook)?,
                    headers: headers.collect::<Result<_, _>>()?,
                }
            }
            _ => return Err(place.wrong("[[notify]] needs either command or webhook".to_owned())),
        };
        let timeout = place.timeout("notify.timeout_seconds", self.timeout_seconds)?;
        Ok(Notify { on: self.on.clone(), channel, timeout })
    }
}

fn is_header_name(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

/// A program in another folder than those of `PATH` is looked for beside the file.
fn command(words: &[String], place: Place<'_>) -> Result<Channel, DefinitionError> {
    let words = words.iter().map(|word| place.expand("notify.command", word)).collect::<Result<Vec<_>, _>>()?;
    let Some((program, arguments)) = words.split_first().filter(|(program, _)| !program.trim().is_empty()) else {
        let message = "notify.command is empty: expected a program and its arguments".to_owned();
        return Err(place.wrong(message));
    };
    let has_folder = program.contains('/');
    let program = if has_folder { place.folder.join(program).display().to_string() } else { program.clone() };
    Ok(Channel::Command { program, arguments: arguments.iter().map(Secret::new).collect() })
}

impl LineageKeys {
    /// Checks the keys and puts the environment's values in.
    pub(crate) fn resolve(&self, place: Place<'_>) -> Result<LineageOptions, DefinitionError> {
        if self.namespace.trim().is_empty() {
            return Err(place.wrong("openlineage.namespace is empty".to_owned()));
        }
        let timeout = place.timeout("openlineage.timeout_seconds", self.timeout_seconds)?;
        let api_key = self.api_key.as_ref().map(|key| place.expand("openlineage.api_key", key)).transpose()?;
        let endpoint = match &self.url {
            Some(url) => {
                let url = format!("{}/{}", url.trim_end_matches('/'), self.endpoint.trim_start_matches('/'));
                let address = place.address("openlineage.url", url.trim_end_matches('/'))?;
                Some(LineageEndpoint { address, api_key: api_key.map(Secret::new), timeout })
            }
            None if api_key.is_some() => {
                return Err(place.wrong("openlineage.api_key needs openlineage.url".to_owned()));
            }
            None => None,
        };
        Ok(LineageOptions { namespace: self.namespace.clone(), endpoint })
    }
}

impl MetricsKeys {
    /// Puts the environment's values in; a relative folder starts at the file.
    pub(crate) fn resolve(&self, place: Place<'_>) -> Result<PathBuf, DefinitionError> {
        let folder = place.expand("metrics.folder", &self.folder)?;
        if folder.trim().is_empty() {
            return Err(place.wrong("metrics.folder is empty: expected the path of a folder".to_owned()));
        }
        Ok(place.folder.join(folder))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::customer::Project;

    fn reporting(text: &str) -> Result<Reporting, DefinitionError> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(Project::FILE), text).unwrap();
        Project::read(folder.path())?.unwrap().reporting(folder.path())
    }

    #[test]
    fn what_is_not_said_has_its_default() {
        assert_eq!(reporting("").unwrap(), Reporting::default());
        let found = reporting("[[notify]]\ncommand = ['page', '--team', 'data']\n").unwrap();
        let arguments = vec![Secret::new("--team"), Secret::new("data")];
        assert_eq!(
            found.notify,
            [Notify {
                on: vec![Occasion::Failure, Occasion::Guard],
                channel: Channel::Command { program: "page".to_owned(), arguments },
                timeout: Duration::from_secs(10),
            }]
        );
        let found = reporting("[openlineage]\nurl = 'http://marquez:5000/'\n").unwrap().openlineage;
        let endpoint = found.endpoint.unwrap();
        assert_eq!(endpoint.address.url().as_str(), "http://marquez:5000/api/v1/lineage");
        assert_eq!((found.namespace.as_str(), endpoint.timeout.as_secs()), ("medallion", 5));
    }

    #[test]
    fn paths_start_at_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let text = "[metrics]\nfolder = 'prom'\n[[notify]]\ncommand = ['./tell.sh']\n";
        std::fs::write(folder.path().join(Project::FILE), text).unwrap();
        let found = Project::read(folder.path()).unwrap().unwrap().reporting(folder.path()).unwrap();
        assert_eq!(found.metrics, Some(folder.path().join("prom")));
        let program = folder.path().join("./tell.sh").display().to_string();
        assert_eq!(found.notify[0].channel, Channel::Command { program, arguments: Vec::new() });
    }

    #[test]
    fn what_cannot_be_meant_is_named() {
        for (text, part) in [
            ("[[notify]]\n", "[[notify]] needs either command or webhook"),
            ("[[notify]]\ncommand = ['a']\nwebhook = 'http://b'\n", "needs either command or webhook"),
            ("[[notify]]\ncommand = []\n", "notify.command is empty"),
            ("[[notify]]\ncommand = ['a']\nheaders = { A = 'b' }\n", "notify.headers is for a webhook"),
            ("[[notify]]\non = []\ncommand = ['a']\n", "notify.on is empty"),
            ("[[notify]]\non = ['sucess']\ncommand = ['a']\n", "medallion.toml:2:7: unknown variant `sucess`"),
            ("[[notify]]\nwebhok = 'http://a'\n", "medallion.toml:2:1: unknown field `webhok`"),
            ("[[notify]]\nwebhook = 'ftp://a'\n", "notify.webhook is not an address"),
            ("[[notify]]\nwebhook = 'http://a'\nheaders = { 'a b' = 'c' }\n", "notify.headers.a b is not a header"),
            ("[[notify]]\nwebhook = 'http://a/${MEDALLION_TEST_UNSET}'\n", "notify.webhook refers to the environment"),
            ("[[notify]]\nwebhook = 'http://a'\ntimeout_seconds = 301\n", "= 301 is not in 1 to 300"),
            ("[openlineage]\napi_key = 'k'\n", "openlineage.api_key needs openlineage.url"),
            ("[openlineage]\nurl = 'marquez:5000'\n", "openlineage.url is not an address"),
            ("[metrics]\nfolder = ''\n", "metrics.folder is empty"),
            ("[metrics]\nfile = 'x'\n", "medallion.toml:2:1: unknown field `file`"),
        ] {
            let error = reporting(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn secrets_are_never_shown() {
        let text = "[[notify]]\nwebhook = 'https://me:pass@hooks.example.com:8443/T0/secret?key=secret'\n\
                    headers = { Authorization = 'Bearer secret' }\n\
                    [[notify]]\ncommand = ['page', 'secret']\n\
                    [openlineage]\nurl = 'https://lineage.example.com'\napi_key = 'secret'\n";
        let shown = format!("{:?}", reporting(text).unwrap());
        assert!(shown.contains("https://hooks.example.com:8443"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("pass"), "{shown}");
    }
}
