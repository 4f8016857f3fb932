//! Object storage: a bucket, a container or a part of one, as the lake uses it.
//!
//! The rest of the lake waits for its storage as for a disk. So does this module: its requests run on threads of their
//! own, whoever asks waits for the answer.

use std::error::Error as _;
use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::aws::AmazonS3ConfigKey;
use object_store::azure::AzureConfigKey;
use object_store::client::{HttpError, HttpErrorKind};
use object_store::gcp::GoogleConfigKey;
use object_store::path::Path as StorePath;
use object_store::{
    ObjectMeta, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, UpdateVersion, WriteMultipart,
};
use tokio::runtime::{Builder, Handle, Runtime, RuntimeFlavor};
use url::Url;

use crate::error::LakeError;
use crate::location::LakeLocation;
use crate::place::without_credentials;

/// Larger files are uploaded in parts of this size, in bytes.
const PART: usize = 8 << 20;
/// Files of up to so many bytes are uploaded in one request.
pub(crate) const AT_ONCE: usize = 2 * PART;
/// Parts of a file that are on their way at the same time.
const PARTS_AT_ONCE: usize = 4;
/// Threads that speak with object storage.
const THREADS: usize = 2;

/// The URLs of object storage.
const SCHEMES: [&str; 8] = ["s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"];
/// How the names of the environment's settings begin.
const PROVIDERS: [&str; 3] = ["AWS_", "AZURE_", "GOOGLE_"];

/// A place in object storage, and what it is called.
#[derive(Debug, Clone)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    prefix: StorePath,
    address: String,
}

/// What object storage answered instead of doing what was asked.
#[derive(Debug)]
pub(crate) struct BucketError {
    source: object_store::Error,
}

impl fmt::Display for BucketError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.source)
    }
}

impl std::error::Error for BucketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

impl Bucket {
    /// Whether a URL of this scheme names object storage.
    pub(crate) fn knows(scheme: &str) -> bool {
        SCHEMES.contains(&scheme)
    }

