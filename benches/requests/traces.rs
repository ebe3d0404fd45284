//! The cost of exporting traces: the same server with and without export, in alternating rounds. This process is the
//! receiver, and discards the spans.
//!
//! The first comparison is between two servers without traces, one without an endpoint and one with export disabled.
//! The deviation of its ratio and its rounds from 1 is the measurement noise of this machine.

use axum::{Router, http::StatusCode};
use tokio::net::TcpListener;

use crate::{
    calls::Operation,
    children::Server,
    clients::Client,
    comparison::{Comparison, Rate},
    load,
    options::Options,
    world::World,
};

/// The exports: a name, and the variables in addition to the endpoint.
const EXPORTS: [(&str, &[(&str, &str)]); 3] = [
    ("get, traces switched off", &[("OTEL_SDK_DISABLED", "true")]),
    ("get, one trace in 100 exported", &[("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")]),
    ("get, all traces exported", &[("OTEL_TRACES_SAMPLER", "always_on")]),
];

pub(crate) async fn run(world: &World, options: &Options) -> anyhow::Result<Vec<Comparison>> {
    let receiver = TcpListener::bind("127.0.0.1:0").await?;
    let endpoint = format!("http://{}", receiver.local_addr()?);
    // An empty response acknowledges all spans.
    let router = Router::new().fallback(async || StatusCode::OK);
    let receiving = tokio::spawn(async move { axum::serve(receiver, router).await });
    let mut comparisons = Vec::new();
    for (name, own) in EXPORTS {
        let mut variables = vec![("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str())];
        variables.extend(own);
        let exporting = world.another(&variables).await?;
        let (mut served, mut alone) = (Vec::new(), Vec::new());
        // The first round of each server is a warm-up.
        for number in 0..=options.rounds() {
            let mut order = [(&exporting, &mut served), (&world.server, &mut alone)];
            if number % 2 == 0 {
                order.reverse();
            }
            for (server, rates) in order {
                let rate = round(world, options, server).await?;
                if number > 0 {
                    rates.push(rate);
                }
            }
        }
        exporting.stop().await;
        comparisons.push(Comparison { name: name.to_owned(), limit: "no traces".to_owned(), served, alone });
    }
    receiving.abort();
    Ok(comparisons)
}

/// Gets tickets from a server, over gRPC.
async fn round(world: &World, options: &Options, server: &Server) -> anyhow::Result<Rate> {
    let mut clients = Vec::new();
    for _ in 0..options.connections {
        let client = Client::grpc(server.port, &world.token).await?;
        clients.extend(std::iter::repeat_n(client, options.in_flight));
    }
    let before = server.cpu();
    let mut measurement = load::run(clients, &world.target, Operation::Get, options.round()).await?;
    measurement.cpu = server.cpu().zip(before).map(|(after, before)| after - before);
    Ok(Rate::from(&measurement))
}
