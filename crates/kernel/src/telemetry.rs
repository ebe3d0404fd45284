//! Logs, traces and metrics.

pub(crate) mod backtrace;
pub mod disk;
mod exporter;
mod json;
pub mod lines;
pub mod metrics;
mod panics;
pub(crate) mod process;
pub(crate) mod statements;
pub mod traces;

pub use metrics::metrics;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt as _, registry, registry::LookupSpan,
};

/// One library logs notices of Postgres at `info`; the other one warns of each connection that floods it with resets and is
/// closed for that, so a stranger could fill the log.
const QUIET: &str = "info,tokio_postgres=warn,h2=error";

/// Logs and traces, until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<traces::Provider>,
}

/// Writes the log as JSON lines to stderr, panics too; `RUST_LOG` sets the levels, `info` by default. Exports traces if the variables
/// of the OpenTelemetry standard name a receiver. To be called within the runtime.
///
/// # Errors
/// A variable of OpenTelemetry that can't be used.
pub fn start() -> anyhow::Result<Telemetry> {
    let asked = EnvFilter::try_from_default_env().map(|asked| asked.to_string()).unwrap_or_default();
    // Of two levels for one target, the last one counts.
    let filter = EnvFilter::new(format!("{QUIET},{asked}"));
    let traces = traces::Provider::open();
    // A second subscriber, as in tests, is refused; the first one stays.
    match &traces {
        Ok(Some(provider)) => {
            let spans = provider.layer().with_filter(filter_fn(is_exported));
            let both = registry().with(spans).with(logs().with_filter(filter));
            tracing::subscriber::set_global_default(both).ok();
        }
        // A filter for all is cheaper than one per layer.
        Ok(None) | Err(_) => drop(tracing::subscriber::set_global_default(registry().with(filter).with(logs()))),
    }
    panics::log();
    Ok(Telemetry { traces: traces? })
}

fn logs<S: Subscriber + for<'span> LookupSpan<'span>>() -> impl Layer<S> {
    fmt::layer().fmt_fields(json::Members).event_format(json::Lines).with_writer(lines::LogWriter)
}

impl Telemetry {
    /// Exports the last spans, within a few seconds. To be called while the runtime still runs, not on one of its threads.
    pub fn flush(self) {
        if let Some(traces) = self.traces {
            traces.close();
        }
    }
}

/// The machinery's own spans of statements, commands and calls are at `debug`, so that the log does not carry them.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let most = if metadata.is_span() && metadata.target().starts_with("mainstay") { Level::DEBUG } else { Level::INFO };
    *metadata.level() <= most
}
