//! A real nginx and a real HAProxy, with the example configurations of `deploy/`, are transparent to callers.

mod restarts;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};
use mainstay_dev_servers::{HttpProxy, ProxyKind};
use mainstay_kernel::contract::{Method, policy::Idempotency};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::{
    cases::{self, Case, Expected, Scene, file::body},
    support::{Actor, Endpoint, Protocol, TestApp, methods, raw::connect, rest},
    watch::Reader,
};

const KINDS: [ProxyKind; 2] = [ProxyKind::Nginx, ProxyKind::HaProxy];

/// Returns the example with other addresses, and with these lines in its global section.
pub(crate) fn configuration(
    kind: ProxyKind,
    upstreams: &[SocketAddr],
    more: &str,
    own: [SocketAddr; 2],
    dir: &Path,
) -> String {
    let replace = |text: String, from: &str, to: &str| {
        assert!(text.contains(from), "the example has no {from}");
        text.replace(from, to)
    };
    let lines = |line: &dyn Fn(usize, &SocketAddr) -> String| {
        upstreams.iter().enumerate().map(|(number, address)| line(number, address)).collect::<Vec<_>>().join("\n")
    };
    match kind {
        ProxyKind::Nginx => {
            let text = include_str!("../../deploy/nginx/nginx.conf").to_owned();
            let servers = lines(&|_, address| format!("server {address} max_fails=0;"));
            let text = replace(text, "server 127.0.0.1:8080 max_fails=0;", &servers);
            let text = replace(text, "listen 8081;", &format!("listen {};", own[0]));
            let text = replace(text, "listen 8082 http2;", &format!("listen {} http2;", own[1]));
            let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .map(|name| format!("{name}_temp_path {}/{name};", dir.display()))
                .join("\n");
            let text =
                replace(text, "http {", &format!("pid {}/pid;\nhttp {{\naccess_log off;\n{temporary}", dir.display()));
            if more.is_empty() { text } else { replace(text, "gzip off;", more) }
        }
        ProxyKind::HaProxy => {
            let text = include_str!("../../deploy/haproxy/haproxy.cfg").to_owned();
            let servers = lines(&|number, address| format!("server mainstay{number} {address}"));
            let text = replace(text, "server mainstay1 127.0.0.1:8080", &servers);
            let text = replace(text, "bind :8081", &format!("bind {}", own[0]));
            replace(text, "    mode http\n", &format!("    mode http\n{more}\n"))
        }
    }
}

async fn start(kind: ProxyKind, upstreams: &[SocketAddr], more: &str) -> HttpProxy {
    let configuration = |own: [SocketAddr; 2], dir: &Path| configuration(kind, upstreams, more, own, dir);
    HttpProxy::start(kind, configuration).await.expect("a proxy")
}

/// An app, and a proxy in front of it.
async fn behind(kind: ProxyKind, more: &str) -> (TestApp, HttpProxy, Endpoint) {
    let app = TestApp::builder().set("TRUSTED_PROXY_HOPS", "1").start().await;
    let proxy = start(kind, &[app.endpoint.address], more).await;
    let endpoint = Endpoint::new(proxy.addresses()[0]);
    (app, proxy, endpoint)
}

/// Returns a caller at the proxy. The token comes directly from the server.
async fn at(who: &Actor, endpoint: &Endpoint) -> Actor {
    who.token().await;
    who.at(endpoint)
}

