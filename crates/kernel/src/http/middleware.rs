//! The middleware stack, outermost first.
//!
//! ```text
//! every request
//!   without_forged_mark  removes Envoy's mark from requests of other peers
//!   AssignRequestId   first: all later layers, logs and errors name the request
//!   CatchPanic        a panic in the next four layers does not end the connection
//!   Trace             one span, one log line, the metrics; outside every layer that may reject
//!   EnvoyStatusHeader the HTTP status of a response that Envoy transcodes; sees the final response
//!   SecurityHeaders   on every response, errors and pages included
//!   Cors              answers preflights before requests are counted or rejected
//!   CatchPanic        a panic in later layers becomes a response with all headers
//!   Conditional       304; outside compression, because the tag identifies the encoded bytes
//!   InFlight          counts until the last byte; outside compression, so that no encoder outlives a response
//!   Compression       inside Conditional
//!   RestErrorResponse converts rejections of later layers to envelopes for REST
//!   FindClientAddress  the client's address, also behind trusted proxies; later layers divide limits among addresses
//!   Shed              adaptive concurrency limit with a bounded queue; cheaper than every later check
//!   AddressLimit      before authentication, so that guessing credentials is limited
//!   Router            gRPC │ gRPC-Web │ pages │ REST, which is transcoded and enters below like gRPC
//!   Microcache        REST, public methods: reuses a response of the last second without a call
//!   AuthenticateFirst REST: before a compressed body is decompressed
//!   BoundRequestMemory bodies that are read as a whole; inside decompression, to count the decompressed size
//! every method call
//!   FindMethod        the policy, which all later layers read
//!   CatchPanic        a stream that panics ends with a status; within FindMethod, so that the logs name the method
//!   BoundEndless      health and reflection, which have neither policy nor deadline; before their messages are read
//!   Deadline          limits all later layers, authentication included
//!   Authenticate      the caller, and the permit the policy grants
//!   PrincipalLimit    needs the principal
//!   ReadFirst         while memory is scarce, rejects callers with unread responses (backpressure); needs the principal
//!   BoundWatch        limits watches per principal, which end with its access and with the drain
//!   ReadIdempotencyKey  last: only an admitted request may claim a key
//!   MapTonicErrors    around tonic: its own errors get a reason
//!   LimitMessage      also decompresses, within the limit of the method; tonic has one limit for all methods
//!   Consistency       reads from replicas, if there are any; innermost: it must know which requests reached their method
//! ```

mod auth;
mod client_address;
mod consistency;
mod content_coding;
mod deadline;
mod endless;
pub(crate) mod envelope;
mod extensions;
pub mod idempotency_key;
mod in_flight;
pub mod layer;
mod map_tonic_errors;
mod message_limit;
mod method;
mod microcache;
mod panic;
pub(crate) mod protocol;
mod rate_limit;
mod record;
mod request_id;
mod request_memory;
pub(crate) mod router;
mod shed;
mod timeout;
pub(crate) mod trace;
pub(crate) mod watch;
pub(crate) mod web;

use std::sync::Arc;

use http_body::Body as _;
use mainstay_transcoder::{Limits, RuleErrors, Transcoder, merge_content_types};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_web::GrpcWebLayer;
use tower::{Layer as _, ServiceBuilder};

use crate::{app::App, caller::Authenticator};
use layer::{Body, MiddlewareLayer, Next, Request, Response};

