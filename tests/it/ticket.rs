//! Tickets: behavior beyond a single response.

mod atomic;
mod batch;
mod conditions;
mod filters;
mod include;
mod labels;
mod notes;
mod open_limit;
mod paging;
mod patch;
mod search;
