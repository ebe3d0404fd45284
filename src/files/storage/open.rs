//! Opens the configured storage.

use std::{fs, path::Path, sync::Arc};

use anyhow::Context as _;
use mainstay_kernel::{alert::Alerts, config::Config, outbound, telemetry::disk};
use object_store::{
    ClientOptions, ObjectStore, RetryConfig,
    aws::{AmazonS3, AmazonS3Builder},
    local::LocalFileSystem,
};
use secrecy::ExposeSecret as _;
use tokio::sync::Semaphore;

use crate::files::{
    config::{FilesConfig, Location, S3},
    storage::{MAX_CONCURRENCY, PROVIDER, Storage},
};

/// The longest wait for a connection.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

impl Storage {
    /// Opens the storage. It need not be available yet.
    ///
    /// # Errors
    /// An error if the directory can't be created, or if the client rejects the settings.
    pub(crate) fn open(config: &Config, alerts: &Alerts) -> anyhow::Result<Self> {
        let files = config.section::<FilesConfig>();
        let (store, s3): (Arc<dyn ObjectStore>, _) = match &files.location {
            None => (directory(&config.database.data_dir.join("files"))?, None),
            Some(Location::Directory(path)) => (directory(path)?, None),
            Some(Location::S3(s3)) => {
                let bucket = bucket(s3, files).context("FILES_URL")?;
                (Arc::new(bucket.clone()), Some((s3, bucket)))
            }
        };
        Ok(Self {
            store,
            prefix: s3.as_ref().map(|(s3, _)| s3.prefix.clone()).unwrap_or_default(),
            has_attributes: s3.is_some(),
            signer: s3.filter(|(s3, _)| s3.is_direct).map(|(_, bucket)| bucket),
            breaker: outbound::breaker(PROVIDER),
            alerts: alerts.clone(),
            is_probed: Arc::default(),
            slots: Arc::new(Semaphore::new(MAX_CONCURRENCY)),
            timeout: files.timeout,
        })
    }
}

/// Opens a directory, and starts to measure its disk.
fn directory(path: &Path) -> anyhow::Result<Arc<dyn ObjectStore>> {
    let context = || format!("opening the directory of files, {}", path.display());
    fs::create_dir_all(path).with_context(context)?;
    let store = LocalFileSystem::new_with_prefix(path).with_context(context)?;
    disk::watch("files", path.to_owned());
    Ok(Arc::new(store.with_fsync(true)))
}

fn bucket(s3: &S3, files: &FilesConfig) -> object_store::Result<AmazonS3> {
    let builder = match &s3.credentials {
        Some((key, secret)) => {
            AmazonS3Builder::new().with_access_key_id(key).with_secret_access_key(secret.expose_secret())
        }
        // The default credential chain of AWS: environment, container, machine.
        None => AmazonS3Builder::from_env(),
    };
    // `Storage` sets a timeout on each call and each piece of a download. A timeout of the client would also end long
    // downloads.
    let client = ClientOptions::new().with_timeout_disabled().with_connect_timeout(CONNECT_TIMEOUT);
    let client = client.with_allow_http(s3.endpoint.starts_with("http:"));
    let retry = RetryConfig { max_retries: 2, retry_timeout: files.timeout, ..RetryConfig::default() };
    builder
        .with_endpoint(&s3.endpoint)
        .with_bucket_name(&s3.bucket)
        .with_region(&s3.region)
        .with_client_options(client)
        .with_retry(retry)
        .build()
}