/// Wraps the services and the pages in the stack. Streams without a deadline end once `draining` is cancelled.
///
/// # Errors
/// All HTTP rules that are invalid or collide.
pub(crate) fn stack(
    app: &App,
    authenticator: &Arc<dyn Authenticator>,
    routes: Routes,
    pages: axum::Router,
    draining: CancellationToken,
) -> Result<impl Next + use<>, RuleErrors> {
    let server = &app.config.server;
    let contract = app.contract;
    let credentials = rate_limit::Credentials::default();
    let authenticate = auth::Authenticate { authenticator: authenticator.clone(), clock: app.clock.clone() };
    let unread = in_flight::Unread::new(server.max_unread_bytes, server.write_timeout);
    let calls = ServiceBuilder::new()
        .layer(MiddlewareLayer(method::FindMethod::new(app)))
        .layer(MiddlewareLayer(panic::CatchPanic))
        .layer(MiddlewareLayer(endless::BoundEndless::new(draining.clone())))
        .layer(MiddlewareLayer(deadline::Deadline))
        .layer(MiddlewareLayer(authenticate.clone()))
        .layer(MiddlewareLayer(rate_limit::PrincipalLimit {
            limiter: app.limiter.clone(),
            credentials: credentials.clone(),
        }))
        .layer(MiddlewareLayer(in_flight::ReadFirst { unread: unread.clone() }))
        .layer(MiddlewareLayer(watch::BoundWatch::new(authenticator.clone(), draining)))
        .layer(MiddlewareLayer(idempotency_key::ReadIdempotencyKey))
        .layer(MiddlewareLayer(map_tonic_errors::MapTonicErrors))
        .layer(MiddlewareLayer(message_limit::LimitMessage { default: server.max_request_bytes }))
        .option_layer(consistency::Consistency::new(app).map(MiddlewareLayer))
        .service(routes);
    let services: Vec<_> = contract.services().map(|service| service.full_name().to_owned()).collect();
    let services: Vec<_> = services.iter().map(String::as_str).collect();
    let dialect = envelope::Envelope { contract, max_request_bytes: server.max_request_bytes };
    let rest = Transcoder::new(&contract.descriptors, &services, calls.clone(), dialect, Limits::default())?;
    let memory = MiddlewareLayer(request_memory::BoundRequestMemory::new(server.max_received_bytes, contract));
    let grpc = memory.layer(calls);
    let router = router::Router {
        prefixes: router::prefixes(&contract.rules),
        grpc: grpc.clone(),
        grpc_web: GrpcWebLayer::new().layer(grpc),
        pages: ServiceBuilder::new().map_response(page).service(pages),
        rest: ServiceBuilder::new()
            .layer(MiddlewareLayer(microcache::Microcache::new(app.cache.clone(), &contract.rules)))
            .layer(MiddlewareLayer(auth::AuthenticateFirst { authenticate, contract }))
            .map_request(content_coding::decompress)
            .layer(memory)
            .service(rest),
    };
    let behind_proxy = server.trusted_proxy_hops > 0;
    Ok(ServiceBuilder::new()
        .map_request(move |mut request: Request| {
            merge_content_types(request.headers_mut());
            protocol::without_forged_mark(request, behind_proxy)
        })
        .layer(MiddlewareLayer(request_id::AssignRequestId {
            clock: app.clock.clone(),
            error_domain: server.error_domain.as_deref().map(Into::into),
            lists: &contract.lists,
            alerts: app.alerts.clone(),
        }))
        .layer(MiddlewareLayer(panic::CatchPanic))
        .layer(MiddlewareLayer(trace::Trace { contract }))
        .layer(MiddlewareLayer(protocol::EnvoyStatusHeader { catalogue: &contract.catalogue }))
        .layer(MiddlewareLayer(web::SecurityHeaders { tls: server.tls.is_some() }))
        .layer(web::cors(&server.allowed_origins))
        .layer(MiddlewareLayer(panic::CatchPanic))
        .layer(MiddlewareLayer(web::Conditional))
        .layer(MiddlewareLayer(in_flight::InFlight::new(unread)))
        .map_response(|response: http::Response<tower_http::compression::CompressionBody<Body>>| -> Response {
            response.map(Body::new)
        })
        .map_request(web::accept_identity)
        .layer(web::compression())
        .layer(MiddlewareLayer(protocol::RestErrorResponse { catalogue: &contract.catalogue }))
        .layer(MiddlewareLayer(client_address::FindClientAddress { trusted_hops: server.trusted_proxy_hops }))
        .layer(MiddlewareLayer(shed::Shed::new(server.max_in_flight, server.max_connections, app.database.clone())))
        .layer(MiddlewareLayer(rate_limit::AddressLimit { limiter: app.limiter.clone(), credentials }))
        .service(router))
}

/// Marks a page that is made while it is read, and so does not know its size, as a stream.
fn page(mut response: http::Response<axum::body::Body>) -> Response {
    if response.body().size_hint().exact().is_none() {
        response.extensions_mut().insert(extensions::IsStream);
    }
    response.map(Body::new)
}
