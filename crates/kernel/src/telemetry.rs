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

use std::env::VarError;

pub use metrics::metrics;

use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt as _, registry, registry::LookupSpan,
};

use crate::config::ConfigError;

/// The levels that `RUST_LOG` starts from. `tokio_postgres` logs the notices of Postgres at `info`; `h2` warns of each
/// connection that is closed because it floods the server with resets, so a stranger could fill the log.
const DEFAULT_LEVELS: &str = "info,tokio_postgres=warn,h2=error";

/// Logs and traces, until the process ends.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<traces::Provider>,
}

/// Writes the log as JSON lines to stderr, panics too; `RUST_LOG` sets the levels, `info` by default. Exports traces if the
/// variables of the OpenTelemetry standard name a receiver. To be called within the runtime.
///
/// Also returns which of these variables can't be used and why, for [`Source::with_errors`]. Until the program ends for
/// that, the log has its default levels, and no traces are exported.
///
/// # Panics
/// If the system can't start a thread, which is to write the log.
///
/// [`Source::with_errors`]: crate::config::Source::with_errors
pub fn start() -> (Telemetry, Vec<ConfigError>) {
    let mut errors = Vec::new();
    let filter = filter().unwrap_or_else(|error| {
        errors.push(error);
        EnvFilter::new(DEFAULT_LEVELS)
    });
    let traces = traces::Provider::open().unwrap_or_else(|faults| {
        errors.extend(faults);
        None
    });
    // A second subscriber, as in tests, is refused; the first one stays.
    match &traces {
        Some(provider) => {
            let spans = provider.layer().with_filter(filter_fn(is_exported));
            let both = registry().with(spans).with(log_layer().with_filter(filter));
            tracing::subscriber::set_global_default(both).ok();
        }
        // A filter for all is cheaper than one per layer.
        None => drop(tracing::subscriber::set_global_default(registry().with(filter).with(log_layer()))),
    }
    lines::start();
    panics::log();
    (Telemetry { traces }, errors)
}

/// Returns the filter of the levels that `RUST_LOG` asks for.
fn filter() -> Result<EnvFilter, ConfigError> {
    let fault = |message| ConfigError { name: EnvFilter::DEFAULT_ENV.to_owned(), message };
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable of every Rust program is read from the environment only"
    )]
    let levels = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(levels) => levels,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(_)) => return Err(fault("must be UTF-8".to_owned())),
    };
    // Of two levels for one target, the last one counts.
    EnvFilter::builder()
        .parse(format!("{DEFAULT_LEVELS},{levels}"))
        .map_err(|error| fault(format!("must be levels such as info,mainstay=debug, not {levels}: {error}")))
}

fn log_layer<S: Subscriber + for<'span> LookupSpan<'span>>() -> impl Layer<S> {
    fmt::layer().fmt_fields(json::Members).event_format(json::Lines).with_writer(|| lines::LogWriter)
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
    let max_level =
        if metadata.is_span() && metadata.target().starts_with("mainstay") { Level::DEBUG } else { Level::INFO };
    *metadata.level() <= max_level
}
