//! Passwords from breaches, as a service with k-anonymity knows them: Have I Been Pwned, or a mirror of it. The service learns the
//! first 20 bits of a SHA-1, which hundreds of its passwords share, and padding hides how many there are.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::header;
use mainstay_kernel::{
    alert::Alerts,
    outbound::{Bounds, Client},
};
use moka::sync::Cache;

use crate::identity::auth::password::Password;

const PROVIDER: &str = "breached_passwords";
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(2),
    attempt_timeout: Duration::from_secs(2),
    max_concurrency: 16,
    // The built-in list decides in place of a second attempt.
    max_attempts: 1,
};
/// The length of the part of a hash that the service learns.
const PREFIX: usize = 5;
/// The maximum size of a range, in bytes: a range has a thousand lines of 40 bytes.
const MAX_RANGE_BYTES: usize = 256 << 10;
/// The memory for ranges, in bytes, and how long they are kept.
const CACHE_BYTES: u64 = 2 << 20;
const CACHE_LIFE: Duration = Duration::from_secs(3600);

/// The service, if the configuration names one.
#[derive(Debug, Clone)]
pub struct Breaches(Option<Arc<Service>>);

#[derive(Debug)]
struct Service {
    client: Client,
    url: String,
    ranges: Cache<String, Arc<str>>,
}

impl Breaches {
    /// Knows no password.
    pub fn none() -> Self {
        Self(None)
    }

    /// Opens the service at a base URL.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn open(url: Option<&str>, alerts: &Alerts) -> anyhow::Result<Self> {
        let Some(url) = url else { return Ok(Self::none()) };
        let weight = |_: &String, range: &Arc<str>| u32::try_from(range.len()).unwrap_or(u32::MAX);
        let ranges = Cache::builder().weigher(weight).max_capacity(CACHE_BYTES).time_to_live(CACHE_LIFE).build();
        let (client, url) = (Client::new(PROVIDER, BOUNDS, alerts)?, url.to_owned());
        Ok(Self(Some(Arc::new(Service { client, url, ranges }))))
    }

    /// Returns whether a password is known from a breach; `false` if the service does not tell, which the log has.
    pub async fn contains(&self, password: &Password) -> bool {
        let Some(service) = &self.0 else { return false };
        let hash = password.sha1();
        let (prefix, suffix) = hash.split_at(PREFIX);
        match service.range(prefix).await {
            Ok(range) => has(&range, suffix),
            Err(error) => {
                tracing::warn!(error = %error, "breached passwords could not be read; the built-in list decides");
                false
            }
        }
    }
}

impl Service {
    async fn range(&self, prefix: &str) -> anyhow::Result<Arc<str>> {
        if let Some(range) = self.ranges.get(prefix) {
            return Ok(range);
        }
        let request = http::Request::get(format!("{}/range/{prefix}", self.url))
            .header(header::USER_AGENT, "mainstay")
            .header("add-padding", "true")
            .body(Bytes::new())?;
        let response = self.client.send(request).await?;
        let body = response.body();
        anyhow::ensure!(body.len() <= MAX_RANGE_BYTES, "a range has {} bytes", body.len());
        let range: Arc<str> = std::str::from_utf8(body)?.into();
        self.ranges.insert(prefix.to_owned(), range.clone());
        Ok(range)
    }
}

/// Returns whether a range has a suffix. A line of the padding has the count 0.
fn has(range: &str, suffix: &str) -> bool {
    let mut lines = range.lines().filter_map(|line| line.trim().split_once(':'));
    lines.any(|(known, count)| known.eq_ignore_ascii_case(suffix) && count.bytes().any(|digit| digit != b'0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_a_count_is_a_known_password() {
        let range = "0018A45C:10\r\n00D4F6E8:0\r\nnonsense\r\n";
        assert!(has(range, "0018A45C"));
        assert!(has(&range.to_lowercase(), "0018A45C"));
        assert!(!has(range, "00D4F6E8"), "padding");
        assert!(!has(range, "011053FD"));
        assert!(!has("", ""));
    }
}
