//! The dashboard: revenue is exact, settings reveal no secret, and faults of the log store affect nothing else.

mod overview;
mod revenue;
mod settings;
mod system_logs;
