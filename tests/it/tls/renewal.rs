//! Certificates can be renewed while the server runs.

use std::net::SocketAddr;

use http::Method;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;

use super::{Authority, Client, Files, client};
use crate::support::{Process, TestDatabase, eventually};

/// The certificate presented to a new connection.
async fn shown(client: &Client, address: SocketAddr) -> Vec<u8> {
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
    let first = shown(&client, address).await;
    let stream = client.connect(address).await.expect("a handshake");
    let (mut old, connection) = http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
    tokio::spawn(connection);

    files.write(&authority.server());
    eventually("the new certificate is presented", async || shown(&client, address).await != first).await;
    let second = shown(&client, address).await;

    // A connection from before the renewal keeps working.
    let request = client::request(Method::GET, "/livez", None, false);
    let response = old.send_request(request).await.expect("an answer");
    assert_eq!(client::answer(response).await.expect("an answer").status, 200);

    // A certificate without its key, and an invalid file: the old pair stays in use, and the log says so.
    let complaints = || server.log().matches("can't be used: keeping the previous ones").count();
    for broken in [&*authority.server().certificate, "nonsense"] {
        let before = complaints();
        files.put("tls.crt", broken);
        eventually("the log reports the broken files", async || complaints() > before).await;
        assert_eq!(shown(&client, address).await, second);
    }

    files.write(&authority.server());
    eventually("the new certificate is presented", async || shown(&client, address).await != second).await;
    assert!(!server.log().contains("PRIVATE KEY"), "a key is in the log");
}
