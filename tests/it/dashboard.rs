//! The dashboard.

mod revenue;
