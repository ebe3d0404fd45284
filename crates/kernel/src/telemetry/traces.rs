//! Traces over OTLP, as the variables of the OpenTelemetry standard say (`OTEL_*`).
//!
//! Off unless an endpoint is named. Then no span beyond those of the log is made, and a request's trace is only passed
//! on: what the caller sent as `traceparent` reaches whatever is called for it.

mod propagation;

use std::{
    fmt,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry::{
    KeyValue,
    trace::{SpanRef, TraceContextExt as _, TracerProvider as _},
};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{
    Resource,
    trace::{SdkTracer, SdkTracerProvider},
};
use tracing::{Span, Subscriber};
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt as _};
use tracing_subscriber::registry::LookupSpan;

use crate::{clock::Clock, id};

pub use propagation::traceparent;
pub(crate) use propagation::{adopt, continue_from, inject, is_sampled, is_traceparent, trace_id};

/// How long the last spans may take.
const LAST_EXPORT: Duration = Duration::from_secs(3);

static IS_ACTIVE: AtomicBool = AtomicBool::new(false);

/// Whether spans are exported.
pub(crate) fn is_active() -> bool {
    IS_ACTIVE.load(Ordering::Relaxed)
}

/// Whether a span is open that is exported, so that what happens now has a place in its trace. What the loops of the
/// process do has none.
pub(crate) fn is_within_span() -> bool {
    is_active() && !Span::current().is_none()
}

/// Changes the exported form of a span; does nothing while none is exported.
pub(crate) fn describe(span: &Span, change: impl FnOnce(&SpanRef<'_>)) {
    if is_active() {
        change(&span.context().span());
    }
}

/// The source of tracers.
pub(super) struct Provider(SdkTracerProvider);

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

impl Provider {
    /// Opens the exporter that the environment asks for, if any. The libraries read the variables that are not named
    /// here: headers, timeouts, compression, batches, limits and resource attributes.
    pub(super) fn open() -> anyhow::Result<Option<Self>> {
        let Some(protocol) = protocol()? else { return Ok(None) };
        check_sampler()?;
        let exporter = match protocol {
            Protocol::Grpc => SpanExporter::builder().with_tonic().build()?,
            protocol => {
                let client = super::exporter::Client::new()?;
                SpanExporter::builder().with_http().with_http_client(client).with_protocol(protocol).build()?
            }
        };
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        IS_ACTIVE.store(true, Ordering::Relaxed);
        Ok(Some(Self(provider)))
    }

    /// What makes spans of those of the program.
    pub(super) fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> OpenTelemetryLayer<S, SdkTracer> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("mainstay"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    pub(super) fn close(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_EXPORT) {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

/// Returns the protocol; `None`: nothing is exported.
fn protocol() -> anyhow::Result<Option<Protocol>> {
    let first = |names: [&str; 2]| names.iter().find_map(|name| variable(name).map(|text| ((*name).to_owned(), text)));
    if variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let is_named = first(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]).is_some();
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None if is_named => {}
        Some("otlp") => {}
        None | Some("none") => return Ok(None),
        Some(other) => anyhow::bail!("OTEL_TRACES_EXPORTER: must be otlp or none, not {other}"),
    }
    match first(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
        None => Ok(Some(Protocol::HttpBinary)),
        Some((_, text)) if text == "http/protobuf" => Ok(Some(Protocol::HttpBinary)),
        Some((_, text)) if text == "grpc" => Ok(Some(Protocol::Grpc)),
        Some((name, text)) => anyhow::bail!("{name}: must be grpc or http/protobuf, not {text}"),
    }
}

/// The library would take another sampler for the default, and export everything.
fn check_sampler() -> anyhow::Result<()> {
    const SAMPLERS: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let sampler = variable("OTEL_TRACES_SAMPLER");
    if let Some(sampler) = sampler.filter(|sampler| !SAMPLERS.contains(&sampler.as_str())) {
        anyhow::bail!("OTEL_TRACES_SAMPLER: must be one of {}, not {sampler}", SAMPLERS.join(", "));
    }
    let argument = variable("OTEL_TRACES_SAMPLER_ARG");
    let is_ratio = |text: &String| text.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    if let Some(argument) = argument.filter(|argument| !is_ratio(argument)) {
        anyhow::bail!("OTEL_TRACES_SAMPLER_ARG: must be a number from 0 to 1, not {argument}");
    }
    Ok(())
}

/// Describes this process. What the environment says takes precedence.
fn resource() -> Resource {
    let given = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let given = |name: &str| given.split(',').any(|pair| pair.trim_start().starts_with(&format!("{name}=")));
    let mut own = vec![
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", id::new(Clock::default().now()).to_string()),
    ];
    if variable("OTEL_SERVICE_NAME").is_none() {
        own.push(KeyValue::new("service.name", "mainstay"));
    }
    own.retain(|attribute| !given(attribute.key.as_str()));
    Resource::builder().with_attributes(own).build()
}

#[expect(clippy::disallowed_methods, reason = "the standard's variables are read from the environment only")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
