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

use tracing::{Level, Metadata, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, fmt, layer::SubscriberExt as _, registry, registry::LookupSpan,
};

use crate::config::{ConfigError, Requirement, Verdict};

/// The default levels, which `RUST_LOG` extends. `tokio_postgres` logs the notices of Postgres at `info`. `h2` warns of
/// each connection that it closes because of a flood of resets, so that an attacker could fill the log.
const DEFAULT_LEVELS: &str = "info,tokio_postgres=warn,h2=error";

/// Handles of logs and traces, for the rest of the process.
#[derive(Debug)]
pub struct Telemetry {
    traces: Option<traces::Provider>,
}

/// Writes the log, including panics, as JSON lines to stderr; `RUST_LOG` sets the levels, `info` by default. Exports
/// traces if the OpenTelemetry environment variables name a receiver. It must run within the runtime.
///
/// Also returns the errors of these variables, for [`Source::with_errors`]. Until the program exits because of them,
/// the log has its default levels, and no traces are exported.
///
/// # Panics
/// If the system can't start the thread that writes the log.
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
    // A second subscriber, as in tests, is rejected; the first one stays.
    match &traces {
        Some(provider) => {
            let spans = provider.layer().with_filter(filter_fn(is_exported));
            let both = registry().with(spans).with(log_layer().with_filter(filter));
            tracing::subscriber::set_global_default(both).ok();
        }
        // A global filter is cheaper than one per layer.
        None => drop(tracing::subscriber::set_global_default(registry().with(filter).with(log_layer()))),
    }
    lines::start();
    panics::install_hook();
    (Telemetry { traces }, errors)
}

fn filter() -> Result<EnvFilter, ConfigError> {
    let fault = |message: String| ConfigError::new(EnvFilter::DEFAULT_ENV, message);
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable of every Rust program is read from the environment only"
    )]
    let levels = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(levels) => levels,
        Err(VarError::NotPresent) => String::new(),
        Err(VarError::NotUnicode(_)) => return Err(fault("must be UTF-8".to_owned())),
    };
    // The last of two levels for one target applies.
    EnvFilter::builder()
        .parse(format!("{DEFAULT_LEVELS},{levels}"))
        .map_err(|error| fault(format!("must be levels such as info,mainstay=debug, not {levels}: {error}")))
}

pub(crate) const PRODUCTION: &[Requirement] = &[Requirement {
    name: "log-level",
    text: "The log is written at the level info or above",
    check: |_| match LevelFilter::current() {
        level if level > LevelFilter::INFO => Verdict::Missed("RUST_LOG asks for debug or trace"),
        _ => Verdict::of(logs_errors(), "RUST_LOG leaves out errors"),
    },
}];

fn logs_errors() -> bool {
    // An invalid filter is reported when the program starts.
    let Ok(filter) = filter() else { return true };
    tracing::subscriber::with_default(registry().with(filter), || tracing::enabled!(target: "mainstay", Level::ERROR))
}

fn log_layer<S: Subscriber + for<'span> LookupSpan<'span>>() -> impl Layer<S> {
    fmt::layer().fmt_fields(json::Members).event_format(json::Lines).with_writer(|| lines::LogWriter)
}

impl Telemetry {
    /// Exports the last spans, within a few seconds. It is called while the runtime runs, and not on its threads.
    pub fn flush(self) {
        if let Some(traces) = self.traces {
            traces.close();
        }
    }
}

/// The kernel's spans of statements, commands and calls have the level `debug`, which excludes them from the log.
fn is_exported(metadata: &Metadata<'_>) -> bool {
    let max_level =
        if metadata.is_span() && metadata.target().starts_with("mainstay") { Level::DEBUG } else { Level::INFO };
    *metadata.level() <= max_level
}
