//! The metrics of the machinery. docs/operations.md has the same table, which a test compares with this one.

use super::Metric;

// The metrics of OpenTelemetry's conventions begin with one series each, so that queries find them before the first request.
// With one for each method and route, even of a single status, a scrape would be four times as large;
// `mainstay_request_seconds` has every method from the start.

/// The statuses of failures, each increase of which matters: those of the catalogue's reasons, as a test compares.
const FAILURES: &[&str] = &["500", "502", "503", "504"];

pub(crate) const METRICS: &[Metric] = &[
    Metric::counter("mainstay_alerts_total", "Alerts: an operator is needed")
        .labels(&[("provider", &[]), ("cause", &[])]),
    Metric::counter("mainstay_alerts_undelivered_total", "Alerts that the on-call service did not accept"),
    Metric::counter("mainstay_requests_total", "Requests by method and HTTP status, in every protocol")
        .labels(&[("method", &[]), ("status", FAILURES)]),
    Metric::histogram("mainstay_request_seconds", "Time until the response begins").labels(&[("method", &[])]),
    Metric::histogram("http_server_request_duration_seconds", "Time until the response to a REST request begins")
        .labels(&[
            ("http_request_method", &["_OTHER"]),
            ("http_route", &[""]),
            ("http_response_status_code", &["404"]),
        ]),
    Metric::histogram("rpc_server_call_duration_seconds", "Time until the response to a gRPC call begins").labels(&[
        ("rpc_system_name", &["grpc"]),
        ("rpc_method", &["_OTHER"]),
        ("rpc_response_status_code", &["UNIMPLEMENTED"]),
    ]),
    // The method comes second, so that only deprecated methods have series.
    Metric::counter("mainstay_deprecated_calls_total", "Calls of deprecated methods by the kind of their caller")
        .labels(&[("caller", &["anonymous", "user", "token", "service"]), ("method", &[])]),
    Metric::gauge("mainstay_requests_in_flight", "Requests, until the last byte of their response is sent"),
    Metric::counter("mainstay_responses_cut_off_total", "Responses that were not sent to their end")
        .labels(&[("reason", &["stalled", "deadline", "memory"])]),
    Metric::gauge("mainstay_watches", "Open watches"),
    Metric::counter("mainstay_watches_ended_total", "Watches by how they ended")
        .labels(&[("outcome", &["finished", "left", "failed", "access", "drain"])]),
    Metric::counter("mainstay_changes_read_total", "Changes that were read for watches"),
    Metric::counter("mainstay_requests_shed_total", "Requests refused because of overload"),
    Metric::gauge("mainstay_concurrency_limit", "How many requests run at once; others wait"),
    Metric::counter("mainstay_panics_total", "Requests that met a defect"),
    Metric::gauge("mainstay_postgres_connections", "Connections of the pool"),
    Metric::gauge("mainstay_postgres_idle_connections", "Idle connections of the pool"),
    Metric::histogram("mainstay_postgres_pool_wait_seconds", "Time until the pool lent a connection"),
    Metric::counter("mainstay_postgres_pool_timeouts_total", "Waits for a connection that ended without one"),
    Metric::counter(
        "mainstay_postgres_shared_reads_repeated_total",
        "Reads that a shared connection did not answer, repeated on one of their own",
    ),
    Metric::gauge("mainstay_postgres_replica_lag_seconds", "How far a replica is behind the primary, at most")
        .labels(&[("replica", &[])]),
    Metric::counter(
        "mainstay_postgres_replica_reads_total",
        "Reads that a replica may serve: by one, by the primary, or repeated on it because the replica failed",
    )
    .labels(&[("outcome", &["replica", "primary", "repeated"])]),
    Metric::gauge("mainstay_circuit", "State of the circuit to a dependency: 0 closed, 1 half-open, 2 open")
        .labels(&[("dependency", &[])]),
    Metric::counter("mainstay_redis_failures_total", "Commands that Redis did not answer, or refused"),
    Metric::counter("mainstay_cache_reads_total", "Reads of cached values by where the value came from")
        .labels(&[("cache", &[]), ("from", &["process", "source", "stale"])]),
    Metric::counter(
        "mainstay_cache_stampedes_avoided_total",
        "Reads that waited for another one instead of the source",
    )
    .labels(&[("cache", &[])]),
    Metric::counter("mainstay_responses_reused_total", "Requests that got the response of another one"),
    Metric::histogram("mainstay_cache_age_seconds", "Age of what was served from a cache").labels(&[("cache", &[])]),
    Metric::counter("mainstay_rate_limit_fallbacks_total", "Limits that were counted without Redis"),
    Metric::counter("mainstay_rate_limited_total", "Requests refused by a limit").labels(&[(
        "policy",
        &[
            "address",
            "address-site",
            "read",
            "write",
            "bulk",
            "login",
            "login-network",
            "login-site",
            "login-account",
            "mail-request",
            "mail-request-site",
        ],
    )]),
    Metric::counter("mainstay_outbound_attempts_total", "Attempts of calls to providers, by outcome")
        .labels(&[("provider", &[]), ("outcome", &[])]),
    Metric::histogram("mainstay_outbound_attempt_seconds", "Time of one attempt").labels(&[("provider", &[])]),
    Metric::counter("mainstay_outbound_retries_total", "Repeated attempts").labels(&[("provider", &[])]),
    Metric::gauge("mainstay_jobs_due", "Jobs that are due and wait, counted up to 10,000").labels(&[("lane", &[])]),
    Metric::gauge("mainstay_jobs_oldest_due_seconds", "How long the first job that is due has waited")
        .labels(&[("lane", &[])]),
    Metric::counter("mainstay_jobs_total", "Runs of jobs by outcome")
        .labels(&[("kind", &[]), ("outcome", &["done", "failed", "dead"])]),
    Metric::histogram("mainstay_job_seconds", "Time of one run of a job").labels(&[("kind", &[])]),
    Metric::counter("mainstay_effects_total", "Calls to outside APIs that take effect once, by the result of a run")
        .labels(&[("effect", &[]), ("outcome", &["succeeded", "failed", "not_done", "unclear"])]),
    Metric::gauge("mainstay_scheduled_task_last_success_timestamp_seconds", "When a scheduled task last succeeded")
        .labels(&[("task", &[])]),
    Metric::gauge("mainstay_scheduled_task_period_seconds", "How often a scheduled task is due")
        .labels(&[("task", &[])]),
    Metric::counter("mainstay_scheduled_task_failures_total", "Failed runs of scheduled tasks")
        .labels(&[("task", &[])]),
    Metric::gauge(
        "mainstay_clock_offset_seconds",
        "How far the clock of the host is ahead of that of Postgres; below zero, how far it is behind",
    ),
    Metric::gauge(
        "mainstay_partitions_end_timestamp_seconds",
        "Until when the partitions of a table follow each other by month",
    )
    .labels(&[("table", &[])]),
    Metric::gauge(
        "mainstay_partition_stray_rows",
        "Rows of a table that are in the partition of no month, counted up to 1,000",
    )
    .labels(&[("table", &[])]),
    Metric::counter("mainstay_tls_handshakes_failed_total", "TLS handshakes that failed"),
    Metric::gauge(
        "mainstay_tls_certificate_expiry_timestamp_seconds",
        "When the first certificate of a file of the listener expires",
    )
    .labels(&[("certificate", &[])]),
    Metric::counter("mainstay_connections_closed_total", "Connections closed by this server, by reason")
        .labels(&[("reason", &["idle", "address", "silent", "slow_headers", "stalled", "flood", "lingering"])]),
    Metric::counter("mainstay_log_lines_dropped_total", "Lines of the log that stderr did not take"),
    Metric::gauge("mainstay_disk_available_bytes", "Room that is left on a disk").labels(&[("disk", &[])]),
    Metric::gauge("mainstay_disk_size_bytes", "Size of a disk").labels(&[("disk", &[])]),
    Metric::gauge("mainstay_build_info", "Always 1; the labels describe the program").labels(&[
        ("version", &[]),
        ("os", &[]),
        ("arch", &[]),
    ]),
    Metric::gauge("process_cpu_seconds_total", "CPU time of the process, user and system"),
    Metric::gauge("process_resident_memory_bytes", "Memory of the process that is resident"),
    Metric::gauge("process_virtual_memory_bytes", "Address space of the process"),
    Metric::gauge("process_open_fds", "Open files and sockets"),
    Metric::gauge("process_max_fds", "Maximum of open files and sockets"),
    Metric::gauge("process_threads", "Threads of the process"),
    Metric::gauge("process_start_time_seconds", "When the process started"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::error::Reason;

    #[test]
    fn every_status_of_a_failure_exists_from_the_start() {
        let reasons = (0..1000_i32).filter_map(|number| Reason::try_from(number).ok());
        let statuses = reasons.map(|reason| reason.facts().http).filter(|status| status.is_server_error());
        let statuses: BTreeSet<String> = statuses.map(|status| status.as_str().to_owned()).collect();
        assert_eq!(statuses, FAILURES.iter().map(|status| (*status).to_owned()).collect());
    }
}
