//! Tickets: behavior beyond a single response.

mod answers;
mod atomic;
mod batch;
mod bulk;
mod conditions;
mod filters;
mod include;
mod labels;
mod links;
mod merge;
mod notes;
mod open_limit;
mod paging;
mod patch;
mod returned;
mod search;
