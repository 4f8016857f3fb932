//! Files that are whole or not there, also after a power loss: object_store never syncs what it writes.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};
use tempfile::NamedTempFile;

/// Writes a file that must not exist yet; fails with [`ErrorKind::AlreadyExists`] if it does.
pub(crate) fn create_new(path: &Path, content: &[Bytes]) -> io::Result<()> {
    written(path, content)?.persist_noclobber(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// Writes a file, in place of an older one if there is one.
pub(crate) fn replace(path: &Path, content: &[Bytes]) -> io::Result<()> {
    written(path, content)?.persist(path).map_err(|error| error.error)?;
    sync_folder(parent(path))
}

/// Waits until a file written by somebody else is on the disk.
pub(crate) fn sync_file(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Waits until the names in a folder are on the disk.
#[cfg(unix)]
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Folders cannot be synced here; the file system orders names itself.
#[cfg(not(unix))]
pub(crate) fn sync_folder(_path: &Path) -> io::Result<()> {
    Ok(())
}

/// Runs something that waits for the disk without holding up other tables.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

fn written(path: &Path, content: &[Bytes]) -> io::Result<NamedTempFile> {
    let folder = parent(path);
    let mut file = match temporary(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fs::create_dir_all(folder)?;
            temporary(folder)?
        }
        other => other?,
    };
    for part in content {
        file.write_all(part)?;
    }
    file.as_file().sync_all()?;
    Ok(file)
}

/// The name begins with `_`, which readers of Delta tables skip.
fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix("_writing_").suffix(".tmp");
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(folder)
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// The local disk as an object store whose writes have reached the disk when they return.
#[derive(Debug)]
pub(crate) struct DurableDisk {
    disk: LocalFileSystem,
}

impl DurableDisk {
    /// The whole disk: paths are relative to its root.
    pub(crate) fn new() -> Self {
        Self { disk: LocalFileSystem::new() }
    }
}

impl fmt::Display for DurableDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable{}", self.disk)
    }
}

#[async_trait]
impl ObjectStore for DurableDisk {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return self.disk.put_opts(location, payload, options).await,
        };
        let path = self.disk.path_to_filesystem(location)?;
        let content: Vec<Bytes> = payload.into_iter().collect();
        let write = move || if create { create_new(&path, &content) } else { replace(&path, &content) };
        blocking(write).await.map_err(|error| store_error(location, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.disk.path_to_filesystem(location)?;
        Ok(Box::new(DurableUpload { location: location.clone(), path, content: Vec::new() }))
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.disk.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &StorePath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.disk.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.disk.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&StorePath>,
        offset: &StorePath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.disk.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.disk.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &StorePath, to: &StorePath, options: RenameOptions) -> Result<()> {
        self.disk.rename_opts(from, to, options).await
    }
}

/// An upload in parts, kept until it is complete: deltalake uploads only checkpoints this way, which are small.
#[derive(Debug)]
struct DurableUpload {
    location: StorePath,
    path: std::path::PathBuf,
    content: Vec<Bytes>,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.content.extend(data);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (path, content) = (self.path.clone(), std::mem::take(&mut self.content));
        blocking(move || replace(&path, &content)).await.map_err(|error| store_error(&self.location, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.content.clear();
        Ok(())
    }
}

fn store_error(location: &StorePath, error: io::Error) -> object_store::Error {
    let (path, source) = (location.to_string(), Box::new(error));
    match source.kind() {
        ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source },
        ErrorKind::PermissionDenied => object_store::Error::PermissionDenied { path, source },
        _ => object_store::Error::Generic { store: "DurableDisk", source },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use object_store::ObjectStoreExt;

    use super::*;

    #[tokio::test]
    async fn a_conditional_put_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let location = StorePath::from_absolute_path(folder.path().join("new/00000000000000000000.json")).unwrap();
        let store = DurableDisk::new();
        let create = || PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&location, "first".into(), create()).await.unwrap();
        let error = store.put_opts(&location, "second".into(), create()).await.unwrap_err();
        assert!(matches!(error, object_store::Error::AlreadyExists { .. }), "{error}");
        assert_eq!(store.get(&location).await.unwrap().bytes().await.unwrap(), "first");
        store.put(&location, "third".into()).await.unwrap();
        assert_eq!(store.get(&location).await.unwrap().bytes().await.unwrap(), "third");
        assert_eq!(fs::read_dir(folder.path().join("new")).unwrap().count(), 1, "temporary files are gone");
    }

    #[tokio::test]
    async fn an_upload_in_parts_appears_when_complete() {
        let folder = tempfile::tempdir().unwrap();
        let location = StorePath::from_absolute_path(folder.path().join("checkpoint.parquet")).unwrap();
        let store = DurableDisk::new();
        let mut upload = store.put_multipart(&location).await.unwrap();
        upload.put_part("one ".into()).await.unwrap();
        upload.put_part("two".into()).await.unwrap();
        assert!(store.head(&location).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(store.get(&location).await.unwrap().bytes().await.unwrap(), "one two");
    }
}
