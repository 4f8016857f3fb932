//! Object storage for tests: the S3 server of `tests/object_storage` over a temporary folder.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

const BUCKET: &str = "lakes";
/// Where in the bucket the lake is.
const PREFIX: &str = "nightly/demo";

/// A server with one bucket, which ends with the test.
pub(crate) struct Storage {
    folder: TempDir,
    /// Where the program keeps its local copies.
    scratch: TempDir,
    server: Child,
    port: u16,
}

impl Storage {
    /// Storage that answers every request.
    pub(crate) fn new() -> Self {
        Self::start(None)
    }

    /// Storage that answers every `n`th request with "busy".
    pub(crate) fn busy(n: u64) -> Self {
        Self::start(Some(n))
    }

    fn start(busy_every: Option<u64>) -> Self {
        let (folder, scratch) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let mut command = Command::new(program());
        command.arg(folder.path()).args(busy_every.map(|n| n.to_string())).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(server.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().parse().unwrap();
        Self { folder, scratch, server, port }
    }

    /// The lake's URL.
    pub(crate) fn address(&self) -> String {
        format!("s3://{BUCKET}/{PREFIX}")
    }

    /// The objects of the lake as files.
    pub(crate) fn lake(&self) -> PathBuf {
        self.folder.path().join(BUCKET).join(PREFIX)
    }

    /// The folder for local copies.
    pub(crate) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Lets a command find and use the server.
    pub(crate) fn show(&self, command: &mut Command) {
        command.env("AWS_ACCESS_KEY_ID", "test-key").env("AWS_SECRET_ACCESS_KEY", "test-secret");
        command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{}", self.port)).env("AWS_ALLOW_HTTP", "true");
        command.env("AWS_REGION", "eu-central-1").env("TMPDIR", self.scratch());
    }

    /// What a file has to say so that the program finds and uses the server, if the variables `KEY` and `SECRET` are set.
    pub(crate) fn settings(&self) -> String {
        format!(
            "[storage]\nAWS_ENDPOINT = \"http://127.0.0.1:{}\"\nAWS_ALLOW_HTTP = \"true\"\nAWS_REGION = \"eu-central-1\"\n\
             AWS_ACCESS_KEY_ID = \"${{KEY}}\"\nAWS_SECRET_ACCESS_KEY = \"${{SECRET}}\"\n",
            self.port
        )
    }

    /// Makes a customer's lock look as if its holder was not heard of for two minutes and a bit.
    pub(crate) fn age_lock(&self, customer: &str) {
        let path = self.lake().join(customer).join("_medallion/lock");
        if let Ok(lock) = std::fs::File::options().write(true).open(path) {
            lock.set_modified(SystemTime::now() - Duration::from_secs(125)).unwrap();
        }
    }
}

impl Drop for Storage {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The server, built the first time it is asked for: it is a package of its own.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("object-storage");
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/object_storage/Cargo.toml");
        let mut command = Command::new(env!("CARGO"));
        command.args(["build", "--release", "--locked", "--quiet", "--target-dir"]).arg(&target);
        let built = command.arg("--manifest-path").arg(manifest).status().unwrap();
        assert!(built.success(), "the server of tests/object_storage cannot be built");
        target.join("release/object-storage")
    })
}
