//! The disk as deltalake sees it: object_store never syncs what it writes, and knows no gate.

use std::fmt;
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use crate::disk::{Disk, blocking};
use crate::gate::Operation;

/// The local disk as an object store whose writes have reached the disk when they return.
#[derive(Debug, Clone)]
pub(crate) struct DurableDisk {
    store: LocalFileSystem,
    disk: Disk,
}

impl DurableDisk {
    /// The whole disk: paths are relative to its root.
    pub(crate) fn new(disk: Disk) -> Self {
        Self { store: LocalFileSystem::new(), disk }
    }

    /// What is read has to be here; engines may ask for files of other lakes, too.
    async fn bring(&self, location: &StorePath) -> Result<()> {
        if self.disk.mirror().is_none() {
            return Ok(());
        }
        let (disk, path) = (self.disk.clone(), self.store.path_to_filesystem(location)?);
        blocking(move || disk.bring(&path)).await.map_err(|error| store_error(location, error))
    }

    /// deltalake neither copies nor renames here, and in object storage nothing would follow.
    fn is_local(&self, operation: &str) -> Result<()> {
        if self.disk.mirror().is_none() {
            return Ok(());
        }
        let (operation, implementer) = (operation.to_owned(), self.to_string());
        Err(object_store::Error::NotImplemented { operation, implementer })
    }

    /// Asks the gate about a change that object_store makes.
    fn pass(&self, operation: Operation, location: &StorePath) -> Result<()> {
        let path = self.store.path_to_filesystem(location)?;
        self.disk.pass(operation, &path).map_err(|error| store_error(location, error))
    }
}

impl fmt::Display for DurableDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Durable{}", self.store)
    }
}

#[async_trait]
impl ObjectStore for DurableDisk {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => {
                return Err(object_store::Error::NotImplemented {
                    operation: "put of a known version".to_owned(),
                    implementer: self.to_string(),
                });
            }
        };
        let path = self.store.path_to_filesystem(location)?;
        let content: Vec<Bytes> = payload.into_iter().collect();
        let disk = self.disk.clone();
        let write = move || if create { disk.create_new(&path, &content) } else { disk.replace(&path, &content) };
        blocking(write).await.map_err(|error| store_error(location, error))?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let path = self.store.path_to_filesystem(location)?;
        Ok(Box::new(DurableUpload { location: location.clone(), path, content: Vec::new(), disk: self.disk.clone() }))
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.bring(location).await?;
        self.store.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &StorePath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.bring(location).await?;
        self.store.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        let durable = self.clone();
        let removed = locations.then(move |location| {
            let durable = durable.clone();
            async move {
                let location = location?;
                let (disk, path) = (durable.disk.clone(), durable.store.path_to_filesystem(&location)?);
                let removed = blocking(move || disk.remove_file(&path)).await;
                removed.map(|()| location.clone()).map_err(|error| store_error(&location, error))
            }
        });
        removed.boxed()
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&StorePath>,
        offset: &StorePath,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.is_local("copy")?;
        self.pass(Operation::Copy, to)?;
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &StorePath, to: &StorePath, options: RenameOptions) -> Result<()> {
        self.is_local("rename")?;
        self.pass(Operation::Rename, to)?;
        self.store.rename_opts(from, to, options).await
    }
}

/// An upload in parts, kept until it is complete: deltalake uploads only checkpoints this way, which are small.
#[derive(Debug)]
struct DurableUpload {
    location: StorePath,
    path: PathBuf,
    content: Vec<Bytes>,
    disk: Disk,
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.content.extend(data);
        Box::pin(std::future::ready(Ok(())))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let (path, content, disk) = (self.path.clone(), std::mem::take(&mut self.content), self.disk.clone());
        blocking(move || disk.replace(&path, &content)).await.map_err(|error| store_error(&self.location, error))?;
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
        ErrorKind::NotFound => object_store::Error::NotFound { path, source },
        ErrorKind::AlreadyExists => object_store::Error::AlreadyExists { path, source },
        ErrorKind::PermissionDenied => object_store::Error::PermissionDenied { path, source },
        _ => object_store::Error::Generic { store: "DurableDisk", source },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use std::fs;
    use std::sync::Arc;

    use futures::stream;
    use object_store::ObjectStoreExt;

    use super::*;
    use crate::gate::OpenGate;
    use crate::testing::FaultyGate;

    fn open_disk() -> DurableDisk {
        DurableDisk::new(Disk::new(Arc::new(OpenGate)))
    }

    #[tokio::test]
    async fn a_conditional_put_never_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let location = StorePath::from_absolute_path(folder.path().join("new/00000000000000000000.json")).unwrap();
        let store = open_disk();
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
        let store = open_disk();
        let mut upload = store.put_multipart(&location).await.unwrap();
        upload.put_part("one ".into()).await.unwrap();
        upload.put_part("two".into()).await.unwrap();
        assert!(store.head(&location).await.is_err());
        upload.complete().await.unwrap();
        assert_eq!(store.get(&location).await.unwrap().bytes().await.unwrap(), "one two");
    }

    #[tokio::test]
    async fn removing_copying_and_renaming_pass_the_gate() {
        let folder = tempfile::tempdir().unwrap();
        let location = |name: &str| StorePath::from_absolute_path(folder.path().join(name)).unwrap();
        let (one, other) = (location("one"), location("other"));
        open_disk().put(&one, "content".into()).await.unwrap();

        let closed = DurableDisk::new(Disk::new(Arc::new(FaultyGate::failing(0, true))));
        closed.copy(&one, &other).await.unwrap_err();
        closed.rename(&one, &other).await.unwrap_err();
        let removed: Vec<_> = closed.delete_stream(stream::iter([Ok(one.clone())]).boxed()).collect().await;
        assert!(matches!(&removed[..], [Err(_)]), "{removed:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

        let open = open_disk();
        open.copy(&one, &other).await.unwrap();
        let both = stream::iter([Ok(one), Ok(other)]).boxed();
        assert_eq!(open.delete_stream(both).filter(|removed| std::future::ready(removed.is_ok())).count().await, 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
