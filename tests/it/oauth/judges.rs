//! Clients of other authors sign a person in.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{CALLBACK, SIGNED_OUT, agree, ask, client, client_draft, device::connect, sign_out, signed_in, text};
use crate::support::{Actor, TestApp, oidc::Browser};

#[expect(clippy::disallowed_methods, reason = "how `make test` passes the paths of the packages")]
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("no {name}, which scripts/test sets"))
}

fn script(name: &str) -> String {
    format!("{}/tests/processes/oidc_clients/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// A client that runs. It ends with this value.
struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("it starts");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, output }
    }

    /// Reads the next line that the client prints.
    fn line(&mut self) -> String {
        let mut line = String::new();
        tokio::task::block_in_place(|| self.output.read_line(&mut line)).expect("a line");
        line.trim().to_owned()
    }

    fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{line}").expect("it reads");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().and_then(|()| self.child.wait()).ok();
    }
}

/// Signs a customer in with a client, and checks what the client has got. A client with all grants connects a device, too, and
/// ends its first session. Returns what the client has got with the browser.
async fn judge(command: impl FnOnce(&[String]) -> Command, has_all_grants: bool) -> (TestApp, Browser, Value) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let issuer = format!("http://{}", listener.local_addr().expect("an address"));
    let builder = TestApp::builder().set("PUBLIC_URL", issuer.as_str()).listen(listener);
    let (app, cast) = builder.start_with_cast().await;
    let mut draft = client_draft();
    let more = ["OAUTH_GRANT_TYPE_CLIENT_CREDENTIALS", "OAUTH_GRANT_TYPE_DEVICE_CODE"].map(Value::from);
    draft["grantTypes"].as_array_mut().expect("grants").extend(more);
    let client = client(&cast, draft).await;
    let mut browser = signed_in(&app, &cast.customer).await;
    let mut running = Running::start(command(&[issuer.clone(), client.id, client.secret, CALLBACK.to_owned()]));
    let url = running.line();
    let path = url.strip_prefix(&issuer).unwrap_or_else(|| panic!("not of the issuer: {url:?}"));
    let back = agree(&mut browser, path).await;
    running.tell(&back);
    if has_all_grants {
        let url = running.line();
        let path = url.strip_prefix(&issuer).unwrap_or_else(|| panic!("not of the issuer: {url:?}"));
        connect(&mut browser, path).await;
    }
    let line = running.line();
    let got: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
    let user = cast.customer.as_user();
    assert_eq!((&got["sub"], &got["email"]), (&json!(user.id), &json!(user.email)), "{got}");
    let others = if has_all_grants { &["itself", "device"][..] } else { &["itself"] };
    for name in others {
        let caller = Actor::bearer(&app.endpoint, got[name].as_str().expect("a token"));
        caller.rest("TicketService.ListTickets", json!({})).await.success();
    }
    let caller = Actor::bearer(&app.endpoint, got["access"].as_str().expect("a token"));
    if has_all_grants {
        caller.rest("TicketService.ListTickets", json!({})).await.failure("SESSION_REVOKED");
    } else {
        caller.rest("TicketService.ListTickets", json!({})).await.success();
    }
    (app, browser, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn openid_client_signs_a_person_in() {
    let command = |arguments: &[String]| {
        let mut command = Command::new("node");
        command.arg(script("openid_client.mjs")).arg(variable("OIDC_CLIENTS_PACKAGES")).args(arguments).arg(SIGNED_OUT);
        command
    };
    let (app, mut browser, got) = judge(command, true).await;
    // The client signs the person out, too.
    let url = text(&got, "signOut");
    let path = url.strip_prefix(&app.endpoint.base()).unwrap_or_else(|| panic!("not of the issuer: {url:?}"));
    let html = ask(&mut browser, path).await;
    let back = sign_out(&mut browser, &html, "allow").await;
    assert_eq!(back, format!("{SIGNED_OUT}?state={}", text(&got, "state")));
}

#[tokio::test(flavor = "multi_thread")]
async fn authlib_signs_a_person_in() {
    let command = |arguments: &[String]| {
        let mut command = Command::new(variable("OIDC_CLIENTS_PYTHON"));
        command.args(["-W", "ignore"]).arg(script("authlib_client.py")).args(arguments);
        command
    };
    judge(command, false).await;
}
