//! Health checks, reflection, compression, and gRPC-Web.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use mainstay::proto::support::v1::{CreateTicketRequest, ticket_service_client::TicketServiceClient};
use prost::Message as _;
use tonic::{Request, codec::CompressionEncoding};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::{
    v1,
    v1::{server_reflection_request::MessageRequest, server_reflection_response::MessageResponse},
    v1alpha,
};

use crate::support::{TestApp, modules};

#[tokio::test]
async fn health_is_reported_overall_and_per_service() {
    let app = TestApp::start().await;
    let mut client = HealthClient::new(app.endpoint.channel.clone());
    let mut services: Vec<_> = modules().contract.services().map(|service| service.full_name().to_owned()).collect();
    services.push(String::new());
    for service in services {
        let answer = client.check(HealthCheckRequest { service: service.clone() }).await;
        let status = answer.unwrap_or_else(|status| panic!("{service}: {status}")).into_inner().status();
        assert_eq!(status, ServingStatus::Serving, "{service}");
    }
    let unknown = client.check(HealthCheckRequest { service: "nobody".into() }).await.expect_err("there is none");
    assert_eq!(unknown.code(), tonic::Code::NotFound);
}

/// A client that watches would reconnect at once after an end.
#[tokio::test]
async fn a_watch_of_an_unknown_service_does_not_end() {
    let app = TestApp::start().await;
    let mut client = HealthClient::new(app.endpoint.channel.clone());
    for (service, expected) in [("", ServingStatus::Serving), ("nobody", ServingStatus::ServiceUnknown)] {
        let watch = client.watch(HealthCheckRequest { service: service.to_owned() }).await;
        let mut watch = watch.unwrap_or_else(|status| panic!("{service}: {status}")).into_inner();
        let first = watch.message().await.expect("a message").expect("no end");
        assert_eq!(first.status(), expected, "{service}");
        let next = tokio::time::timeout(Duration::from_millis(300), watch.message()).await;
        assert!(next.is_err(), "{service}: {next:?}");
    }
}

#[tokio::test]
async fn both_reflections_list_our_services() {
    let app = TestApp::start().await;
    let ours = "mainstay.support.v1.TicketService";
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(app.endpoint.channel.clone());
    let list = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let mut answers =
        client.server_reflection_info(Request::new(stream::iter([request]))).await.expect("v1").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one");
    assert!(format!("{answer:?}").contains(ours), "{answer:?}");

    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(app.endpoint.channel.clone());
    let symbol = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(ours.to_owned());
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(symbol) };
    let mut answers =
        client.server_reflection_info(Request::new(stream::iter([request]))).await.expect("v1alpha").into_inner();
    let answer = answers.message().await.expect("an answer").expect("one");
    let response = answer.message_response.expect("a response");
    let is_file = matches!(response, v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_));
    assert!(is_file, "{response:?}");
}

/// Asks for several things in one stream, as grpcurl does, and returns the responses.
async fn reflect(app: &TestApp, asks: Vec<MessageRequest>) -> Vec<MessageResponse> {
    let requests = asks
        .into_iter()
        .map(|ask| v1::ServerReflectionRequest { host: "a host".to_owned(), message_request: Some(ask) });
    let requests: Vec<_> = requests.collect();
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(app.endpoint.channel.clone());
    let answers = client.server_reflection_info(stream::iter(requests.clone())).await.expect("a stream").into_inner();
    let answers: Vec<_> = answers.map(|answer| answer.expect("the stream goes on")).collect().await;
    assert_eq!(answers.len(), requests.len());
    let answers = answers.into_iter().zip(requests).map(|(answer, request)| {
        assert_eq!((answer.valid_host.as_str(), answer.original_request), ("a host", Some(request)));
        answer.message_response.expect("a response")
    });
    answers.collect()
}

