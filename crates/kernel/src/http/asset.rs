//! Static assets, compressed once per content coding rather than per request.

mod coding;

use std::sync::{Arc, OnceLock};

use axum::{
    body::Bytes,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::{runtime::Handle, task::spawn_blocking};

use coding::{CODINGS, choose, encode};

/// The browser caching of a file. Both variants forbid transformations by proxies, because it is compressed already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caching {
    /// Browsers revalidate the file before each use.
    Revalidate,
    /// Browsers use the file without revalidation, because its name changes with its content.
    Immutable,
}

impl Caching {
    fn header(self) -> &'static str {
        match self {
            Self::Revalidate => "public, no-cache, no-transform",
            Self::Immutable => "public, max-age=31536000, immutable, no-transform",
        }
    }
}

/// A file with every requested encoding of it. Responses share these bytes, so that they need no additional memory.
pub struct Asset {
    media_type: &'static str,
    caching: Caching,
    load: Box<dyn Fn() -> Bytes + Send + Sync>,
    plain: OnceLock<Plain>,
    encoded: [OnceLock<Option<Bytes>>; CODINGS.len()],
}

struct Plain {
    bytes: Bytes,
    tag: String,
}

debug_fields!(Asset: media_type, caching);

impl Asset {
    /// Creates a file, which is loaded at the first request.
    pub fn new(media_type: &'static str, caching: Caching, load: impl Fn() -> Bytes + Send + Sync + 'static) -> Self {
        Self { media_type, caching, load: Box::new(load), plain: OnceLock::new(), encoded: Default::default() }
    }

    /// Responds to a request with these headers.
    pub async fn response(self: Arc<Self>, headers: &HeaderMap) -> Response {
        let coding = choose(headers);
        if !self.is_ready(coding) {
            // A cancelled request does not cancel the preparation, because the next request needs its result.
            let (asset, runtime) = (self.clone(), Handle::current());
            if spawn_blocking(move || asset.prepare(coding, &runtime)).await.is_err() {
                return StatusCode::INTERNAL_SERVER_ERROR.into_response();
            }
        }
        self.prepared_response(coding)
    }

    fn is_ready(&self, coding: Option<usize>) -> bool {
        self.plain.get().is_some() && coding.is_none_or(|index| self.encoded[index].get().is_some())
    }

    fn plain(&self) -> &Plain {
        self.plain.get_or_init(|| {
            let bytes = (self.load)();
            let hash = Sha256::digest(&bytes);
            let tag = hash.iter().take(16).map(|byte| format!("{byte:02x}")).collect::<String>();
            Plain { bytes, tag: format!("\"{tag}\"") }
        })
    }

    fn prepare(&self, coding: Option<usize>, runtime: &Handle) {
        let plain = self.plain();
        if let Some(index) = coding {
            self.encoded[index].get_or_init(|| runtime.block_on(encode(CODINGS[index], plain.bytes.clone())).ok());
        }
    }

    fn prepared_response(&self, coding: Option<usize>) -> Response {
        let plain = self.plain();
        let headers = [
            (header::CONTENT_TYPE, self.media_type),
            (header::CACHE_CONTROL, self.caching.header()),
            (header::ETAG, plain.tag.as_str()),
            (header::VARY, "accept-encoding"),
        ];
        let encoded = coding.and_then(|index| Some((CODINGS[index], self.encoded[index].get()?.clone()?)));
        match encoded {
            Some((coding, bytes)) => {
                let coding: [(HeaderName, &str); 1] = [(header::CONTENT_ENCODING, coding)];
                (headers, coding, bytes).into_response()
            }
            None => (headers, plain.bytes.clone()).into_response(),
        }
    }
}
