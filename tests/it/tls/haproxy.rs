//! TLS termination in HAProxy, with plain text to the server behind it.

use std::{net::SocketAddr, path::Path};

use http::Method;
use mainstay_dev_servers::{HttpProxy, ProxyKind};

use super::{Authority, Client, Files};
use crate::{proxies, support::TestApp};

/// The feed has absolute links, whose scheme is that of the caller.
#[tokio::test(flavor = "multi_thread")]
async fn haproxy_names_the_scheme_of_its_caller() {
    let authority = Authority::new();
    let pair = authority.server();
    let files = Files::new(&pair);
    files.put("both.pem", &format!("{}{}", pair.certificate, pair.key));
    let app = TestApp::builder().set("TRUSTED_PROXY_HOPS", "1").start().await;
    let configuration = |own: [SocketAddr; 2], dir: &Path| {
        let plain = proxies::configuration(ProxyKind::HaProxy, &[app.endpoint.address], "", own, dir);
        let bind = format!("bind {}", own[0]);
        plain.replace(&bind, &format!("{bind} ssl crt {} alpn h2,http/1.1", files.path("both.pem")))
    };
    let proxy = HttpProxy::start(ProxyKind::HaProxy, configuration).await.expect("a proxy");
    let address = proxy.addresses()[0];
    let feed = Client::trusting(&authority).call(address, Method::GET, "/feed.atom", None).await.expect("an answer");
    let text = feed.body.to_string();
    assert!(feed.status == 200 && text.contains("https://localhost"), "{feed:#?}\n{}", proxy.log());
}