    /// The place a URL names. Credentials and further settings are those of the location, else of the environment, under
    /// the names that the providers' own tools use, such as `AWS_ACCESS_KEY_ID`. Nothing is asked of the storage yet.
    ///
    /// # Errors
    /// If the URL is not one of a known storage, or a setting is not usable.
    pub(crate) fn connect(location: &LakeLocation) -> Result<Self, LakeError> {
        let LakeLocation { address: location, storage } = location;
        let invalid = |problem: String| LakeError::Storage { location: without_credentials(location), problem };
        let url = Url::parse(location).map_err(|error| invalid(error.to_string()))?;
        // Azure's addresses have the container there.
        let is_container = url.scheme().starts_with("abfs") && url.password().is_none();
        if !(url.username().is_empty() || is_container) || url.password().is_some() || url.query().is_some() {
            let problem = "credentials and settings belong into the environment, not into the address";
            return Err(invalid(problem.to_owned()));
        }
        if let Some(name) = storage.keys().find(|name| !is_setting(name)) {
            return Err(invalid(format!("'{name}' is no setting of its storage that is known")));
        }
        let text = |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let settings = std::env::vars_os().filter_map(text);
        // Names without a provider, such as TOKEN or REGION, are somebody else's.
        let settings = settings.filter(|(name, _)| PROVIDERS.iter().any(|provider| name.starts_with(provider)));
        // Who has settings of their own does not act in somebody else's name by accident.
        let settings = settings.filter(|_| storage.is_empty());
        let own = storage.iter().map(|(name, value)| (name.clone(), value.clone()));
        let (store, prefix) =
            object_store::parse_url_opts(&url, settings.chain(own)).map_err(|error| invalid(error.to_string()))?;
        Ok(Self::new(Arc::from(store), prefix, location.trim_end_matches('/')))
    }

    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: StorePath, address: &str) -> Self {
        Self { store, prefix, address: address.to_owned() }
    }

    /// The place of that name in this one.
    pub(crate) fn below(&self, name: &str) -> Self {
        let (prefix, address) = (self.prefix.clone().join(name), format!("{}/{name}", self.address));
        Self { store: Arc::clone(&self.store), prefix, address }
    }

    /// What people call it: its URL.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Everything in it, or below one name in it, with the names relative to it.
    pub(crate) fn list(&self, name: Option<&str>) -> io::Result<Vec<(String, ObjectMeta)>> {
        let (store, root) = (Arc::clone(&self.store), self.prefix.clone());
        let prefix = name.map_or(root.clone(), |name| root.clone().join(name));
        let listed = wait(async move { store.list(Some(&prefix)).try_collect::<Vec<_>>().await.map_err(io_error) })?;
        let relative = |object: ObjectMeta| {
            let name = object.location.as_ref().strip_prefix(root.as_ref())?.trim_start_matches('/').to_owned();
            Some((name, object))
        };
        Ok(listed.into_iter().filter_map(relative).collect())
    }

    /// An object with what is known of it; `None` if there is none of that name.
    pub(crate) fn get(&self, name: &str) -> io::Result<Option<(Bytes, ObjectMeta)>> {
        let (store, key) = (Arc::clone(&self.store), self.key(name)?);
        wait(async move {
            match store.get(&key).await {
                Err(object_store::Error::NotFound { .. }) => Ok(None),
                Err(error) => Err(io_error(error)),
                Ok(found) => {
                    let meta = found.meta.clone();
                    Ok(Some((found.bytes().await.map_err(io_error)?, meta)))
                }
            }
        })
    }

    /// Copies an object into a local file.
    pub(crate) fn download(&self, name: &str, file: File) -> io::Result<()> {
        let (store, key) = (Arc::clone(&self.store), self.key(name)?);
        wait(async move {
            let (mut parts, mut file) = (store.get(&key).await.map_err(io_error)?.into_stream(), file);
            while let Some(part) = parts.next().await {
                file.write_all(&part.map_err(io_error)?)?;
            }
            file.flush()
        })
    }

    /// Writes an object that must not exist yet; fails with [`ErrorKind::AlreadyExists`] if it does. One with exactly
    /// this content is ours: the answer got lost.
    pub(crate) fn put_new(&self, name: &str, content: Bytes) -> io::Result<UpdateVersion> {
        self.put_as(name, content.clone(), PutMode::Create).or_else(|error| self.as_written(name, &content, error))
    }

    /// Writes an object, in place of an older one if there is one.
    pub(crate) fn put(&self, name: &str, content: Bytes) -> io::Result<UpdateVersion> {
        self.put_as(name, content, PutMode::Overwrite)
    }

    /// Writes an object in place of the version that is known; `None` if there is another one by now.
    pub(crate) fn put_over(
        &self,
        name: &str,
        content: Bytes,
        known: UpdateVersion,
    ) -> io::Result<Option<UpdateVersion>> {
        match self.put_as(name, content.clone(), PutMode::Update(known)) {
            Ok(version) => Ok(Some(version)),
            Err(error) => match self.as_written(name, &content, error) {
                Err(error) if is_conflict(&error) => Ok(None),
                other => other.map(Some),
            },
        }
    }

    /// The version of an object that is there as it was to be written, in spite of the error.
    fn as_written(&self, name: &str, content: &Bytes, error: io::Error) -> io::Result<UpdateVersion> {
        match self.get(name) {
            Ok(Some((found, meta))) if found == *content => Ok(version_of(&meta)),
            _ => Err(error),
        }
    }

    /// Copies a local file into the storage. One that goes in a single request must not be there with another content: a
    /// batch that somebody else made meanwhile has the same name. One in parts takes the place of what is there.
    pub(crate) fn upload(&self, name: &str, path: &Path) -> io::Result<UpdateVersion> {
        let mut file = File::open(path)?;
        let size = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
        if size <= AT_ONCE {
            let mut content = Vec::with_capacity(size);
            file.read_to_end(&mut content)?;
            return self.put_new(name, content.into());
        }
        let (store, key) = (Arc::clone(&self.store), self.key(name)?);
        wait(async move {
            let mut upload =
                WriteMultipart::new_with_chunk_size(store.put_multipart(&key).await.map_err(io_error)?, PART);
            loop {
                let mut part = Vec::with_capacity(PART);
                if (&mut file).take(PART as u64).read_to_end(&mut part)? == 0 {
                    let done = upload.finish().await.map_err(io_error)?;
                    return Ok(done.into());
                }
                upload.wait_for_capacity(PARTS_AT_ONCE).await.map_err(io_error)?;
                upload.put(part.into());
            }
        })
    }

    /// Removes objects; what is not there is not missed.
    pub(crate) fn remove(&self, names: &[String]) -> io::Result<()> {
        let keys = names.iter().map(|name| self.key(name)).collect::<io::Result<Vec<_>>>()?;
        let store = Arc::clone(&self.store);
        wait(async move {
            let keys = stream::iter(keys.into_iter().map(Ok)).boxed();
            let mut removed = store.delete_stream(keys);
            while let Some(done) = removed.next().await {
                match done {
                    Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(io_error(error)),
                }
            }
            Ok(())
        })
    }

    fn put_as(&self, name: &str, content: Bytes, mode: PutMode) -> io::Result<UpdateVersion> {
        let (store, key) = (Arc::clone(&self.store), self.key(name)?);
        let options = PutOptions { mode, ..PutOptions::default() };
        wait(async move {
            let done = store.put_opts(&key, PutPayload::from(content), options).await.map_err(io_error)?;
            Ok(done.into())
        })
    }

    /// The names are those of files: nothing in them is encoded.
    fn key(&self, name: &str) -> io::Result<StorePath> {
        let key = if self.prefix.as_ref().is_empty() { name.to_owned() } else { format!("{}/{name}", self.prefix) };
        StorePath::parse(key).map_err(io::Error::other)
    }
}