async fn run(app: &TestApp, endpoint: &Endpoint, protocol: Protocol, case: &Case) -> Option<String> {
    let call = (case.call)(Scene::new(app).await).await;
    let answer = call.send_as(&at(&call.who, endpoint).await, protocol, case.method).await;
    let is_expected = match case.expected {
        Expected::Status(status) => answer.reason.is_empty() && answer.status == status,
        Expected::Reason(reason) => answer.reason == reason,
    };
    (!is_expected).then(|| format!("{} ({}): {:?} and not {:?}", case.method, case.name, answer, case.expected))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_has_the_same_outcome_behind_nginx() {
    run_all(ProxyKind::Nginx).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_case_has_the_same_outcome_behind_haproxy() {
    run_all(ProxyKind::HaProxy).await;
}

/// Runs every case over REST, and one case of each method over gRPC.
async fn run_all(kind: ProxyKind) {
    let (app, proxy, endpoint) = behind(kind, "").await;
    let grpc = grpc_endpoint(kind, &proxy);
    let cases = cases::all();
    let over_rest = cases.iter().map(|case| (&endpoint, Protocol::Rest, case));
    let first: BTreeMap<_, _> = cases.iter().rev().map(|case| (case.method, case)).collect();
    let over_grpc = first.values().map(|case| (&grpc, Protocol::Grpc, *case));
    let calls = stream::iter(over_rest.chain(over_grpc));
    let outcomes = calls.map(|(endpoint, protocol, case)| run(&app, endpoint, protocol, case)).buffer_unordered(4);
    let faults: Vec<_> = outcomes.filter_map(|outcome| async { outcome }).collect().await;
    assert!(faults.is_empty(), "{} of {}:\n{}\n{}", faults.len(), cases.len(), faults.join("\n"), proxy.log());
}

/// The example of nginx serves gRPC at another port.
fn grpc_endpoint(kind: ProxyKind, proxy: &HttpProxy) -> Endpoint {
    Endpoint::new(proxy.addresses()[usize::from(kind == ProxyKind::Nginx)])
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_downloads_and_watches_pass() {
    for kind in KINDS {
        let (app, _proxy, endpoint) = behind(kind, "").await;
        let cast = app.cast().await;
        let (customer, agent) = (at(&cast.customer, &endpoint).await, at(&cast.agent, &endpoint).await);
        let content: Vec<u8> = (0..5 << 20).map(|number: u32| number.to_le_bytes()[1]).collect();
        let upload = json!({ "name": "large.bin", "file": body("application/octet-stream", content.clone()) });
        let id = customer.rest("FileService.UploadFile", upload).await.success().id();
        let link = customer.rest("FileService.DownloadFile", json!({ "fileId": id })).await.success();
        let url = format!("{}{}", endpoint.base(), path(&link.text("/data/url")));
        let whole = endpoint.http.get(&url).send().await.expect("an answer");
        let tag = whole.headers()["etag"].clone();
        assert_eq!(whole.bytes().await.expect("a body"), content, "{kind:?}");
        let part = endpoint.http.get(&url).header("range", "bytes=100-199").header("if-range", tag);
        let part = part.send().await.expect("an answer");
        assert_eq!((part.status().as_u16(), &*part.bytes().await.expect("a body")), (206, &content[100..200]));

        let mut events = Reader::open(&agent, Protocol::Rest, "TicketService.WatchTickets", "").await;
        events.message().await;
        let mut fastest = Duration::MAX;
        for number in 0..20 {
            let draft = json!({ "subject": format!("Number {number}"), "body": "It burns." });
            customer.rest("TicketService.CreateTicket", draft).await.success();
            let since = Instant::now();
            let event = tokio::time::timeout(Duration::from_secs(30), events.item()).await;
            fastest = fastest.min(since.elapsed());
            let event = event.unwrap_or_else(|_| panic!("{kind:?} holds events back"));
            assert!(event.to_string().contains(&format!("Number {number}")), "{event}");
            if fastest < UNDELAYED {
                break;
            }
        }
        assert!(fastest < UNDELAYED, "{kind:?} delays each event: {fastest:?} at least");
    }
}

/// A proxy that waits for the next event of a stream before it sends one does so for 200 ms. On a busy machine, one event of
/// several is this fast.
const UNDELAYED: Duration = Duration::from_millis(150);

/// The path of a URL, with its query.
fn path(url: &str) -> String {
    match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map(|(_, path)| format!("/{path}")).expect("a path"),
        None => url.to_owned(),
    }
}

/// Like urllib, and like proxies with persistent connections, nothing is read before everything is sent.
#[tokio::test(flavor = "multi_thread")]
async fn early_refusals_of_large_bodies_reach_the_client() {
    const MIB: usize = 1 << 20;
    for kind in KINDS {
        let (app, proxy, endpoint) = behind(kind, "").await;
        let token = app.cast().await.customer.token().await.expect("a token");
        for (path, token, bytes, status) in [
            ("/api/v1/files?name=a.bin", None, 9 * MIB, "401"),
            ("/api/v1/files?name=a.bin", Some(&token), 20 * MIB, "413"),
            ("/api/v1/nothing", None, 20 * MIB, "404"),
            ("/nothing", None, 20 * MIB, "404"),
        ] {
            // Several times, so that the proxy reuses its connections.
            for _ in 0..3 {
                let mut stream = TcpStream::connect(endpoint.address).await.expect("connected");
                let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
                let head = format!(
                    "POST {path} HTTP/1.1\r\nhost: a\r\n{token}content-type: application/octet-stream\r\n\
                     connection: close\r\ncontent-length: {bytes}\r\n\r\n"
                );
                stream.write_all(head.as_bytes()).await.expect("written");
                let all_sent = stream.write_all(&vec![0; bytes]).await;
                let mut answer = String::new();
                stream.read_to_string(&mut answer).await.ok();
                let is_status = answer.starts_with(&format!("HTTP/1.1 {status} "));
                assert!(is_status, "{kind:?} {path}: {all_sent:?} {answer}\n{}", proxy.log());
            }
        }
    }
}

/// A proxy that compresses weakens the tag, and its client sends that back.
#[tokio::test(flavor = "multi_thread")]
async fn a_weakened_tag_is_good_for_the_next_change() {
    let nginx = "gzip on; gzip_proxied any; gzip_min_length 1; gzip_types application/json;";
    let haproxy = "    compression algo gzip\n    compression type application/json";
    for (kind, more) in [(ProxyKind::Nginx, nginx), (ProxyKind::HaProxy, haproxy)] {
        let (app, _proxy, endpoint) = behind(kind, more).await;
        let customer = at(&app.cast().await.customer, &endpoint).await;
        let draft = json!({ "subject": "The printer is on fire", "body": "It burns. ".repeat(50) });
        let id = customer.rest("TicketService.CreateTicket", draft).await.success().id();
        let url = format!("{}/api/v1/tickets/{id}", endpoint.base());
        let token = customer.token().await.expect("a token");
        // The proxy compresses instead of the server.
        let read = endpoint.http.get(&url).bearer_auth(&token).header("accept-encoding", "gzip");
        let read = read.send().await.expect("an answer");
        let tag = read.headers()["etag"].to_str().expect("text").to_owned();
        for expected in [200, 412] {
            let change = endpoint.http.patch(&url).bearer_auth(&token).header("if-match", &tag);
            let change = rest::read(change.json(&json!({ "subject": "Out" })).send().await.expect("an answer")).await;
            assert_eq!(change.status, expected, "{kind:?} {tag}: {change:#?}");
        }
        // The server's tag as weakened by each proxy.
        let weak = endpoint.http.patch(&url).bearer_auth(&token).header("if-match", "W/\"2\"");
        let weak = weak.json(&json!({ "subject": "Still out" })).send().await.expect("an answer");
        assert_eq!(weak.status(), 200, "{kind:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_signs_in_with_a_cookie_and_limits_count_the_client() {
    for kind in KINDS {
        let (app, _proxy, endpoint) = behind(kind, "").await;
        let who = app.cast().await.customer;
        let send = async |path: &str, cookie: &str, body: Value| {
            let request = endpoint.http.post(format!("{}{path}", endpoint.base())).header("origin", endpoint.base());
            let request = request.header("cookie", cookie).header("x-forwarded-for", "192.0.2.1").json(&body);
            rest::read(request.send().await.expect("an answer")).await
        };
        let credentials = json!({ "email": who.as_user().email, "password": who.as_user().password });
        let signed = send("/session", "", credentials).await.success();
        let cookie = |line: &str| line.split(';').next().unwrap_or_default().to_owned();
        let first = cookie(signed.header("set-cookie").expect("a cookie"));
        let again = send("/session/refresh", &first, json!({})).await.success();
        assert_ne!(cookie(again.header("set-cookie").expect("a cookie")), first, "{kind:?}");
        let sessions = Actor::bearer(&endpoint, again.text("/data/accessToken"));
        let sessions = sessions.rest("SessionService.ListSessions", json!({})).await.success();
        // The client's claim is replaced.
        let text = sessions.body.to_string();
        assert!(text.contains("127.0.0.1") && !text.contains("192.0.2.1"), "{kind:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn native_grpc_passes() {
    for kind in KINDS {
        let (app, proxy, _) = behind(kind, "").await;
        let grpc = grpc_endpoint(kind, &proxy);
        let customer = at(&app.cast().await.customer, &grpc).await;
        customer.call(Protocol::Grpc, "UserService.GetMe", json!({})).await.success();
        customer.call(Protocol::Grpc, "TicketService.CreateTicket", json!({})).await.failure("VALIDATION_FAILED");
        let mut changes = Reader::open(&customer, Protocol::Grpc, "TicketService.WatchTickets", "").await;
        changes.message().await;
    }
}

/// HAProxy resets a stream of gRPC whose response ends before its request.
#[tokio::test(flavor = "multi_thread")]
async fn an_early_refusal_of_grpc_reaches_a_client_that_still_sends() {
    for kind in KINDS {
        let (_app, proxy, _) = behind(kind, "").await;
        let (mut client, _connection) = connect(grpc_endpoint(kind, &proxy).address).await;
        for _ in 0..5 {
            let request = http::Request::post("http://a/mainstay.support.v1.TicketService/CreateTicket")
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(())
                .expect("a request");
            client = client.ready().await.expect("the connection is open");
            let (response, mut body) = client.send_request(request, false).expect("sent");
            // The server has refused the call by now.
            tokio::time::sleep(Duration::from_millis(50)).await;
            let message = [&[0, 0, 0, 4, 0][..], &[b'x'; 1024]].concat();
            body.send_data(message.into(), true).expect("the stream is open");
            let response = tokio::time::timeout(Duration::from_secs(30), response).await.expect("in time");
            let response = response.unwrap_or_else(|error| panic!("{kind:?}: {error}\n{}", proxy.log()));
            assert_eq!(response.headers()["grpc-status"], "16", "{kind:?}: {response:?}");
        }
    }
}

/// A server that closes each connection after it has read a request, except for health checks; counts the requests by path.
async fn start_silent_server(counts: Arc<Mutex<BTreeMap<String, usize>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let counts = counts.clone();
            tokio::spawn(async move {
                let mut buffer = [0; 4096];
                let length = stream.read(&mut buffer).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&buffer[..length]).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                if path == "/readyz" {
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                    stream.write_all(answer).await.ok();
                } else {
                    *counts.lock().expect("no panic").entry(path).or_default() += 1;
                }
            });
        }
    });
    address
}

/// The paths of a method over REST, of which the server ignores slashes at the end, and over gRPC.
fn paths(method: &Method) -> [String; 3] {
    let rest = rest::route(method).pattern.split('/').map(|part| if part.starts_with('{') { "x" } else { part });
    let rest = rest.collect::<Vec<_>>().join("/");
    [format!("{rest}/"), rest, method.path.clone()]
}

/// A repetition of a method that ignores the key would have a second effect.
#[tokio::test(flavor = "multi_thread")]
async fn haproxy_repeats_a_write_only_if_its_method_honors_the_key() {
    let counts = Arc::new(Mutex::new(BTreeMap::new()));
    let proxy = start(ProxyKind::HaProxy, &[start_silent_server(counts.clone()).await], "").await;
    let endpoint = Endpoint::new(proxy.addresses()[0]);
    let is_write = |method: &&&Method| rest::route(method).http_method != Some(http::Method::GET);
    let all = methods();
    let writes: Vec<_> = all.iter().filter(is_write).collect();
    // Two methods may have one path.
    let paths_once: BTreeSet<_> =
        writes.iter().flat_map(|method| paths(method)).chain(["/session".to_owned()]).collect();
    let requests = paths_once.iter().map(|path| {
        let url = format!("{}{path}", endpoint.base());
        endpoint.http.post(url).header("idempotency-key", "one").body("{}").send()
    });
    stream::iter(requests).buffer_unordered(32).for_each(|_| async {}).await;
    let counts = counts.lock().expect("no panic");
    let mut faults = Vec::new();
    for method in &writes {
        for path in paths(method) {
            let attempts = counts.get(&path).copied().unwrap_or_default();
            if (attempts > 1) == (method.idempotency == Idempotency::None) || attempts == 0 {
                faults.push(format!("{} at {path}: {attempts} attempts", method.name));
            }
        }
    }
    assert!(writes.len() > 50 && faults.is_empty(), "{}\n{}", faults.join("\n"), proxy.log());
    assert_eq!(counts.get("/session"), Some(&1), "a page reads no key");
}
