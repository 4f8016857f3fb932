//! The local disk as engines see it while a lake on object storage is open: files they read are brought first.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions,
    PutOptions, PutPayload, PutResult, RenameOptions, Result,
};

use crate::disk::blocking;
use crate::mirror::{bring, has_mirrors};

/// What engines are to read and write `file://` URLs through; `None` if their own way will do, as all open lakes are
/// local.
#[must_use]
pub fn engine_files() -> Option<Arc<dyn ObjectStore>> {
    has_mirrors().then(|| Arc::new(EngineFiles { disk: LocalFileSystem::new() }) as Arc<dyn ObjectStore>)
}

#[derive(Debug)]
struct EngineFiles {
    disk: LocalFileSystem,
}

impl EngineFiles {
    async fn bring(&self, location: &StorePath) -> Result<()> {
        let path = self.disk.path_to_filesystem(location)?;
        let brought = blocking(move || bring(&path)).await;
        brought.map_err(|error| object_store::Error::Generic { store: "medallion", source: Box::new(error) })
    }
}

impl fmt::Display for EngineFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Brought{}", self.disk)
    }
}

#[async_trait]
impl ObjectStore for EngineFiles {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.disk.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.disk.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.bring(location).await?;
        self.disk.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &StorePath, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.bring(location).await?;
        self.disk.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.disk.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.disk.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.disk.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.bring(from).await?;
        self.disk.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &StorePath, to: &StorePath, options: RenameOptions) -> Result<()> {
        self.bring(from).await?;
        self.disk.rename_opts(from, to, options).await
    }
}
