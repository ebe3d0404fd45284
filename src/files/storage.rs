//! The storage of files: a directory, or a bucket of S3.
//!
//! Failures of the storage are isolated: calls have a time limit, a circuit breaker and a concurrency limit (bulkhead),
//! so that a hanging storage blocks nothing else. No call happens inside a transaction.

mod open;

use std::{
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::{StreamExt as _, stream::BoxStream};
use http::{HeaderName, HeaderValue, Method};
use mainstay_kernel::{
    alert::Alerts,
    breaker::{Breaker, Circuit, Verdict},
    context,
    error::{Error, Reason, Result},
    outbound::{Call, traced},
    upload::Upload,
};
use metrics::{counter, histogram};
use object_store::{
    Attribute, Attributes, GetOptions, GetRange, MultipartUpload, ObjectStore, ObjectStoreExt as _, PutPayload,
    aws::AmazonS3,
    path::Path,
    signer::{SignedUrlOptions, Signer as _},
};
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};

/// The name in metrics and alerts.
pub(crate) const PROVIDER: &str = "files";
/// The maximum number of concurrent calls.
const MAX_CONCURRENCY: usize = 64;
/// The interval at which an unavailable storage is probed in the absence of other calls.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);
/// The one operation that may complete without the storage.
const SIGN_URL: &str = "sign URL";
/// The maximum size of one write; larger files are written in parts of this size.
const PART_BYTES: usize = 8 << 20;

/// The storage. Clones share the circuit and the concurrency limit.
#[derive(Debug, Clone)]
pub(crate) struct Storage {
    store: Arc<dyn ObjectStore>,
    /// The signer of URLs for callers, if they reach the storage directly.
    signer: Option<AmazonS3>,
    /// The prefix of every key.
    prefix: String,
    /// Whether objects store a media type.
    has_attributes: bool,
    breaker: Arc<Breaker>,
    alerts: Alerts,
    is_probed: Arc<AtomicBool>,
    slots: Arc<Semaphore>,
    timeout: Duration,
}

/// The content of an object, as it arrives.
pub(crate) type Content = BoxStream<'static, Result<Bytes>>;

impl Storage {
    pub(crate) fn circuit(&self) -> Circuit {
        self.breaker.state()
    }

    /// Whether callers reach the storage directly.
    pub(crate) fn is_direct(&self) -> bool {
        self.signer.is_some()
    }

    fn path(&self, key: &str) -> Path {
        Path::from(format!("{}/{key}", self.prefix))
    }

    /// Calls the storage; `None` if the object does not exist.
    async fn call<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>> {
        let admission = self.breaker.clone().admit();
        let admission = admission.map_err(|wait| Error::new(Reason::CircuitOpen).retry_after(wait))?;
        let Ok(_slot) = self.slots.try_acquire() else {
            return Err(Error::new(Reason::Overloaded).retry_after(Duration::from_secs(1)));
        };
        let began = Instant::now();
        let limit = context::remaining().map_or(self.timeout, |budget| budget.min(self.timeout));
        let call = Call { provider: PROVIDER, operation, server: None };
        let attempt = async {
            match timeout(limit, work).await {
                Ok(result) => self.outcome(result),
                // The caller's own deadline was shorter, so the timeout says nothing about the storage.
                Err(_) if limit < self.timeout => ("timed_out", Verdict::Unknown, Err(late())),
                Err(_) => ("timed_out", Verdict::Unavailable, Err(late())),
            }
        };
        let failure = |(name, ..): &Outcome<T>| (*name != "ok").then_some(*name);
        let (name, verdict, result) = traced(call, failure, attempt).await;
        admission.settle(verdict);
        match verdict {
            Verdict::Alive if name == "ok" && operation != SIGN_URL => self.alerts.credentials_accepted(PROVIDER),
            Verdict::Unavailable => self.probe(),
            Verdict::Alive | Verdict::Unknown => {}
        }
        counter!("mainstay_outbound_attempts_total", "provider" => PROVIDER, "outcome" => name).increment(1);
        histogram!("mainstay_outbound_attempt_seconds", "provider" => PROVIDER).record(began.elapsed());
        result
    }

    /// Probes the storage periodically until its circuit is closed. Without probes, the circuit and its alert could
    /// outlast the outage by hours if no caller arrives.
    fn probe(&self) {
        if self.circuit() == Circuit::Closed || self.is_probed.swap(true, Ordering::Relaxed) {
            return;
        }
        let storage = self.clone();
        tokio::spawn(async move {
            while storage.circuit() != Circuit::Closed {
                sleep(PROBE_INTERVAL).await;
                // The object need not exist: any answer closes the circuit.
                storage.size("probe").await.ok();
            }
            storage.is_probed.store(false, Ordering::Relaxed);
        });
    }

