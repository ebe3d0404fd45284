//! The kernel's variables: name, default, meaning. `config check` prints the table with those of the modules, and a test
//! compares docs/configuration.md with it.

use super::source::Variable;

/// The kernel's variables.
pub(super) const KERNEL: &[Variable] = &[
    Variable::plain("LISTEN_ADDR", "127.0.0.1:8080", "Address that gRPC, REST and the web pages listen on"),
    Variable::plain("METRICS_LISTEN_ADDR", "127.0.0.1:9464", "Address of the private listener, for health and metrics"),
    Variable::plain("TLS_CERT", "", "PEM file with the certificate chain, reloaded when it changes; if absent, no TLS"),
    Variable::plain("TLS_KEY", "", "PEM file with the private key of the certificate"),
    Variable::plain(
        "TLS_CLIENT_CA",
        "",
        "PEM file with the authorities of client certificates; if absent, none are requested",
    ),
    Variable::plain(
        "TLS_PRINCIPALS",
        "",
        "Client certificates that act as service principals: URI=scope+scope, separated by commas",
    ),
    Variable::plain("ALLOWED_ORIGINS", "", "Origins from which browsers may call (CORS), separated by commas"),
    Variable::plain("TRUSTED_PROXY_HOPS", "0", "Number of trusted proxies that append to X-Forwarded-For"),
    Variable::plain(
        "ERROR_DOMAIN",
        "",
        "Domain of all error reasons in google.rpc.ErrorInfo, such as api.example.com; default: that of the module",
    ),
    Variable::plain(
        "MAX_IN_FLIGHT",
        "1024",
        "Maximum concurrent requests. Unread responses do not count. The limit adapts between 128 and this value. Up to four times as many requests queue for at most 1 s, and are then rejected with 503. Further requests are rejected after the same time; at most MAX_CONNECTIONS rejections are delayed. Half as many requests may also wait for late bodies; one network may use an eighth of what other networks leave free",
    ),
    Variable::plain(
        "MAX_CONNECTIONS",
        "10000",
        "Maximum open connections. One network (an IPv4 address or an IPv6 /64) may have a quarter, and one IPv6 /48 half; behind a trusted proxy (TRUSTED_PROXY_HOPS) there is no such share. At the maximum, a new connection replaces the one that has been idle for longest. Up to a quarter more may still be closing",
    ),
    Variable::plain(
        "MAX_UNREAD_BYTES",
        "64MiB",
        "Maximum memory of responses that clients have not read, a quarter of it for one connection or principal",
    ),
    Variable::plain(
        "MAX_RECEIVED_BYTES",
        "64MiB",
        "Maximum memory of requests that are being received or processed; at least four times MAX_REQUEST_BYTES. One network may use a quarter of what other networks leave free. Bodies of up to 16 KiB and streams do not count",
    ),
    Variable::plain(
        "WRITE_TIMEOUT",
        "30s",
        "How long a client may go without reading a response; then it is cut off; on shutdown, 3 s at most",
    ),
    Variable::plain(
        "KEEP_ALIVE_TIMEOUT",
        "75s",
        "How long a connection of HTTP/1.1 stays open without a request. A proxy in front must close idle connections earlier: a request on a connection that the server is closing is lost",
    ),
    Variable::plain(
        "MAX_REQUEST_BYTES",
        "1MiB",
        "Maximum size of a request message once it is decompressed, unless the method defines its own; at most 8MiB",
    ),
    Variable::plain("DRAIN_TIMEOUT", "30s", "Time for requests in flight to finish on shutdown; then they are cut off"),
    Variable::plain("DRAIN_DELAY", "0s", "Time to keep accepting connections after readiness is withdrawn"),
    Variable::secret("DATABASE_URL", "Postgres; if absent, a private one is started"),
    Variable::plain("DATABASE_POOL_SIZE", "16", "Size of the Postgres connection pool"),
    Variable::plain("DATABASE_POOL_WAIT", "800ms", "Maximum wait for a pooled connection"),
    Variable::plain(
        "DATABASE_STATEMENT_TIMEOUT",
        "60s",
        "Upper bound on any statement, at most 24d; request deadlines are shorter",
    ),
    Variable::plain(
        "DATABASE_TRACE_CONTEXT",
        "false",
        "Whether pg_stat_activity and the log of Postgres name the trace of a sampled request: application_name is its traceparent until its transaction ends",
    ),
    Variable::secret(
        "DATABASE_REPLICA_URLS",
        "Replicas of Postgres, separated by commas, from which requests that only read are served; if absent, the primary is read",
    ),
    Variable::plain(
        "DATABASE_REPLICA_MAX_LAG",
        "1s",
        "How far a replica that is read may be behind the primary; at least 300ms, as it is measured ten times a second",
    ),
    Variable::plain(
        "MAINSTAY_DATA_DIR",
        "",
        "Directory of the private Postgres, generated secrets, mail outbox; default: the user's data directory",
    ),
    Variable::secret("REDIS_URL", "Redis; if absent, an in-process stand-in"),
    Variable::plain(
        "REDIS_CLUSTER",
        "false",
        "Whether Redis is a Redis Cluster; REDIS_URL then names one or more of its nodes, separated by commas",
    ),
    Variable::secret(
        "REDIS_SENTINELS",
        "URLs of Redis Sentinels, separated by commas; the host of REDIS_URL is then the name of the primary they watch",
    ),
    Variable::plain("REDIS_TIMEOUT", "20ms", "Maximum wait for Redis, after which it counts as unavailable"),
    Variable::plain("CACHE_MEMORY", "64MiB", "Memory for cached values in each process"),
    Variable::plain("SINGLE_INSTANCE", "false", "Allows DATABASE_URL without REDIS_URL"),
    Variable::plain("INSTANCES", "1", "Number of instances that divide the rate limits while Redis is unavailable"),
    Variable::secret(
        "SECRET_KEY",
        "32 bytes in base64 that seal signing keys, webhook secrets and second factors; after a rotation, the earlier ones follow, separated by commas, and only open what they sealed; if absent, generated into the data directory",
    ),
    Variable::plain(
        "RATE_LIMIT_ADDRESS",
        "1200/1m",
        "Requests per IP address, or /64 of IPv6, before authentication; ten times as many per /48",
    ),
    Variable::plain("RATE_LIMIT_READ", "300/1m", "Reads per principal"),
    Variable::plain("RATE_LIMIT_WRITE", "100/1m", "Writes per principal"),
    Variable::plain("RATE_LIMIT_BULK", "20/1m", "Imports, exports and batches per principal"),
    Variable::plain(
        "RATE_LIMIT_SERVICE_FACTOR",
        "100",
        "Factor by which the limits of services of the platform are higher",
    ),
    Variable::plain("JOBS_IN_SERVE", "true", "Whether serve also runs background jobs"),
    Variable::plain("JOBS_CONCURRENCY", "4", "Concurrent jobs other than imports, webhooks and mail"),
    Variable::plain(
        "ON_CALL_FORMAT",
        "pagerduty",
        "Form in which the on-call service takes alerts: pagerduty or opsgenie",
    ),
    Variable::secret(
        "ON_CALL_ROUTING_KEY",
        "Key of the on-call service that gets the alerts; if absent, they are counted and logged only",
    ),
    Variable::plain(
        "ON_CALL_URL",
        "",
        "Where the on-call service takes alerts; if absent, PagerDuty's or Opsgenie's own address; plain http only for loopback",
    ),
];
