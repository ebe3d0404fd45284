//! The dashboard: revenue is exact, settings show no secret, and whatever happens to the log concerns nothing else.

mod overview;
mod revenue;
mod settings;
mod system_logs;
