//! Tickets beyond single answers.

mod atomic;
mod conditions;
mod open_limit;
mod paging;
mod patch;
