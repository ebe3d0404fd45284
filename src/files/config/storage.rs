//! The location of files, parsed from a URL.

use std::{fmt, path::PathBuf};

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret as _, SecretString};
use url::{Host, Url};

/// The location of files.
#[derive(Debug, Clone)]
pub enum Location {
    /// A directory of this machine, or a shared one for several instances.
    Directory(PathBuf),
    /// A bucket of S3, or of a compatible service.
    S3(S3),
}

/// A bucket.
#[derive(Clone)]
pub struct S3 {
    /// `https://host:port`.
    pub endpoint: String,
    pub bucket: String,
    /// The prefix of every key; may be empty.
    pub prefix: String,
    pub region: String,
    /// Key and secret; `None` for the default credential chain of AWS (environment, container, machine).
    pub credentials: Option<(String, SecretString)>,
    /// Whether callers reach the bucket directly; otherwise the server relays all content.
    pub is_direct: bool,
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3").field("endpoint", &self.endpoint).field("bucket", &self.bucket).finish_non_exhaustive()
    }
}

const FORM: &str = "must be s3://KEY:SECRET@ENDPOINT/BUCKET?region=REGION, or file:///DIRECTORY";

impl Location {
    /// Parses `file:///DIRECTORY`, or `s3://KEY:SECRET@ENDPOINT/BUCKET/PREFIX`, with these parameters: `region`,
    /// `us-east-1` by default; `tls=none` for an endpoint without encryption; `access=server` for a bucket that callers
    /// do not reach directly.
    ///
    /// # Errors
    /// A description of the error in the URL, without any part of the URL.
    pub fn parse(url: &SecretString) -> Result<Self, String> {
        let url: Url = url.expose_secret().parse().map_err(|_| FORM)?;
        match url.scheme() {
            "file" => {
                let plain = url.query().is_none() && url.fragment().is_none();
                let path = url.to_file_path().ok().filter(|path| plain && path.parent().is_some());
                Ok(Self::Directory(path.ok_or("must be file:///DIRECTORY, an absolute path")?))
            }
            "s3" => S3::parse(&url).map(Self::S3),
            _ => Err(FORM.to_owned()),
        }
    }
}

impl S3 {
    fn parse(url: &Url) -> Result<Self, String> {
        let decode =
            |text: &str| percent_decode_str(text).decode_utf8().map(|text| text.into_owned()).map_err(|_| FORM);
        let (mut region, mut encrypted, mut is_direct) = ("us-east-1".to_owned(), true, true);
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("region", value) if !value.is_empty() => region = value.to_owned(),
                ("tls", "none") => encrypted = false,
                ("tls", "required") => encrypted = true,
                ("access", "direct") => is_direct = true,
                ("access", "server") => is_direct = false,
                _ => return Err("has a parameter other than region=…, tls=none and access=server".to_owned()),
            }
        }
        let credentials = match (url.username(), url.password()) {
            ("", None) => None,
            ("", Some(_)) | (_, None) => return Err("has a key without a secret, or a secret without a key".to_owned()),
            (key, Some(secret)) => Some((decode(key)?, SecretString::from(decode(secret)?))),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or(FORM)?;
        // The URL parser does not validate the host of an unknown scheme.
        Host::parse(host).map_err(|_| FORM)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        let scheme = if encrypted { "https" } else { "http" };
        let path = decode(url.path())?;
        let (bucket, prefix) = path.trim_matches('/').split_once('/').unwrap_or((path.trim_matches('/'), ""));
        let is_name = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._/".contains(&byte));
        if bucket.is_empty() || !is_name(bucket) || !is_name(prefix) || prefix.contains("..") {
            return Err("must name a bucket, in letters and digits, behind the endpoint".to_owned());
        }
        Ok(Self {
            endpoint: format!("{scheme}://{host}{port}"),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region,
            credentials,
            is_direct,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> Result<Location, String> {
        Location::parse(&SecretString::from(url))
    }

    fn s3(url: &str) -> S3 {
        match parse(url) {
            Ok(Location::S3(s3)) => s3,
            other => panic!("{url}: {other:?}"),
        }
    }

    #[test]
    fn a_bucket_has_an_endpoint() {
        let settings = s3("s3://AKIA:a%2Fb@s3.eu-central-1.amazonaws.com/shop/files?region=eu-central-1");
        assert_eq!((&*settings.endpoint, &*settings.bucket), ("https://s3.eu-central-1.amazonaws.com", "shop"));
        assert_eq!((&*settings.prefix, &*settings.region), ("files", "eu-central-1"));
        let (key, secret) = settings.credentials.expect("credentials");
        assert_eq!((&*key, secret.expose_secret(), settings.is_direct), ("AKIA", "a/b", true));
        let local = s3("s3://127.0.0.1:9000/shop?tls=none&access=server");
        assert_eq!(
            (&*local.endpoint, local.credentials.is_none(), local.is_direct),
            ("http://127.0.0.1:9000", true, false)
        );
    }

    #[test]
    fn an_ambiguous_value_is_refused_without_being_quoted() {
        for bad in [
            "",
            "hunter2",
            "/var/lib/files",
            "file://",
            "file:///",
            "file:///a?b=hunter2",
            "https://hunter2@s3.example/shop",
            "s3://s3.example",
            "s3://s3.example/",
            "s3:///shop",
            "s3://hunter2@s3.example/shop",
            "s3://:hunter2@s3.example/shop",
            "s3://s3.example/shop?regoin=hunter2",
            "s3://s3.example/shop?tls=maybe",
            "s3://s3.example/../hunter2",
        ] {
            match parse(bad) {
                Ok(Location::S3(s3)) if bad.contains("..") => assert_eq!(s3.bucket, "hunter2"),
                parsed => assert!(parsed.is_err_and(|why| !why.contains("hunter2")), "{bad}"),
            }
        }
    }
}