    /// Stores an upload.
    ///
    /// # Errors
    /// `UPSTREAM_FAILED`, `UPSTREAM_TIMEOUT`, `CIRCUIT_OPEN`, `OVERLOADED`.
    pub(crate) async fn put(&self, key: &str, upload: &mut Upload, content_type: &str) -> Result<()> {
        upload.rewind().await?;
        if upload.bytes() <= PART_BYTES {
            let (path, whole, attributes) = (self.path(key), whole(upload).await?, self.attributes(content_type));
            return expect_bucket(self.call("put object", self.store.put_opts(&path, whole, attributes.into())).await?)
                .map(drop);
        }
        let mut parts = self.begin(key, content_type).await?;
        while let Some(piece) = upload.next().await? {
            parts.write(&piece).await?;
        }
        parts.finish().await.map(drop)
    }

    /// Begins an object that is written in parts, while its content is made.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn begin(&self, key: &str, content_type: &str) -> Result<Parts> {
        let (path, attributes) = (self.path(key), self.attributes(content_type));
        let begun = self.call("begin parts", self.store.put_multipart_opts(&path, attributes.into())).await?;
        Ok(Parts { storage: self.clone(), upload: expect_bucket(begun)?, waiting: Vec::new(), bytes: 0 })
    }

    fn attributes(&self, content_type: &str) -> Attributes {
        let mut attributes = Attributes::new();
        if self.has_attributes {
            attributes.insert(Attribute::ContentType, content_type.to_owned().into());
        }
        attributes
    }

    /// Stores bytes.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn put_bytes(&self, key: &str, bytes: Bytes) -> Result<()> {
        expect_bucket(self.call("put object", self.store.put(&self.path(key), bytes.into())).await?).map(drop)
    }

    /// Returns the size of an object; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn size(&self, key: &str) -> Result<Option<u64>> {
        Ok(self.call("look up object", self.store.head(&self.path(key))).await?.map(|meta| meta.size))
    }

    /// Reads an object, or a part of it; `None` if it does not exist.
    ///
    /// # Errors
    /// See [`Storage::put`]; the stream may end with an error too.
    pub(crate) async fn get(&self, key: &str, range: Option<Range<u64>>) -> Result<Option<Content>> {
        let options = GetOptions { range: range.map(GetRange::Bounded), ..GetOptions::default() };
        let Some(object) = self.call("get object", self.store.get_opts(&self.path(key), options)).await? else {
            return Ok(None);
        };
        let limit = self.timeout;
        let content = futures_util::stream::unfold(Some(object.into_stream()), move |stream| async move {
            let mut stream = stream?;
            match timeout(limit, stream.next()).await {
                Ok(None) => None,
                Ok(Some(Ok(piece))) => Some((Ok(piece), Some(stream))),
                Ok(Some(Err(error))) => Some((Err(unreachable_storage().caused_by(error)), None)),
                Err(_) => Some((Err(late()), None)),
            }
        });
        Ok(Some(content.boxed()))
    }

    /// Deletes an object. Deleting an absent object succeeds.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn delete(&self, key: &str) -> Result<()> {
        self.call("delete object", self.store.delete(&self.path(key))).await.map(drop)
    }

    /// Returns a URL of the storage for an upload with exactly these headers; `None` if callers do not reach it
    /// directly.
    ///
    /// # Errors
    /// See [`Storage::put`], if the storage's credentials have to be fetched.
    pub(crate) async fn upload_url(
        &self,
        key: &str,
        headers: &[(HeaderName, HeaderValue)],
        expires: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let signed = |options: SignedUrlOptions, (name, value): &(HeaderName, HeaderValue)| {
            options.with_signed_header(name.clone(), value.clone())
        };
        let options = headers.iter().fold(SignedUrlOptions::default(), signed);
        self.url(Method::PUT, key, options, expires, now).await
    }

    /// Returns a URL of the storage for a download with these headers in its response; `None` if callers do not reach
    /// it directly.
    ///
    /// # Errors
    /// See [`Storage::upload_url`].
    pub(crate) async fn download_url(
        &self,
        key: &str,
        headers: [(&'static str, &str); 3],
        expires: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let query = headers.map(|(name, value)| (format!("response-{name}"), value.to_owned()));
        self.url(Method::GET, key, SignedUrlOptions::default().with_query(query), expires, now).await
    }

    async fn url(
        &self,
        method: Method,
        key: &str,
        options: SignedUrlOptions,
        expires: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Option<String>> {
        let Some(signer) = &self.signer else { return Ok(None) };
        let lifetime = (expires - now).to_std().unwrap_or_default();
        let url = self.call(SIGN_URL, signer.signed_url_opts(method, &self.path(key), lifetime, &options)).await?;
        Ok(Some(expect_bucket(url)?.to_string()))
    }
}

/// Reads a small upload.
async fn whole(upload: &mut Upload) -> Result<PutPayload> {
    let mut pieces = Vec::new();
    while let Some(piece) = upload.next().await? {
        pieces.push(Bytes::from(piece));
    }
    Ok(pieces.into_iter().collect())
}

/// An object that is written in parts. An object that is dropped or fails is not stored; the storage's lifecycle rules remove
/// its parts.
pub(crate) struct Parts {
    storage: Storage,
    upload: Box<dyn MultipartUpload>,
    waiting: Vec<u8>,
    bytes: u64,
}

impl Parts {
    /// Appends a piece. A full part is sent.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn write(&mut self, piece: &[u8]) -> Result<()> {
        self.bytes += piece.len() as u64;
        self.waiting.extend_from_slice(piece);
        if self.waiting.len() < PART_BYTES { Ok(()) } else { self.send().await }
    }

    async fn send(&mut self) -> Result<()> {
        let part = PutPayload::from(std::mem::take(&mut self.waiting));
        let sent = self.storage.call("put part", self.upload.put_part(part)).await.and_then(expect_bucket);
        if sent.is_err() {
            self.storage.call("abort parts", self.upload.abort()).await.ok();
        }
        sent
    }

    /// Stores the object, and returns its size.
    ///
    /// # Errors
    /// See [`Storage::put`].
    pub(crate) async fn finish(mut self) -> Result<u64> {
        if !self.waiting.is_empty() {
            self.send().await?;
        }
        expect_bucket(self.storage.call("complete parts", self.upload.complete()).await?)?;
        Ok(self.bytes)
    }
}

fn unreachable_storage() -> Error {
    Error::with_message(Reason::UpstreamFailed, "The storage of files can't be reached, or gave no answer.")
}

/// Maps "not found" on a write to an error: the bucket does not exist.
fn expect_bucket<T>(result: Option<T>) -> Result<T> {
    result
        .ok_or_else(|| unreachable_storage().caused_by(anyhow::anyhow!("the storage has no such bucket or directory")))
}

fn late() -> Error {
    Error::new(Reason::UpstreamTimeout)
}

/// The outcome of a call: its name in metrics, its verdict on the storage, and the result for the caller.
type Outcome<T> = (&'static str, Verdict, Result<Option<T>>);

impl Storage {
    fn outcome<T>(&self, result: object_store::Result<T>) -> Outcome<T> {
        use object_store::Error as E;
        match result {
            Ok(value) => ("ok", Verdict::Alive, Ok(Some(value))),
            Err(E::NotFound { .. }) => ("ok", Verdict::Alive, Ok(None)),
            Err(error @ (E::PermissionDenied { .. } | E::Unauthenticated { .. })) => {
                self.alerts.raise(PROVIDER, "auth", "credentials", &error.to_string());
                ("auth", Verdict::Alive, Err(unreachable_storage().caused_by(error)))
            }
            Err(error) => {
                tracing::warn!(provider = PROVIDER, %error, "a call to the storage failed");
                ("unavailable", Verdict::Unavailable, Err(unreachable_storage().caused_by(error)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    fn storage() -> Storage {
        Storage {
            store: Arc::new(InMemory::new()),
            signer: None,
            prefix: String::new(),
            has_attributes: false,
            breaker: mainstay_kernel::outbound::breaker(PROVIDER),
            alerts: Alerts::default(),
            is_probed: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_CONCURRENCY)),
            timeout: Duration::from_secs(1),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_circuit_of_an_idle_storage_closes_after_the_outage() {
        let storage = storage();
        let hangs = || storage.call("test", std::future::pending::<object_store::Result<()>>());
        while storage.circuit() == Circuit::Closed {
            assert!(hangs().await.is_err());
        }
        sleep(PROBE_INTERVAL + Duration::from_secs(1)).await;
        assert_eq!(storage.circuit(), Circuit::Closed);
        // The probe runs again after the next outage.
        while storage.circuit() == Circuit::Closed {
            assert!(hangs().await.is_err());
        }
        sleep(PROBE_INTERVAL + Duration::from_secs(1)).await;
        assert_eq!(storage.circuit(), Circuit::Closed);
    }
}
