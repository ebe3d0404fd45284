//! Trace export over OTLP, configured by the OpenTelemetry environment variables (`OTEL_*`).
//!
//! Tracing is off unless the environment names an endpoint or the exporter. While it is off, the log has its spans as
//! usual, and a caller's `traceparent` is propagated to outbound calls.

mod propagation;

use std::{
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

use crate::{clock::Clock, config::ConfigError, id};

pub use propagation::traceparent;
pub(crate) use propagation::{continue_from, continue_from_headers, inject, is_sampled, is_traceparent, trace_id};

const LAST_EXPORT_TIMEOUT: Duration = Duration::from_secs(3);

static IS_ACTIVE: AtomicBool = AtomicBool::new(false);

pub(crate) fn is_active() -> bool {
    IS_ACTIVE.load(Ordering::Relaxed)
}

/// Returns whether the current task is within an exported span, as of a request or a job, unlike the loops of the
/// process.
pub(crate) fn is_within_span() -> bool {
    is_active() && !Span::current().is_none()
}

/// Changes the exported form of a span, if spans are exported.
pub(crate) fn describe(span: &Span, change: impl FnOnce(&SpanRef<'_>)) {
    if is_active() {
        change(&span.context().span());
    }
}

pub(super) struct Provider(SdkTracerProvider);

debug_fields!(Provider);

impl Provider {
    /// Opens the exporter that the environment selects, if any. The OpenTelemetry libraries read the variables that are
    /// not named here: headers, timeouts, compression, batches, limits and resource attributes.
    /// Errors: all invalid variables.
    pub(super) fn open() -> Result<Option<Self>, Vec<ConfigError>> {
        let mut errors = Vec::new();
        match is_wanted() {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            Err(error) => errors.push(error),
        }
        let protocol = protocol();
        errors.extend(protocol.as_ref().err().cloned());
        errors.extend(sampler_errors());
        let (Ok(protocol), true) = (protocol, errors.is_empty()) else { return Err(errors) };
        // The library's message names the variable.
        let exporter =
            exporter(protocol).map_err(|error| vec![ConfigError::new("OTEL_EXPORTER_OTLP_*", format!("{error:#}"))])?;
        let provider = SdkTracerProvider::builder().with_resource(resource()).with_batch_exporter(exporter).build();
        IS_ACTIVE.store(true, Ordering::Relaxed);
        Ok(Some(Self(provider)))
    }

    pub(super) fn layer<S: Subscriber + for<'span> LookupSpan<'span>>(&self) -> OpenTelemetryLayer<S, SdkTracer> {
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("mainstay"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
    }

    pub(super) fn close(self) {
        if let Err(error) = self.0.shutdown_with_timeout(LAST_EXPORT_TIMEOUT) {
            tracing::warn!(%error, "the last spans could not be exported");
        }
    }
}

fn first_set(names: [&'static str; 2]) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, variable(name)?)))
}

fn is_wanted() -> Result<bool, ConfigError> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    match variable("OTEL_TRACES_EXPORTER").as_deref() {
        None => Ok(first_set(["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"]).is_some()),
        Some("otlp") => Ok(true),
        Some("none") => Ok(false),
        Some(other) => Err(ConfigError::new("OTEL_TRACES_EXPORTER", format!("must be otlp or none, not {other}"))),
    }
}

fn protocol() -> Result<Protocol, ConfigError> {
    match first_set(["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]) {
        None => Ok(Protocol::HttpBinary),
        Some((_, text)) if text == "http/protobuf" => Ok(Protocol::HttpBinary),
        Some((_, text)) if text == "grpc" => Ok(Protocol::Grpc),
        Some((name, text)) => Err(ConfigError::new(name, format!("must be grpc or http/protobuf, not {text}"))),
    }
}

/// Returns the errors of the sampler. The library would silently replace an unknown sampler with the default, which
/// exports everything.
fn sampler_errors() -> impl Iterator<Item = ConfigError> {
    const SAMPLERS: [&str; 6] = [
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ];
    let sampler = variable("OTEL_TRACES_SAMPLER").filter(|sampler| !SAMPLERS.contains(&sampler.as_str()));
    let sampler = sampler.map(|sampler| {
        ConfigError::new("OTEL_TRACES_SAMPLER", format!("must be one of {}, not {sampler}", SAMPLERS.join(", ")))
    });
    let is_ratio = |text: &String| text.parse::<f64>().is_ok_and(|ratio| (0.0..=1.0).contains(&ratio));
    let argument = variable("OTEL_TRACES_SAMPLER_ARG").filter(|argument| !is_ratio(argument));
    let argument = argument.map(|argument| {
        ConfigError::new("OTEL_TRACES_SAMPLER_ARG", format!("must be a number from 0 to 1, not {argument}"))
    });
    sampler.into_iter().chain(argument)
}

fn exporter(protocol: Protocol) -> anyhow::Result<SpanExporter> {
    Ok(match protocol {
        Protocol::Grpc => SpanExporter::builder().with_tonic().build()?,
        protocol => {
            let client = super::exporter::Client::new()?;
            SpanExporter::builder().with_http().with_http_client(client).with_protocol(protocol).build()?
        }
    })
}

/// Describes this process. Values of the environment take precedence.
fn resource() -> Resource {
    let attributes = variable("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
    let is_given = |name: &str| attributes.split(',').any(|pair| pair.trim_start().starts_with(&format!("{name}=")));
    let mut own = vec![
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", id::new(Clock::default().now()).to_string()),
    ];
    if variable("OTEL_SERVICE_NAME").is_none() {
        own.push(KeyValue::new("service.name", "mainstay"));
    }
    own.retain(|attribute| !is_given(attribute.key.as_str()));
    Resource::builder().with_attributes(own).build()
}

#[expect(clippy::disallowed_methods, reason = "the standard's variables are read from the environment only")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
}
