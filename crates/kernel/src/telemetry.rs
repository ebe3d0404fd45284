//! Logs and metrics.

use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt};

/// This library logs notices of Postgres at `info`.
const QUIET: &str = "info,tokio_postgres=warn";

/// Writes the log as JSON lines to stderr; `RUST_LOG` sets the levels, `info` by default.
pub fn logs() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(QUIET));
    let logs = fmt().json().flatten_event(true).with_current_span(true).with_span_list(false);
    // A second call, as in tests, keeps the first subscriber.
    logs.with_env_filter(filter).with_writer(std::io::stderr).try_init().ok();
}

/// Upper bounds of the latency buckets, in seconds.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Counters of which any increase matters: they exist from the start, because a series that begins at 1 shows none.
static ALARMING: Mutex<Vec<&str>> = Mutex::new(Vec::new());

/// Declares counters of which any increase matters, as a module that is registered does.
pub(crate) fn declare_counters(names: Vec<&'static str>) {
    ALARMING.lock().unwrap_or_else(PoisonError::into_inner).extend(names);
}

/// The kernel's own.
const KERNEL_ALARMING: [&str; 2] = ["mainstay_panics_total", "mainstay_requests_shed_total"];

/// How often the samples of histograms are folded into their buckets.
const UPKEEP: std::time::Duration = std::time::Duration::from_secs(5);

/// Returns the recorder behind `/metrics`; one per process.
pub fn metrics() -> PrometheusHandle {
    static HANDLE: std::sync::OnceLock<PrometheusHandle> = std::sync::OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
            let handle = builder.install_recorder().expect("the first recorder");
            // Samples of histograms are kept until somebody reads them; nobody may.
            if let Ok(runtime) = tokio::runtime::Handle::try_current() {
                let upkeep = handle.clone();
                runtime.spawn(async move {
                    let mut ticks = tokio::time::interval(UPKEEP);
                    loop {
                        ticks.tick().await;
                        upkeep.run_upkeep();
                    }
                });
            }
            crate::alert::register();
            let of_modules = ALARMING.lock().unwrap_or_else(PoisonError::into_inner).clone();
            for name in KERNEL_ALARMING.into_iter().chain(of_modules) {
                metrics::counter!(name).increment(0);
            }
            handle
        })
        .clone()
}
