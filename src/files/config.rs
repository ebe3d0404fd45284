//! The configuration of files.

mod storage;

use std::time::Duration;

use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict};

pub use storage::{Location, S3};

/// The configuration of files.
#[derive(Debug, Clone)]
pub struct FilesConfig {
    /// The location of files; `None` for the data directory.
    pub location: Option<Location>,
    /// The maximum size of a file in bytes.
    pub max_file_bytes: usize,
    /// The storage quota of each account in bytes.
    pub quota_bytes: usize,
    /// How long a URL to upload or download is valid.
    pub url_lifetime: Duration,
    /// The maximum time of one call to the storage.
    pub timeout: Duration,
    /// The disk space for uploads that pass through the server.
    pub spool_bytes: usize,
    /// The maximum number of concurrent uploads of one principal.
    pub max_uploads: usize,
}

/// The longest lifetime of a URL, shorter than the 7 days that S3 accepts. An upload that is not complete 2 h after its URL has
/// expired is removed.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 3600);
/// The longest time of one call to the storage.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// What files need in production.
pub(super) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "files",
    text: "Files are in a storage that all instances share, over an encrypted connection",
    check: |config| match &config.section::<FilesConfig>().location {
        None => Verdict::Missed("FILES_URL is absent: files are in the data directory"),
        Some(Location::Directory(_)) => Verdict::Unknown("all instances must share the directory of FILES_URL"),
        Some(Location::S3(s3)) => Verdict::of(s3.endpoint.starts_with("https://"), "FILES_URL has tls=none"),
    },
}];

impl Section for FilesConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::secret(
            "FILES_URL",
            "Storage of files: s3://KEY:SECRET@ENDPOINT/BUCKET?region=REGION, or file:///DIRECTORY; needed beside \
             DATABASE_URL",
        ),
        Variable::plain("FILES_TIMEOUT", "10s", "Timeout of one call to the storage, at most 60s"),
        Variable::plain(
            "FILES_URL_LIFETIME",
            "15m",
            "How long a URL to upload or download a file is valid, at most 1d",
        ),
        Variable::plain("MAX_FILE_BYTES", "100MiB", "Maximum size of a file"),
        Variable::plain("FILES_QUOTA", "1024MiB", "Space for the files of each account"),
        Variable::plain("UPLOAD_SPOOL", "512MiB", "Disk space for uploads in progress, half of it for one principal"),
        Variable::plain("MAX_UPLOADS", "8", "Maximum concurrent uploads of one principal through the server"),
    ];

    fn read(read: &mut Reader) -> Self {
        let files = Self {
            location: location(read),
            max_file_bytes: read.positive_bytes("MAX_FILE_BYTES"),
            quota_bytes: read.bytes("FILES_QUOTA"),
            url_lifetime: read.duration("FILES_URL_LIFETIME"),
            timeout: read.duration("FILES_TIMEOUT"),
            spool_bytes: read.positive_bytes("UPLOAD_SPOOL"),
            max_uploads: read.positive("MAX_UPLOADS"),
        };
        if files.url_lifetime < Duration::from_secs(1) || files.url_lifetime > LONGEST_LIFETIME {
            read.fault("FILES_URL_LIFETIME", "must be at least 1s and at most 1d");
        }
        if files.timeout.is_zero() || files.timeout > MAX_TIMEOUT {
            read.fault("FILES_TIMEOUT", "must be at least 1ms and at most 60s");
        }
        files
    }
}

fn location(read: &mut Reader) -> Option<Location> {
    let (url, database) = (read.secret("FILES_URL"), read.secret("DATABASE_URL"));
    match url.map(|url| Location::parse(&url)) {
        Some(Ok(location)) => return Some(location),
        Some(Err(why)) => read.fault("FILES_URL", why),
        None if database.is_some() => {
            let why =
                "needed beside DATABASE_URL: s3://…, or file:///DIRECTORY to keep the files on this server's disk";
            read.fault("FILES_URL", why);
        }
        None => {}
    }
    None
}
