//! Tickets: behavior beyond a single response.

mod atomic;
mod conditions;
mod filters;
mod open_limit;
mod paging;
mod patch;
