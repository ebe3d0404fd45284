//! TLS termination in Envoy, with plain text to the server behind it.

use http::Method;

use super::{Authority, Client, Files};
use crate::support::{
    Actor, Endpoint, Protocol, TestApp,
    actor::{envoy_options, start_envoy},
};

#[tokio::test]
async fn envoy_terminates_tls_if_configured() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    let app = TestApp::start().await;
    let mut options = envoy_options(&[app.endpoint.address]);
    options.tls = Some((files.path("tls.crt").into(), files.path("tls.key").into()));
    let envoy = start_envoy(options).await;
    for protocol in ["h2", "http/1.1"] {
        let client = Client::trusting(&authority).speaking(&[protocol]);
        let stream = client.connect(envoy.address()).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        let answer = client.call(envoy.address(), Method::GET, "/api/v1/me", None).await.expect("an answer");
        let answer = answer.failure("UNAUTHENTICATED");
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{protocol}");
    }
    let mut endpoint = Endpoint::new(envoy.address());
    endpoint.channel = Client::trusting(&authority).channel(envoy.address());
    let native = Actor::anonymous(&endpoint).call(Protocol::Grpc, "UserService.GetMe", serde_json::json!({})).await;
    native.failure("UNAUTHENTICATED");
}
