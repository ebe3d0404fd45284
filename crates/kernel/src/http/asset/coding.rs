//! Content codings (RFC 9110, section 12.5.3).

use std::{convert::Infallible, error::Error};

use axum::body::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use tower::{Layer as _, ServiceExt as _, service_fn};
use tower_http::{CompressionLevel, compression::CompressionLayer};

/// The supported codings, by ascending size of their results.
pub(super) const CODINGS: [&str; 3] = ["br", "zstd", "gzip"];

/// Close to the smallest result. The highest levels of Brotli would take ten times as long.
const LEVEL: i32 = 9;

/// Returns the index in [`CODINGS`] of the coding to use; `None` for the identity.
pub(super) fn choose(headers: &HeaderMap) -> Option<usize> {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    let offers: Vec<_> = values.flat_map(|value| value.split(',')).map(offer).collect();
    CODINGS.iter().position(|coding| {
        offers.iter().any(|(name, is_acceptable)| *is_acceptable && name.eq_ignore_ascii_case(coding))
    })
}

/// Splits `gzip;q=0.5` into the name and whether it is acceptable.
fn offer(text: &str) -> (&str, bool) {
    let (name, weight) = text.split_once(';').unwrap_or((text, ""));
    let weight = weight.trim().trim_start_matches(['q', 'Q']).trim_start_matches('=');
    (name.trim(), weight.parse::<f32>().map_or(true, |weight| weight > 0.0))
}

/// Encodes `plain` with the encoders of the compression middleware.
pub(super) async fn encode(coding: &'static str, plain: Bytes) -> Result<Bytes, Box<dyn Error + Send + Sync>> {
    let content = service_fn(|_: Request<()>| {
        let plain = plain.clone();
        async { Ok::<_, Infallible>(Response::new(Full::new(plain))) }
    });
    let always = |_: http::StatusCode, _: http::Version, _: &HeaderMap, _: &http::Extensions| true;
    let encoder = CompressionLayer::new().quality(CompressionLevel::Precise(LEVEL)).compress_when(always);
    let request = Request::builder().header(header::ACCEPT_ENCODING, coding).body(())?;
    let response = encoder.layer(content).oneshot(request).await?;
    Ok(response.into_body().collect().await?.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen_coding(offer: &str) -> Option<&'static str> {
        let headers = HeaderMap::from_iter([(header::ACCEPT_ENCODING, offer.parse().expect("a value"))]);
        choose(&headers).map(|index| CODINGS[index])
    }

    #[test]
    fn the_smallest_acceptable_coding_is_chosen() {
        assert_eq!(chosen_coding("gzip, deflate, br, zstd"), Some("br"));
        assert_eq!(chosen_coding("gzip, zstd;q=0.1"), Some("zstd"));
        assert_eq!(chosen_coding("GZIP"), Some("gzip"));
        assert_eq!(chosen_coding("br; q=0, gzip;q=1.0"), Some("gzip"));
        assert_eq!(chosen_coding("br;q=0.000"), None);
        assert_eq!(chosen_coding("deflate, identity"), None);
        assert_eq!(choose(&HeaderMap::new()), None);
    }

    #[tokio::test]
    async fn every_coding_makes_it_smaller() {
        let plain = Bytes::from("the same again ".repeat(1000));
        for coding in CODINGS {
            let encoded = encode(coding, plain.clone()).await.expect("an encoding");
            assert!(!encoded.is_empty() && encoded.len() < plain.len() / 10, "{coding}: {}", encoded.len());
        }
    }
}
