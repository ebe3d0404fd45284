//! The telemetry of a server: traces at a real receiver, metrics in a real Prometheus, log lines.

mod log;
mod metrics;
mod on_call;
mod otlp;
mod traces;