#[tokio::test]
async fn reflection_describes_files_symbols_and_extensions() {
    let app = TestApp::start().await;
    let service = "mainstay/support/v1/ticket_service.proto";
    let policies = "mainstay/policy/v1/method.proto";
    let extension = |number| {
        let containing_type = "google.protobuf.MethodOptions".to_owned();
        MessageRequest::FileContainingExtension(v1::ExtensionRequest { containing_type, extension_number: number })
    };
    let symbol = |name: &str| MessageRequest::FileContainingSymbol(name.to_owned());
    let pool = &modules().contract.descriptors;
    let policy = pool.get_message_by_name("google.protobuf.MethodOptions").expect("a message");
    let number =
        policy.extensions().find(|extension| extension.parent_file().name() == policies).expect("one").number();
    let number = i32::try_from(number).expect("a number");
    let files = [
        (MessageRequest::FileByFilename(service.to_owned()), service),
        (symbol("mainstay.support.v1.TicketService"), service),
        (symbol("mainstay.support.v1.TicketService.ResolveTicket"), service),
        (symbol("mainstay.support.v1.Ticket"), "mainstay/support/v1/ticket.proto"),
        (symbol("mainstay.support.v1.Ticket.subject"), "mainstay/support/v1/ticket.proto"),
        (symbol("mainstay.support.v1.TICKET_STATUS_OPEN"), "mainstay/support/v1/ticket.proto"),
        (symbol("mainstay.error.v1.Reason"), "mainstay/error/v1/reason.proto"),
        (symbol("grpc.health.v1.Health"), "health.proto"),
        (extension(number), policies),
    ];
    let responses = reflect(&app, files.iter().map(|(ask, _)| ask.clone()).collect()).await;
    for ((ask, expected), response) in files.iter().zip(responses) {
        let MessageResponse::FileDescriptorResponse(files) = response else { panic!("{ask:?}: {response:?}") };
        let names = files.file_descriptor_proto.iter().map(|bytes| {
            prost_types::FileDescriptorProto::decode(bytes.as_slice()).expect("a descriptor").name().to_owned()
        });
        assert!(names.collect::<Vec<_>>().iter().any(|name| name.ends_with(expected)), "{ask:?}");
    }
    let numbers = MessageRequest::AllExtensionNumbersOfType("google.protobuf.MethodOptions".to_owned());
    let numbers = reflect(&app, vec![numbers]).await.remove(0);
    let MessageResponse::AllExtensionNumbersResponse(numbers) = numbers else { panic!("{numbers:?}") };
    // The option `google.api.http` is one, too.
    assert!(numbers.extension_number.contains(&number) && numbers.extension_number.contains(&72_295_728));
}

/// A tool asks for many names and keeps its stream: some implementations have asked for names that do not exist first.
#[tokio::test]
async fn an_unknown_name_does_not_end_the_stream_of_reflection() {
    let app = TestApp::start().await;
    let extension =
        v1::ExtensionRequest { containing_type: "google.protobuf.MethodOptions".to_owned(), extension_number: 7 };
    let nothing = v1::ExtensionRequest { containing_type: "a.Nothing".to_owned(), extension_number: -1 };
    let unknown = vec![
        MessageRequest::FileByFilename("nothing.proto".to_owned()),
        MessageRequest::FileContainingSymbol("a.Nothing".to_owned()),
        MessageRequest::FileContainingSymbol("mainstay.support.v1.Ticket.nothing".to_owned()),
        MessageRequest::FileContainingSymbol(String::new()),
        MessageRequest::FileContainingExtension(extension),
        MessageRequest::FileContainingExtension(nothing),
        MessageRequest::AllExtensionNumbersOfType("a.Nothing".to_owned()),
        MessageRequest::ListServices(String::new()),
    ];
    let mut responses = reflect(&app, unknown).await;
    let last = responses.pop().expect("the list");
    assert!(matches!(last, MessageResponse::ListServicesResponse(_)), "{last:?}");
    for response in responses {
        let MessageResponse::ErrorResponse(error) = response else { panic!("{response:?}") };
        assert_eq!(error.error_code, tonic::Code::NotFound as i32, "{error:?}");
    }
}

/// Compressed requests are read, and responses are compressed in a coding that the client accepts.
#[tokio::test]
async fn messages_are_compressed_on_request() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let body = "It burns. ".repeat(100);
    for (encoding, name) in [(CompressionEncoding::Gzip, "gzip"), (CompressionEncoding::Zstd, "zstd")] {
        let client = TicketServiceClient::new(app.endpoint.channel.clone());
        let mut client = client.send_compressed(encoding).accept_compressed(encoding);
        let draft = CreateTicketRequest { subject: "Smoke".to_owned(), body: body.clone(), ..Default::default() };
        let mut request = Request::new(draft);
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().expect("a value"));
        let response = client.create_ticket(request).await.unwrap_or_else(|status| panic!("{name}: {status}"));
        let coding = response.metadata().get("grpc-encoding").and_then(|coding| coding.to_str().ok());
        assert_eq!(coding, Some(name));
        assert_eq!(response.into_inner().data.and_then(|ticket| ticket.body), Some(body.clone()), "{name}");
    }
}

