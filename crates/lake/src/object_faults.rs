//! Object storage that fails at each request in turn: before it does anything, after it did it, or from then on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use chrono::Utc;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path as StorePath;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::bucket::Bucket;
use crate::error::LakeError;
use crate::faults::{fourth, fourth_content, publish_next, third_content, three_releases};
use crate::gate::OpenGate;
use crate::lock::LockHolder;
use crate::place::Lake;
use crate::publish::PublishedChange;
use crate::recovery::Recovery;
use crate::testing::{changed, publication, released};

/// How a request fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It never arrives.
    Lost,
    /// It is carried out, but the answer does not arrive.
    Unanswered,
    /// It and all after it never arrive: the network is gone, or the process.
    Gone,
}

const FAULTS: [Fault; 3] = [Fault::Lost, Fault::Unanswered, Fault::Gone];

/// Storage in memory that fails at one request that changes something.
#[derive(Debug)]
struct FaultyStore {
    inner: InMemory,
    at: usize,
    fault: Fault,
    requests: AtomicUsize,
}

impl FaultyStore {
    fn failing(inner: InMemory, at: usize, fault: Fault) -> Arc<Self> {
        Arc::new(Self { inner, at, fault, requests: AtomicUsize::new(0) })
    }

    fn failed() -> Error {
        Error::Generic { store: "FaultyStore", source: "this network does not answer".into() }
    }

    /// Whether this request is lost, and whether its answer is.
    fn next(&self) -> (bool, bool) {
        let number = self.requests.fetch_add(1, Ordering::SeqCst);
        let is_hit = number == self.at;
        match self.fault {
            Fault::Lost => (is_hit, false),
            Fault::Unanswered => (false, is_hit),
            Fault::Gone => (number >= self.at, false),
        }
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty{}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let (is_lost, is_unanswered) = self.next();
        if is_lost {
            return Err(Self::failed());
        }
        let done = self.inner.put_opts(location, payload, options).await;
        if is_unanswered { Err(Self::failed()) } else { done }
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        if self.fault == Fault::Gone && self.requests.load(Ordering::SeqCst) > self.at {
            return Err(Self::failed());
        }
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        let (is_lost, is_unanswered) = self.next();
        if is_lost {
            return futures::stream::iter([Err(Self::failed())]).boxed();
        }
        let removed = self.inner.delete_stream(locations);
        removed.map(move |done| if is_unanswered { Err(Self::failed()) } else { done }).boxed()
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Storage that takes every put.
#[derive(Debug)]
struct Careless(InMemory);

impl fmt::Display for Careless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Careless{}", self.0)
    }
}

#[async_trait]
impl ObjectStore for Careless {
    async fn put_opts(&self, location: &StorePath, payload: PutPayload, _options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, PutOptions::default()).await
    }

    async fn put_multipart_opts(
        &self,
        location: &StorePath,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &StorePath, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<StorePath>>) -> BoxStream<'static, Result<StorePath>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&StorePath>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&StorePath>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &StorePath, to: &StorePath, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[test]
fn storage_that_ignores_conditions_is_refused() {
    let lake = lake(Arc::new(Careless(InMemory::new())));
    for run in ["run-1", "run-2"] {
        let error = lake.lock(run).unwrap_err();
        assert!(error.to_string().contains("ignores If-None-Match"), "{error}");
    }
}

fn bucket(store: Arc<dyn ObjectStore>) -> Bucket {
    Bucket::new(store, StorePath::from("lakes/nightly"), "memory://lakes/nightly")
}

fn lake(store: Arc<dyn ObjectStore>) -> Lake {
    Lake::in_bucket(&bucket(store), "acme", Arc::new(OpenGate)).unwrap()
}

/// The fence of whoever writes now, without one that is left behind by who is gone.
fn with_lock<T>(lake: &Lake, run_id: &str, work: impl FnOnce() -> T) -> T {
    let _lock = lake.lock(run_id).unwrap();
    work()
}

async fn with_three_releases() -> InMemory {
    let store = Arc::new(InMemory::new());
    three_releases(&lake(store.clone())).await;
    store.fork()
}

