//! Purges public responses from a content delivery network, or from a caching proxy in front of the server, by the tags that
//! the contract gives them (`cache_tags`).
//!
//! A purge runs in the job of the post's event, which retries it. Purging twice is harmless.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use mainstay_kernel::{
    alert::Alerts,
    config::Config,
    error::{Error, Result},
    outbound::{Bounds, Client, Request},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::content::{
    config::{CdnFormat, ContentConfig},
    id::PostId,
};

pub(super) const PROVIDER: &str = "cdn";
/// The tag of all lists of posts and of the feed.
pub(super) const LISTS: &str = "posts";
const BOUNDS: Bounds = Bounds {
    total: Duration::from_secs(5),
    attempt_timeout: Duration::from_secs(5),
    max_concurrency: 4,
    // The job is attempted again.
    max_attempts: 1,
};
/// The tags of a response and of a purge, separated by spaces: Fastly, and Varnish by its module xkey.
pub(super) const SURROGATE_KEY: HeaderName = HeaderName::from_static("surrogate-key");
/// The tags of a response, separated by commas: Cloudflare, Akamai.
pub(super) const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const FASTLY_KEY: HeaderName = HeaderName::from_static("fastly-key");

/// The network to purge, if the configuration names one.
#[derive(Debug)]
pub struct Cdn(Option<Target>);

#[derive(Debug)]
struct Target {
    client: Client,
    format: CdnFormat,
    url: Uri,
    token: SecretString,
}

impl Cdn {
    /// Opens the network that the configuration names.
    ///
    /// # Errors
    /// If the system has no root certificates.
    pub fn open(config: &Config, alerts: &Alerts) -> anyhow::Result<Self> {
        let Some(cdn) = config.section::<ContentConfig>().cdn.clone() else { return Ok(Self(None)) };
        let url = cdn.purge_url.as_str().parse()?;
        let client = Client::new(PROVIDER, BOUNDS, alerts)?;
        Ok(Self(Some(Target { client, format: cdn.format, url, token: cdn.token })))
    }

    /// Returns whether there is something to purge.
    pub fn is_configured(&self) -> bool {
        self.0.is_some()
    }

    /// Purges the responses about these posts, and all lists.
    ///
    /// # Errors
    /// Any response that is not successful, or no response.
    pub async fn purge(&self, posts: &[PostId]) -> Result<()> {
        let Some(target) = &self.0 else { return Ok(()) };
        let tags: Vec<_> = posts.iter().map(|id| format!("post-{id}")).chain([LISTS.to_owned()]).collect();
        let request = target.request(&tags).map_err(Error::internal)?;
        target.client.send(request).await?;
        Ok(())
    }
}

impl Target {
    fn request(&self, tags: &[String]) -> anyhow::Result<Request> {
        let mut bearer: HeaderValue = format!("Bearer {}", self.token.expose_secret()).parse()?;
        bearer.set_sensitive(true);
        let mut key: HeaderValue = self.token.expose_secret().parse()?;
        key.set_sensitive(true);
        let keys = tags.join(" ");
        let request = http::Request::builder().uri(self.url.clone());
        let request = match self.format {
            // https://www.fastly.com/documentation/reference/api/purging/: POST /service/{service_id}/purge
            CdnFormat::Fastly => request
                .method(Method::POST)
                .header(FASTLY_KEY, key)
                .header(SURROGATE_KEY, keys)
                .header(header::ACCEPT, "application/json")
                .body(Bytes::new())?,
            // https://developers.cloudflare.com/api/resources/cache/methods/purge/: POST /zones/{zone_id}/purge_cache
            CdnFormat::Cloudflare => request
                .method(Method::POST)
                .header(header::AUTHORIZATION, bearer)
                .header(header::CONTENT_TYPE, "application/json")
                .body(json!({ "tags": tags }).to_string().into())?,
            // What the VCL of docs/deploy.md reads.
            CdnFormat::Varnish => request
                .method("PURGE")
                .header(header::AUTHORIZATION, bearer)
                .header(SURROGATE_KEY, keys)
                .body(Bytes::new())?,
        };
        Ok(request)
    }
}
