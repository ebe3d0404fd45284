//! Serves REST for a gRPC server that has none, from its descriptor set.
//!
//! ```text
//! protoc -I. -Igoogleapis --include_imports --descriptor_set_out=shop.pb shop.proto      # or: buf build -o shop.pb
//! cargo run -p mainstay-transcoder --example transcode -- \
//!     --descriptor-set shop.pb --upstream http://127.0.0.1:50051 --listen 127.0.0.1:8080
//! curl http://127.0.0.1:8080/v1/items/7
//! ```

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Parser;
use http::HeaderName;
use mainstay_transcoder::{Limits, StatusDialect, Transcoder, descriptor_pool};
use tonic::transport::Endpoint;

/// Serves REST for a gRPC server, by the google.api.http rules of its descriptor set.
///
/// Responses are protobuf JSON; streams are NDJSON, or server-sent events if the client accepts text/event-stream.
/// Failures are google.rpc.Status in JSON: {"code":5,"message":"…","details":[…]}. Request headers are sent as
/// metadata, and the timeout header (2, 1.5s, 500ms) as grpc-timeout.
#[derive(Debug, Parser)]
#[command(name = "transcode")]
struct Args {
    /// A FileDescriptorSet with all imports, from protoc --include_imports or buf build.
    #[arg(long, value_name = "FILE")]
    descriptor_set: PathBuf,
    /// The gRPC server, such as http://127.0.0.1:50051.
    #[arg(long, value_name = "URL")]
    upstream: Endpoint,
    /// The address to listen on for HTTP.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// The full name of a service to serve; repeat it for several. Default: every service with a rule.
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// The maximum size of a request body, in bytes.
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 20)]
    max_body_bytes: usize,
    /// The maximum nesting depth of objects and arrays in a request's JSON.
    #[arg(long, value_name = "LEVELS", default_value_t = Limits::default().max_depth)]
    max_depth: u32,
    /// The header in which a client says how long it waits.
    #[arg(long, value_name = "NAME", default_value = "x-request-timeout")]
    timeout_header: HeaderName,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // Warnings about the descriptor set.
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file = args.descriptor_set.display();
    let bytes = std::fs::read(&args.descriptor_set).with_context(|| format!("reading {file}"))?;
    let pool = descriptor_pool(&bytes).with_context(|| format!("{file} is not a complete descriptor set"))?;
    let all: Vec<String> = pool.services().map(|service| service.full_name().to_owned()).collect();
    let services = if args.service.is_empty() { &all } else { &args.service };
    let services: Vec<&str> = services.iter().map(String::as_str).collect();
    // The channel connects lazily, so that either side may start first.
    let channel = args.upstream.connect_lazy();
    let dialect = StatusDialect::new(&pool, args.max_body_bytes).with_timeout_header(args.timeout_header);
    let limits = Limits { max_depth: args.max_depth, ..Limits::default() };
    let rest = Transcoder::new(&pool, &services, channel, dialect, limits)?;
    anyhow::ensure!(rest.rules().routes().len() > 0, "{file} has no google.api.http rule");
    for route in rest.rules().routes() {
        println!("{route} → {}", route.grpc_path);
    }
    let listener =
        tokio::net::TcpListener::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    println!("listening on http://{}", listener.local_addr()?);
    axum::serve(listener, axum::Router::new().fallback_service(rest)).await?;
    Ok(())
}
