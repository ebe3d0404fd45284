//! The API reference at `/docs`: Scalar's page, fed with the OpenAPI document.
//!
//! All files of the page are in this binary and come from this origin.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::{MethodRouter, get},
};

use crate::http::asset::{Asset, Caching};

/// The content security policy of the page.
///
/// No script is inline, and `eval` is forbidden. `style-src 'unsafe-inline'` is needed because Scalar writes its style sheet
/// and the theme into `<style>` elements, and style attributes into code samples. `img-src data:` is needed for the icons in
/// that style sheet.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(crate) fn pages(document: impl Fn() -> Bytes + Send + Sync + 'static) -> [(&'static str, MethodRouter); 5] {
    let page = || Bytes::from_static(include_bytes!("docs/page.html"));
    let start = || Bytes::from_static(include_bytes!("docs/start.js"));
    let mark = || Bytes::from_static(include_bytes!("docs/mark.svg"));
    [
        ("/openapi.json", file("application/json", document)),
        ("/docs", file("text/html; charset=utf-8", page).layer(axum::middleware::map_response(restrict))),
        ("/docs/start.js", file("text/javascript; charset=utf-8", start)),
        ("/docs/scalar.js", file("text/javascript; charset=utf-8", scalar)),
        ("/docs/mark.svg", file("image/svg+xml", mark)),
    ]
}

fn scalar() -> Bytes {
    scalar_api_reference::get_asset("scalar.js").expect("the crate holds its script").into()
}

fn file(media_type: &'static str, load: impl Fn() -> Bytes + Send + Sync + 'static) -> MethodRouter {
    get(async |State(asset): State<Arc<Asset>>, headers: HeaderMap| asset.response(&headers).await)
        .with_state(Arc::new(Asset::new(media_type, Caching::Revalidate, load)))
}

async fn restrict(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    /// As Scalar's files; a development build without the feature `debug-embed` would read them at run time.
    #[derive(rust_embed::RustEmbed)]
    #[folder = "src/http/docs"]
    struct Files;

    #[test]
    fn files_are_in_the_binary_of_every_build() {
        let script = Files::get("start.js").expect("it is in the folder");
        assert!(matches!(script.data, Cow::Borrowed(_)));
    }
}