/// gRPC's compression.md: the code, and the header from which a client takes another coding.
#[tokio::test]
async fn an_unsupported_compression_is_refused_with_the_supported_ones() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let url = format!("{}/mainstay.support.v1.TicketService/CreateTicket", app.endpoint.base());
    let request = app.endpoint.http.post(url).bearer_auth(token).header("content-type", "application/grpc");
    let request = request.header("te", "trailers").header("grpc-encoding", "snappy").body(vec![1, 0, 0, 0, 1, 0]);
    let response = request.send().await.expect("a response");
    assert_eq!(response.headers()["grpc-status"], "12", "{response:?}");
    let supported = response.headers()["grpc-accept-encoding"].to_str().expect("a text").to_owned();
    assert!(supported.contains("gzip") && supported.contains("zstd"), "{supported}");
}

/// Proxies repeat a GET, and a successful response to CONNECT opens a tunnel.
#[tokio::test]
async fn a_call_is_a_post() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let url = format!("{}/mainstay.support.v1.TicketService/ListTickets", app.endpoint.base());
    for (method, kind) in [
        (reqwest::Method::GET, "application/grpc"),
        (reqwest::Method::PUT, "application/grpc"),
        (reqwest::Method::DELETE, "application/grpc-web+proto"),
    ] {
        let request = app.endpoint.http.request(method.clone(), &url).bearer_auth(&token).header("content-type", kind);
        let response = request.body(vec![0; 5]).send().await.expect("a response");
        let allow = response.headers().get("allow").and_then(|allow| allow.to_str().ok());
        assert_eq!((response.status().as_u16(), allow), (405, Some("POST")), "{method}: {response:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_type_of_grpc_web() {
    let app = TestApp::builder().set("RATE_LIMIT_ADDRESS", "4/1m").start().await;
    let url = format!("{}/mainstay.support.v1.TicketService/ListTickets", app.endpoint.base());
    let mut is_limited = false;
    for _ in 0..20 {
        let request =
            app.endpoint.http.post(&url).header("content-type", "application/grpc-web+proto").body(vec![0; 5]);
        let response = request.send().await.expect("a response");
        assert_eq!(response.headers()["content-type"], "application/grpc-web+proto", "{response:?}");
        is_limited |= response.headers().get("grpc-status").is_some_and(|status| status == "8");
    }
    assert!(is_limited);
}

/// CORS headers are for browsers, which use gRPC-Web.
#[tokio::test]
async fn a_grpc_answer_has_no_headers_of_cors() {
    let app = TestApp::builder().set("ALLOWED_ORIGINS", "https://good.example").start().await;
    let h2 = reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    for (kind, has) in [("application/grpc", false), ("application/grpc-web+proto", true)] {
        let url = format!("{}/mainstay.identity.v1.UserService/GetMe", app.endpoint.base());
        let request = h2.post(url).header("content-type", kind).header("origin", "https://good.example");
        let response = request.header("te", "trailers").body(vec![0_u8; 5]).send().await.expect("an answer");
        let cors =
            |name: &http::HeaderName| name.as_str().starts_with("access-control-") || *name == http::header::VARY;
        assert_eq!(response.headers().keys().any(cors), has, "{response:?}");
    }
}

#[tokio::test]
async fn a_browser_speaks_grpc_web_on_the_same_port() {
    let app = TestApp::start().await;
    let token = app.cast().await.customer.token().await.expect("a token");
    let url = format!("{}/mainstay.identity.v1.UserService/GetMe", app.endpoint.base());
    let request = app.endpoint.http.post(url).bearer_auth(token).header("content-type", "application/grpc-web+proto");
    let response = request.body(vec![0_u8; 5]).send().await.expect("an answer");
    assert_eq!(response.status(), 200);
    let body = response.bytes().await.expect("a body");
    assert!(body.len() > 20 && body[0] == 0, "a message first");
    assert!(String::from_utf8_lossy(&body).contains("grpc-status:0"), "the trailers in the body");
}
