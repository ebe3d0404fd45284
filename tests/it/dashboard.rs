//! The dashboard: revenue is exact, and whatever happens to the log concerns nothing else.

mod overview;
mod revenue;
mod system_logs;
