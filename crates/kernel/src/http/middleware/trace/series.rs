//! Request metrics.
//!
//! The lookup of a series copies and hashes its name and labels, which costs more than counting. Each thread therefore
//! looks up the series of each kind of request once and caches them. Callers can't choose label values, so that their
//! number is bounded.

use std::{cell::RefCell, collections::HashMap, time::Duration};

use http::StatusCode;
use metrics::{Counter, Histogram, counter, histogram};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) method: &'static str,
    pub(super) status: StatusCode,
    pub(super) labels: SemanticLabels,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum SemanticLabels {
    Http { verb: &'static str, route: &'static str },
    Rpc { method: &'static str, code: &'static str },
}

struct Series {
    requests: Counter,
    seconds: Histogram,
    duration: Histogram,
}

impl Series {
    fn find(kind: Kind) -> Self {
        let Kind { method, status, labels } = kind;
        let status = status.as_str().to_owned();
        Self {
            requests: counter!("mainstay_requests_total", "method" => method, "status" => status.clone()),
            seconds: histogram!("mainstay_request_seconds", "method" => method),
            duration: match labels {
                SemanticLabels::Http { verb, route } => histogram!("http_server_request_duration_seconds",
                    "http_request_method" => verb, "http_route" => route, "http_response_status_code" => status),
                SemanticLabels::Rpc { method, code } => histogram!("rpc_server_call_duration_seconds",
                    "rpc_system_name" => "grpc", "rpc_method" => method, "rpc_response_status_code" => code),
            },
        }
    }
}

/// Counts a request whose response begins after `elapsed`.
pub(super) fn record(kind: Kind, elapsed: Duration) {
    thread_local! {
        static FOUND: RefCell<HashMap<Kind, Series>> = RefCell::default();
    }
    FOUND.with_borrow_mut(|all| {
        let series = all.entry(kind).or_insert_with(|| Series::find(kind));
        series.requests.increment(1);
        series.seconds.record(elapsed);
        series.duration.record(elapsed);
    });
}