/// Whether a provider has a setting of that name.
fn is_setting(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.parse::<AmazonS3ConfigKey>().is_ok()
        || name.parse::<AzureConfigKey>().is_ok()
        || name.parse::<GoogleConfigKey>().is_ok()
}

/// What tells a version of an object from others.
pub(crate) fn version_of(meta: &ObjectMeta) -> UpdateVersion {
    UpdateVersion { e_tag: meta.e_tag.clone(), version: meta.version.clone() }
}

fn io_error(source: object_store::Error) -> io::Error {
    use object_store::Error;
    let kind = match &source {
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::AlreadyExists { .. } => ErrorKind::AlreadyExists,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => ErrorKind::PermissionDenied,
        Error::NotImplemented { .. } | Error::NotSupported { .. } => ErrorKind::Unsupported,
        other => kind_of_network(other),
    };
    io::Error::new(kind, BucketError { source })
}

/// What kind of failure the network or the server had, below what the libraries made of it: who tries again later goes
/// by it.
fn kind_of_network(error: &object_store::Error) -> ErrorKind {
    let mut next = error.source();
    while let Some(this) = next {
        if let Some(system) = this.downcast_ref::<io::Error>() {
            return system.kind();
        }
        if this.downcast_ref::<HttpError>().is_some_and(|error| error.kind() == HttpErrorKind::Timeout) {
            return ErrorKind::TimedOut;
        }
        next = this.source();
    }
    // The library keeps the status of an answer that it gave up on in its text only.
    if error.to_string().contains("status code: 5") { ErrorKind::ResourceBusy } else { ErrorKind::Other }
}

fn is_conflict(error: &io::Error) -> bool {
    let source = error.get_ref().and_then(|error| error.downcast_ref::<BucketError>());
    source.is_some_and(|error| matches!(error.source, object_store::Error::Precondition { .. }))
}

/// Waits for work that a thread of this module does, wherever the caller is.
pub(crate) fn wait<T: Send + 'static>(work: impl Future<Output = io::Result<T>> + Send + 'static) -> io::Result<T> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    runtime()?.spawn(async move { sender.send(work.await) });
    let answer = || receiver.recv().map_err(io::Error::other)?;
    match Handle::try_current() {
        Ok(caller) if caller.runtime_flavor() == RuntimeFlavor::MultiThread => tokio::task::block_in_place(answer),
        _ => answer(),
    }
}

/// Where requests run. It lives as long as the process: a runtime must not end within another one.
pub(crate) fn runtime() -> io::Result<&'static Runtime> {
    static RUNTIME: OnceLock<Result<Runtime, String>> = OnceLock::new();
    let begun = || {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("object-storage").enable_all().build()
    };
    let runtime = RUNTIME.get_or_init(|| begun().map_err(|error| error.to_string()));
    runtime.as_ref().map_err(|error| io::Error::other(error.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_network_says_for_the_moment_is_told_from_what_has_to_be_mended() {
        let generic = |source: Box<dyn std::error::Error + Send + Sync>| {
            io_error(object_store::Error::Generic { store: "S3", source }).kind()
        };
        let refused = io::Error::from(ErrorKind::ConnectionRefused);
        assert_eq!(generic(Box::new(HttpError::new(HttpErrorKind::Connect, refused))), ErrorKind::ConnectionRefused);
        assert_eq!(generic(Box::new(HttpError::new(HttpErrorKind::Timeout, std::fmt::Error))), ErrorKind::TimedOut);
        let busy = "Server returned non-2xx status code: 503 Service Unavailable: ";
        assert_eq!(generic(busy.into()), ErrorKind::ResourceBusy);
        assert_eq!(generic("Server returned non-2xx status code: 400 Bad Request: 503".into()), ErrorKind::Other);
        assert_eq!(generic(Box::new(HttpError::new(HttpErrorKind::Decode, std::fmt::Error))), ErrorKind::Other);
    }
}
