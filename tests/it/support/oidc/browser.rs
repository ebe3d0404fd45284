//! A browser with cookies.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::support::Endpoint;

/// A browser: it follows no redirect by itself, and keeps cookies, whatever their paths.
#[derive(Debug, Clone)]
pub(crate) struct Browser {
    http: reqwest::Client,
    pub(crate) cookies: BTreeMap<String, String>,
    base: String,
    /// The preferred language of the person.
    pub(crate) language: &'static str,
}

/// A response that a browser got.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) status: u16,
    pub(crate) location: String,
    pub(crate) set_cookies: Vec<String>,
    pub(crate) body: Value,
    pub(crate) html: String,
}

impl Page {
    /// Returns the code of an error in the body.
    pub(crate) fn reason(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

impl Browser {
    pub(crate) fn new(endpoint: &Endpoint) -> Self {
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { http, cookies: BTreeMap::new(), base: endpoint.base(), language: "en" }
    }

    async fn send(&mut self, request: reqwest::RequestBuilder) -> Page {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("cookie", cookies.join("; ")).header("accept-language", self.language);
        let response = request.send().await.expect("an answer");
        let text = |value: &reqwest::header::HeaderValue| value.to_str().expect("ASCII").to_owned();
        let set_cookies: Vec<_> = response.headers().get_all("set-cookie").iter().map(text).collect();
        for line in &set_cookies {
            let (name, value) = line.split(';').next().and_then(|pair| pair.split_once('=')).expect("a pair");
            if line.contains("Max-Age=0;") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let (status, location) = (response.status().as_u16(), response.headers().get("location").map(text));
        let body = response.bytes().await.expect("a body");
        let html = String::from_utf8_lossy(&body).into_owned();
        let body = serde_json::from_slice(&body).unwrap_or_default();
        Page { status, location: location.unwrap_or_default(), set_cookies, body, html }
    }

    /// Goes to a page of the app.
    pub(crate) async fn open(&mut self, path: &str) -> Page {
        let request = self.http.get(format!("{}{path}", self.base));
        self.send(request).await
    }

    /// Sends a request as a script of a page of the app.
    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> Page {
        let request = self.http.post(format!("{}{path}", self.base)).header("origin", &self.base).json(body);
        self.send(request).await
    }

    /// Sends a form of a page of the app.
    pub(crate) async fn submit(&mut self, path: &str, form: &str) -> Page {
        let request = self.http.post(format!("{}{path}", self.base)).header("sec-fetch-site", "same-origin");
        let request = request.header("origin", &self.base).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(form.to_owned())).await
    }

    /// Sends a form, as a page of another site.
    pub(crate) async fn post_form(&mut self, path: &str, form: &str) -> Page {
        let request = self.http.post(format!("{}{path}", self.base)).header("origin", "https://id.example");
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        self.send(request).await
    }

    /// Signs in at the provider, and returns the path of the app to which the provider sends the browser.
    pub(crate) async fn authorize(&self, url: &str) -> String {
        let response = self.http.get(url).send().await.expect("an answer");
        assert_eq!(response.status(), 303, "{url}");
        let back = response.headers()["location"].to_str().expect("ASCII").to_owned();
        back.strip_prefix("http://app.example").expect("the redirect URI is that of PUBLIC_URL").to_owned()
    }

    /// Signs in at the provider like [`authorize`](Self::authorize), over as many pages as the provider has.
    pub(crate) async fn authorize_fully(&mut self, url: &str) -> String {
        let mut url: url::Url = url.parse().expect("a URL");
        for _ in 0..10 {
            if let Some(path) = url.as_str().strip_prefix("http://app.example") {
                return path.to_owned();
            }
            let request = self.http.get(url.clone());
            let page = self.send(request).await;
            url = url.join(&page.location).unwrap_or_else(|error| panic!("{error}: {page:#?}"));
        }
        panic!("the pages do not end: {url}")
    }

    /// Begins a sign-in, and returns the path to which the provider sends the browser.
    pub(crate) async fn begin(&mut self, name: &str) -> String {
        let started = self.open(&format!("/auth/oidc/{name}")).await;
        assert_eq!(started.status, 303, "{started:#?}");
        self.authorize(&started.location).await
    }

    /// Signs in with a provider, and returns the last page.
    pub(crate) async fn sign_in(&mut self, name: &str) -> Page {
        let back = self.begin(name).await;
        self.open(&back).await
    }

    /// Returns an access token of the session.
    pub(crate) async fn access_token(&mut self) -> String {
        let refreshed = self.post("/session/refresh", &json!({})).await;
        refreshed.body["data"]["accessToken"].as_str().unwrap_or_else(|| panic!("{refreshed:#?}")).to_owned()
    }
}
