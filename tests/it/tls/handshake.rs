//! The protocols of the listener, and the clients it rejects before reading a request.

use std::process::Command;

use http::Method;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{Authority, Client, Files};
use crate::support::TestApp;

#[tokio::test]
async fn the_protocol_is_negotiated_and_plain_text_refused() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    let app = files.configure(TestApp::builder()).start().await;
    let address = app.endpoint.address;
    for (offered, agreed) in [(&["h2", "http/1.1"][..], Some("h2")), (&["http/1.1"], Some("http/1.1")), (&[], None)] {
        let client = Client::trusting(&authority).speaking(offered);
        let stream = client.connect(address).await.expect("a handshake");
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed.map(str::as_bytes), "{offered:?}");
        let answer = client.call(address, Method::GET, "/livez", None).await.expect("an answer");
        assert_eq!(answer.status, 200, "{offered:?}: {answer:#?}");
        // Only over TLS, since browsers ignore this header over plain HTTP.
        assert_eq!(answer.headers["strict-transport-security"], "max-age=31536000");
    }
    assert!(Client::trusting(&authority).speaking(&["spdy/3"]).connect(address).await.is_err());

    let mut plain = TcpStream::connect(address).await.expect("a connection");
    plain.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    let mut answer = Vec::new();
    // The connection is cut or gets an alert, but no HTTP response.
    plain.read_to_end(&mut answer).await.ok();
    assert!(!answer.starts_with(b"HTTP/"), "{}", String::from_utf8_lossy(&answer));

    // The listener keeps working after all of that.
    let answer = Client::trusting(&authority).call(address, Method::GET, "/livez", None).await.expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_certificate_of_another_authority_ends_the_handshake() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let files = Files::new(&ours.server());
    files.put("clients.crt", &ours.certificate);
    let builder = files.configure(TestApp::builder()).set("TLS_CLIENT_CA", files.path("clients.crt"));
    let address = builder.start().await;
    let (app, address) = (&address, address.endpoint.address);
    let call = async |client: Client| client.call(address, Method::GET, "/livez", None).await;

    assert!(call(Client::trusting(&theirs)).await.is_err(), "the client must refuse the server");
    assert!(call(Client::trusting(&ours).with_certificate(theirs.client(&["spiffe://x/a"]))).await.is_err());
    assert_eq!(
        call(Client::trusting(&ours).with_certificate(ours.client(&["spiffe://x/a"]))).await.expect("an answer").status,
        200
    );
    assert_eq!(call(Client::trusting(&ours)).await.expect("a client certificate is optional").status, 200);
    assert_eq!(app.database.number("SELECT count(*) FROM tickets").await, 0);
}

#[test]
fn mismatched_files_are_detected_before_the_start() {
    let authority = Authority::new();
    let files = Files::new(&authority.server());
    let check = |variables: &[(&str, String)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mainstay"));
        command.args(["config", "check"]).envs(variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().expect("the binary runs");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    assert_eq!(check(&files.variables()), (true, String::new()));

    files.put("tls.crt", &authority.server().certificate);
    let (good, output) = check(&files.variables());
    assert!(!good && output.contains("TLS_CERT: can't be used with TLS_KEY"), "{output}");

    files.put("tls.key", "nonsense");
    files.put("clients.crt", "");
    let mut variables = files.variables();
    variables.push(("TLS_CLIENT_CA", files.path("clients.crt")));
    variables.push(("TLS_PRINCIPALS", "spiffe://x/a=everything".to_owned()));
    let (good, output) = check(&variables);
    assert!(!good && output.contains("TLS_KEY: holds no private key"), "{output}");
    assert!(output.contains("TLS_CLIENT_CA: holds no certificate"), "{output}");
    assert!(output.contains("TLS_PRINCIPALS: spiffe://x/a: there is no scope \"everything\""), "{output}");
}
