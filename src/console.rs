//! The web console at `/console`. Its sources are in `console/`; their build output is embedded in this binary.
//!
//! The console is an ordinary client: it uses the public API, and the sign-in of browsers
//! ([`identity::auth`](crate::identity::auth)).

use std::{borrow::Cow, collections::HashMap, sync::Arc};

use axum::{
    body::Bytes,
    extract::{Path, State},
    http::{HeaderMap, HeaderValue, header},
    response::Response,
    routing::{MethodRouter, get},
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason},
    http::asset::{Asset, Caching},
    module::Module,
};

use crate::files;

/// Returns the Content-Security-Policy of the page: no inline code, and nothing from other origins except images of a
/// storage that callers reach directly.
fn policy(storage: Option<&str>) -> String {
    format!(
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:{}{}; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        if storage.is_some() { " " } else { "" },
        storage.unwrap_or_default(),
    )
}

#[derive(rust_embed::RustEmbed)]
#[folder = "console/dist"]
struct Files;

pub(crate) fn module() -> Module {
    Module::new("console", crate::proto::DESCRIPTOR_SET)
        .needs(&["identity", "files"])
        .part(Console::open)
        .pages(pages())
}

struct Console {
    assets: HashMap<String, Arc<Asset>>,
    policy: HeaderValue,
}

impl Console {
    fn open(app: &App) -> anyhow::Result<Self> {
        let assets = Files::iter().map(|name| (name.to_string(), Arc::new(asset(name)))).collect();
        let policy = policy(files::direct_origin(&app.config));
        Ok(Self { assets, policy: policy.try_into()? })
    }
}

fn pages() -> [(&'static str, MethodRouter<App>); 3] {
    [("/console", get(page)), ("/console/", get(page)), ("/console/{*path}", get(file))]
}

fn asset(name: Cow<'static, str>) -> Asset {
    let media_type = match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    let caching = if is_hashed(&name) { Caching::Immutable } else { Caching::Revalidate };
    Asset::new(media_type, caching, move || {
        let file = Files::get(&name).expect("it is one of the files");
        match file.data {
            Cow::Borrowed(bytes) => Bytes::from_static(bytes),
            Cow::Owned(bytes) => bytes.into(),
        }
    })
}

/// Returns whether the name of a file contains a hash of its content.
fn is_hashed(path: &str) -> bool {
    path.starts_with("assets/")
}

/// Serves the page, which selects its view by the URL.
async fn page(State(app): State<App>, headers: HeaderMap) -> Response {
    let console = app.part::<Console>();
    let page = console.assets.get("index.html").expect("the build has a page").clone();
    let mut response = page.response(&headers).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, console.policy.clone());
    response
}

/// Serves a file, or the page for any other path. A file of another version is not found.
async fn file(State(app): State<App>, Path(path): Path<String>, headers: HeaderMap) -> Response {
    match app.part::<Console>().assets.get(&path) {
        Some(asset) if path != "index.html" => asset.clone().response(&headers).await,
        None if is_hashed(&path) => tonic::Status::from(Error::new(Reason::RouteNotFound)).into_http(),
        _ => page(State(app.clone()), headers).await,
    }
}
