//! The settings of posts: their feed, and the network that caches them.

use std::str::FromStr;

use mainstay_kernel::config::{Reader, Requirement, Section, Variable, Verdict, is_https_or_loopback};
use secrecy::SecretString;
use url::Url;

#[derive(Debug, Clone)]
pub struct ContentConfig {
    pub feed_title: String,
    /// The public address of a post, in which `{slug}` stands for its slug.
    pub post_url: String,
    /// The URL of this server as its callers see it, without a trailing slash; `None` to use the URL of each request.
    pub public_url: Option<String>,
    /// The network that caches public responses; `None`: nothing is purged.
    pub cdn: Option<CdnConfig>,
}

/// A network that caches public responses.
#[derive(Debug, Clone)]
pub struct CdnConfig {
    pub format: CdnFormat,
    pub purge_url: Url,
    pub token: SecretString,
}

/// The form of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CdnFormat {
    Fastly,
    Cloudflare,
    /// `PURGE` with the header `Surrogate-Key`, which the operator's VCL reads.
    Varnish,
}

impl FromStr for CdnFormat {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fastly" => Ok(Self::Fastly),
            "cloudflare" => Ok(Self::Cloudflare),
            "varnish" => Ok(Self::Varnish),
            _ => Err("must be fastly, cloudflare or varnish"),
        }
    }
}

/// What posts need in production.
pub(super) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "post-url",
    text: "The feed links to posts under an https URL",
    check: |config| {
        let post_url = &config.section::<ContentConfig>().post_url;
        // A path is below `PUBLIC_URL`.
        let is_https = post_url.starts_with('/') || post_url.starts_with("https://");
        Verdict::of(is_https, "POST_URL is not https")
    },
}];

impl Section for ContentConfig {
    const VARIABLES: &'static [Variable] = &[
        Variable::plain("FEED_TITLE", "Posts", "Title of the feed of posts"),
        Variable::plain(
            "POST_URL",
            "/api/v1/post-slugs/{slug}",
            "Address of a post on your site, which the feed links to; {slug} stands for its slug",
        ),
        Variable::plain("CDN_FORMAT", "fastly", "Form of purges: fastly, cloudflare or varnish"),
        Variable::plain(
            "CDN_PURGE_URL",
            "",
            "URL that purges changed posts from a content delivery network; if absent, nothing is purged; plain http only for loopback and Varnish",
        ),
        Variable::secret("CDN_TOKEN", "Token that authorizes purges"),
    ];

    fn read(read: &mut Reader) -> Self {
        let post_url: String = read.parse("POST_URL");
        if !post_url.contains("{slug}") {
            read.fault("POST_URL", "must contain {slug}: otherwise all posts of the feed have one address");
        }
        // The mail module declares this setting and reports its faults.
        let public_url: Option<String> = read.optional("PUBLIC_URL");
        let public_url = public_url.map(|url| url.trim_end_matches('/').to_owned());
        Self { feed_title: read.parse("FEED_TITLE"), post_url, public_url, cdn: cdn(read) }
    }
}

fn cdn(read: &mut Reader) -> Option<CdnConfig> {
    let format: CdnFormat = read.parse("CDN_FORMAT");
    let purge_url: Option<Url> = read.optional("CDN_PURGE_URL");
    let token = read.secret("CDN_TOKEN");
    let is_safe = |url: &Url| is_https_or_loopback(url) || (format == CdnFormat::Varnish && url.scheme() == "http");
    match (purge_url, token) {
        (None, None) => None,
        (Some(url), _) if !is_safe(&url) => {
            read.fault("CDN_PURGE_URL", "must be an https URL, or an http one of this machine or of Varnish");
            None
        }
        (Some(_), None) => {
            read.fault("CDN_TOKEN", "needed beside CDN_PURGE_URL");
            None
        }
        (None, Some(_)) => {
            read.fault("CDN_PURGE_URL", "needed beside CDN_TOKEN");
            None
        }
        (Some(purge_url), Some(token)) => Some(CdnConfig { format, purge_url, token }),
    }
}

#[cfg(test)]
mod tests {
    use crate::product::tests::invalid_variables;

    #[test]
    fn a_purge_has_a_safe_url_and_a_token() {
        let (url, token) = (("CDN_PURGE_URL", "https://api.fastly.com/service/ID/purge"), ("CDN_TOKEN", "secret"));
        assert_eq!(invalid_variables(&[url, token]), [""; 0]);
        assert_eq!(invalid_variables(&[url]), ["CDN_TOKEN"]);
        assert_eq!(invalid_variables(&[token]), ["CDN_PURGE_URL"]);
        let plain = ("CDN_PURGE_URL", "http://cache.shop.example/");
        assert_eq!(invalid_variables(&[plain, token]), ["CDN_PURGE_URL"]);
        assert_eq!(invalid_variables(&[plain, token, ("CDN_FORMAT", "varnish")]), [""; 0]);
        assert_eq!(invalid_variables(&[url, token, ("CDN_FORMAT", "akamai")]), ["CDN_FORMAT"]);
    }
}