/// Publishes the fourth release while a request fails, looks, recovers and publishes the next one. Says whether the
/// release was published and how many requests it took.
async fn publish_fourth(three: &InMemory, at: usize, fault: Fault) -> (bool, usize) {
    let store = FaultyStore::failing(three.fork(), at, fault);
    let faulty = lake(store.clone());
    let fourth = fourth(&faulty);
    let published = faulty.publish(fourth).await;
    let what = format!("request {at}, {fault:?}, {published:?}");
    drop(faulty);

    let lake = lake(Arc::new(store.inner.fork()));
    let seen = released(&lake).await;
    assert!(seen == fourth_content() || (seen == third_content() && published.is_err()), "{what}: {seen:?}");
    let recovery = lake.recover().await.unwrap();
    let seen = released(&lake).await;
    let is_begun = seen == fourth_content();
    assert!(is_begun || seen == third_content(), "{what}: {seen:?}");
    assert_eq!(published.is_ok() || recovery.is_some(), is_begun, "{what}");
    let finished = Recovery::Finished { release: 4, run_id: "run-4".to_owned() };
    assert!(recovery.is_none_or(|recovery| recovery == finished), "{what}");
    publish_next(&lake, seen, is_begun, &what).await;
    (published.is_ok(), store.requests.load(Ordering::SeqCst))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_request_that_fails_leaves_the_old_or_the_new_release() {
    let three = with_three_releases().await;
    let (is_published, requests) = publish_fourth(&three, usize::MAX, Fault::Lost).await;
    // Three files, the journal, three commits, the release, the end of the journal.
    assert!(is_published && requests == 9, "{requests}");
    let (mut failed, mut published) = (0, 0);
    for fault in FAULTS {
        for at in 0..requests {
            match publish_fourth(&three, at, fault).await.0 {
                true => published += 1,
                false => failed += 1,
            }
        }
    }
    // The end of the journal may be missed. An answer that gets lost is made up for, of files too.
    assert_eq!((failed, published), (8 + 8, 1 + 9 + 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_that_was_overtaken_cannot_change_anything() {
    let store = Arc::new(InMemory::new());
    let slow = lake(store.clone());
    let lock = slow.lock("run-1").unwrap();
    let first = slow.publish(publication("run-1", vec![changed(&slow, "dim_user", "run-1", &[1])])).await.unwrap();
    assert_eq!((first.release, first.fence), (1, Some(1)));
    let PublishedChange::Changed { staged, hashes } = changed(&slow, "dim_user", "run-1b", &[2]) else { panic!() };

    // Another one took over: the object has its number.
    let name = StorePath::from("lakes/nightly/acme/_medallion/lock");
    let held = store.get(&name).await.unwrap().bytes().await.unwrap();
    let mut holder: LockHolder = serde_json::from_slice(&held).unwrap();
    (holder.run_id, holder.fence, holder.heartbeat) = ("run-2".to_owned(), Some(2), Utc::now());
    store.put(&name, serde_json::to_vec(&holder).unwrap().into()).await.unwrap();

    let before: Vec<_> = store.list(None).map(|object| object.unwrap().location).collect().await;
    let overtaken = slow.publish(publication("run-1b", vec![PublishedChange::Changed { staged, hashes }])).await;
    let error = overtaken.unwrap_err();
    assert!(error.to_string().contains("run 'run-2' has taken the customer over"), "{error}");
    assert!(error.hint().is_some());
    let after: Vec<_> = store.list(None).map(|object| object.unwrap().location).collect().await;
    // The rows it had staged are there; nothing names them.
    let new: Vec<_> = after.iter().filter(|name| !before.contains(name)).map(ToString::to_string).collect();
    assert_eq!(new, ["lakes/nightly/acme/gold/dim_user/run-1b/0.parquet"]);
    drop(lock);
    let held = store.get(&name).await.unwrap().bytes().await.unwrap();
    assert_eq!(serde_json::from_slice::<LockHolder>(&held).unwrap(), holder, "who lost a lock does not give it back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_has_one_holder_and_a_number_that_rises() {
    let store = Arc::new(InMemory::new());
    let one = lake(store.clone());
    let other = lake(store.clone());
    for number in 1..=3 {
        let fence = with_lock(&one, "run-1", || {
            let error = other.lock("run-2").unwrap_err();
            assert!(
                matches!(&error, LakeError::Held { holder: Some(holder), .. } if holder.run_id == "run-1"),
                "{error}"
            );
            one.fence_number()
        });
        assert_eq!(fence, Some(number));
    }
    assert_eq!(with_lock(&other, "run-2", || other.fence_number()), Some(4));
}

/// What one process has open is followed when it takes the lock.
#[tokio::test(flavor = "multi_thread")]
async fn who_takes_the_lock_sees_what_was_published_until_then() {
    let store = Arc::new(InMemory::new());
    let early = lake(store.clone());
    let other = lake(store.clone());
    three_releases(&other).await;
    other.append_to_ledger(&[]).unwrap();
    assert_eq!(early.latest_release().unwrap(), None);
    let _lock = early.lock("run-9").unwrap();
    assert_eq!(released(&early).await, third_content());
    let publication = publication("run-9", vec![changed(&early, "dim_user", "run-9", &[9])]);
    assert_eq!(early.publish(publication).await.unwrap().release, 4);
}
