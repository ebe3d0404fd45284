//! Certificates can be renewed while the server runs.

use std::net::SocketAddr;

use http::Method;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Authority, Client, Files, client};
use crate::support::{Process, TestDatabase, eventually};

/// The certificate presented to a new connection.
async fn presented_certificate(client: &Client, address: SocketAddr) -> Vec<u8> {
    let stream = client.connect(address).await.expect("a handshake");
    stream.get_ref().1.peer_certificates().expect("a certificate")[0].to_vec()
}

#[tokio::test]
async fn new_files_are_loaded_and_broken_ones_ignored() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    let database = TestDatabase::new().await;
    let variables = files.variables();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Process::with(&database, &variables).await;
    let address = server.endpoint.address;
    let client = Client::trusting(&authority).speaking(&["http/1.1"]);
    let first = presented_certificate(&client, address).await;
    let stream = client.connect(address).await.expect("a handshake");
    let (mut old, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);

    files.write(&authority.server());
    eventually("the new certificate is presented", async || presented_certificate(&client, address).await != first)
        .await;
    let second = presented_certificate(&client, address).await;

    // A connection from before the renewal keeps working.
    let request = client::request(Method::GET, "/livez", None, false);
    let response = old.send_request(request).await.expect("an answer");
    assert_eq!(client::read(response).await.expect("an answer").status, 200);

    // A certificate without its key, and an invalid file: the old pair stays in use, and the log reports it.
    let reports = || server.log().matches("can't be used: keeping the previous ones").count();
    for broken in [&*authority.server().certificate, "nonsense"] {
        let before = reports();
        files.put("tls.crt", broken);
        eventually("the log reports the broken files", async || reports() > before).await;
        assert_eq!(presented_certificate(&client, address).await, second);
    }

    files.write(&authority.server());
    eventually("the new certificate is presented", async || presented_certificate(&client, address).await != second)
        .await;
    assert!(!server.log().contains("PRIVATE KEY"), "a key is in the log");
}

/// The metrics report the expiry of the files in use: that of the first certificate to expire.
#[tokio::test]
async fn the_end_of_the_certificates_in_use_is_measured() {
    let (authority, other) = (Authority::new(), Authority::until(2041));
    let files = Files::new(&authority.server_until(2031));
    files.put("ca.crt", &[authority.certificate.as_str(), other.certificate.as_str()].concat());
    let database = TestDatabase::new().await;
    let mut variables = files.variables();
    variables.push(("TLS_CLIENT_CA", files.path("ca.crt")));
    let variables: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let server = Process::with(&database, &variables).await;
    let expires = async |certificate: &str, date: &str| {
        let seconds = date.parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp();
        let name = "mainstay_tls_certificate_expiry_timestamp_seconds";
        let line = format!("{name}{{certificate=\"{certificate}\"}} {seconds}\n");
        server.private.get("/metrics").await.body.as_str().is_some_and(|text| text.contains(&line))
    };
    eventually("the end of the first", async || expires("server", "2031-01-01T00:00:00Z").await).await;
    assert!(expires("client_authority", "2041-01-01T00:00:00Z").await, "the other authority lives longer");
    files.put("tls.crt", "nonsense");
    server.wait_for_log("can't be used: keeping the previous ones").await;
    assert!(expires("server", "2031-01-01T00:00:00Z").await, "that of the certificate in use");
    files.write(&authority.server_until(2032));
    eventually("the end of the second", async || expires("server", "2032-01-01T00:00:00Z").await).await;
}
