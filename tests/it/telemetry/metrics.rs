//! The metrics, as read by a real Prometheus, compared with the documentation.

use std::{
    collections::{BTreeMap, BTreeSet},
    process::Stdio,
    time::Duration,
};

use mainstay::{mail::ops::Kind, webhooks::inbound_event::model::Provider};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

use crate::{
    support::{PROTOCOLS, Process, TestDatabase, eventually, modules, people::Cast, rust_files},
    tls::{Files, certificates::Authority},
};

/// Metrics without series in the product, which has no deprecated method and no effect.
const OF_TEAMS: [&str; 2] = ["mainstay_deprecated_calls_total", "mainstay_effects_total"];

/// A Prometheus that scrapes a server, and the TLS metrics of another one; ends with the test.
struct Prometheus {
    base: String,
    http: reqwest::Client,
    _process: Child,
    _data: TempDir,
}

impl Prometheus {
    async fn start(server: &Process, tls: &Process) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let port = {
            let free = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            free.local_addr().expect("an address").port()
        };
        let config = json!({
            // A scrape that takes longer than the interval fails, and its series end.
            "global": { "scrape_interval": "2s", "scrape_timeout": "2s" },
            "scrape_configs": [
                { "job_name": "mainstay", "static_configs": [{ "targets": [server.private.address.to_string()] }] },
                {
                    "job_name": "tls",
                    "static_configs": [{ "targets": [tls.private.address.to_string()] }],
                    "metric_relabel_configs": [
                        { "source_labels": ["__name__"], "regex": "mainstay_tls_certificate_.*", "action": "keep" },
                    ],
                },
            ],
        });
        // JSON is a subset of YAML.
        std::fs::write(data.path().join("prometheus.yml"), config.to_string()).expect("written");
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", data.path().join("prometheus.yml").display()))
            .arg(format!("--storage.tsdb.path={}", data.path().join("data").display()))
            .arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let process = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true).spawn();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let base = format!("http://127.0.0.1:{port}/api/v1");
        let this = Self { base, http, _process: process.expect("scripts/setup installs Prometheus"), _data: data };
        eventually("Prometheus is up", async || this.get("targets", &[]).await.is_some()).await;
        this
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Option<Value> {
        let mut url = url::Url::parse(&format!("{}/{path}", self.base)).expect("a URL");
        url.query_pairs_mut().extend_pairs(query);
        let answer = self.http.get(url.as_str()).timeout(Duration::from_secs(5)).send().await.ok()?;
        let body: Value = answer.json().await.ok()?;
        (body["status"] == "success").then(|| body["data"].clone())
    }

    /// The number of series that a query finds.
    async fn count(&self, query: &str) -> usize {
        let data = self.get("query", &[("query", query)]).await;
        data.and_then(|data| data["result"].as_array().map(Vec::len)).unwrap_or_default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prometheus_reads_every_metric_with_its_meaning() {
    let database = TestDatabase::new().await;
    // A provider and a replica are configured, so that their metrics exist.
    let settings = [
        ("ON_CALL_ROUTING_KEY", "a-key"),
        ("ON_CALL_URL", "http://127.0.0.1:1"),
        ("DATABASE_REPLICA_URLS", database.url.as_str()),
    ];
    let server = Process::with(&database, &settings).await;
    let files = Files::new(&Authority::new().server());
    let tls = files.variables();
    let tls: Vec<_> = tls.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let tls = Process::with(&database, &tls).await;
    let prometheus = Prometheus::start(&server, &tls).await;
    eventually("the first scrapes", async || prometheus.count("up == 1").await == 2).await;
    // Counters whose first increase matters exist from the start, before any request.
    for query in [
        "mainstay_panics_total == 0",
        "mainstay_alerts_total{provider=\"gateway\",cause=\"mismatch\"} == 0",
        "mainstay_jobs_total{kind=\"send_mail\",outcome=\"dead\"} == 0",
        "mainstay_scheduled_task_failures_total{task=\"find_refunds\"} == 0",
        "http_server_request_duration_seconds_count{http_request_method=\"_OTHER\"} == 0",
        "rpc_server_call_duration_seconds_count{rpc_method=\"_OTHER\"} == 0",
        "mainstay_circuit{dependency=\"redis\"} == 0",
        "mainstay_build_info == 1",
        "process_resident_memory_bytes > 1000000",
        "process_open_fds > 5",
        "time() - process_start_time_seconds < 3600",
    ] {
        eventually(query, async || prometheus.count(query).await == 1).await;
    }
    let failures = ["500", "502", "503", "504"].map(|status| {
        format!("mainstay_requests_total{{method=\"TicketService.CreateTicket\",status=\"{status}\"}} == 0")
    });
    let kinds = modules().contributions().all::<&'static Kind>().map(|kind| kind.name);
    let mails: Vec<_> =
        kinds.map(|kind| format!("mainstay_mails_total{{kind=\"{kind}\",outcome=\"rejected\"}} == 0")).collect();
    assert!(mails.len() > 20, "{mails:?}");
    let webhooks = Provider::NAMES
        .map(|one| format!("mainstay_webhooks_received_total{{provider=\"{one}\",outcome=\"refused\"}} == 0"));
    for query in failures.iter().chain(&mails).chain(&webhooks) {
        eventually(query, async || prometheus.count(query).await == 1).await;
    }
    let cast = Cast::new(&server.endpoint, &database).await;
    for protocol in PROTOCOLS {
        cast.customer.call(protocol, "TicketService.ListTickets", json!({})).await.success();
    }
    for query in [
        "http_server_request_duration_seconds_count{http_request_method=\"GET\",http_route=\"/api/v1/tickets\",http_response_status_code=\"200\"} >= 1",
        "rpc_server_call_duration_seconds_count{rpc_method=\"mainstay.support.v1.TicketService/ListTickets\",rpc_response_status_code=\"OK\"} >= 1",
        "mainstay_postgres_pool_wait_seconds_count > 3",
        "process_cpu_seconds_total > 0",
        "mainstay_request_seconds_bucket{method=\"TicketService.ListTickets\",le=\"0.75\"} >= 1",
    ] {
        eventually(query, async || prometheus.count(query).await == 1).await;
    }
    server.endpoint.get("/api/v1/posts").await;
    check_dashboards(&prometheus).await;
    check_alerts(&prometheus).await;
    let metadata = prometheus.get("targets/metadata", &[]).await.expect("metadata");
    let helps: BTreeMap<&str, &str> = metadata
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|entry| Some((entry["metric"].as_str()?, entry["help"].as_str()?)))
        .collect();
    assert!(helps.values().all(|help| !help.is_empty()), "{helps:?}");
    for metric in modules().metrics() {
        if let Some(help) = helps.get(metric.name) {
            assert_eq!(*help, metric.help, "{}", metric.name);
        }
    }
    let names: BTreeSet<_> = modules().metrics().iter().map(|metric| metric.name).collect();
    let foreign: Vec<_> = helps.keys().filter(|name| !names.contains(*name)).collect();
    assert!(foreign.is_empty(), "not declared: {foreign:?}");
    let text = server.private.get("/metrics").await.body.to_string();
    assert!(text.contains("# UNIT mainstay_request_seconds seconds\\n"), "{text}");
}

/// Checks that Prometheus understands every query of the dashboards, and that its series exist on this server.
async fn check_dashboards(prometheus: &Prometheus) {
    let names: BTreeSet<_> = modules().metrics().iter().map(|metric| metric.name).collect();
    let mut visible = BTreeSet::new();
    for (file, query) in dashboard_queries() {
        let query = query.replace("$__rate_interval", "1m").replace("$instance", ".*");
        eventually(&format!("{file}: {query} has a result"), async || {
            prometheus.get("query", &[("query", &query)]).await.is_some()
        })
        .await;
        let words = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        for word in words.filter(|word| is_metric(word)) {
            let base = ["_bucket", "_count", "_sum"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(word);
            let name = names.get(base).unwrap_or_else(|| panic!("{file}: there is no {word}: {query}"));
            visible.insert(*name);
            if !OF_TEAMS.contains(name) {
                eventually(&format!("{file}: {word} has a series"), async || prometheus.count(word).await > 0).await;
            }
        }
    }
    let hidden: Vec<_> = names.difference(&visible).filter(|name| name.starts_with("mainstay_")).collect();
    assert!(hidden.is_empty(), "on no dashboard: {hidden:?}");
}

/// Checks that every alert of the server has a row in the runbook.
async fn check_alerts(prometheus: &Prometheus) {
    let document = include_str!("../../../docs/operations.md");
    let cells = document.lines().filter_map(|line| line.strip_prefix("| ")?.split_once(" | ")).map(|(first, _)| first);
    let cells: Vec<_> = cells.collect();
    let alerts = "mainstay_alerts_total";
    eventually("alerts have series", async || prometheus.count(alerts).await > 15).await;
    let data = prometheus.get("query", &[("query", alerts)]).await.expect("an answer");
    let series = data["result"].as_array().expect("a list");
    for one in series {
        let label = |name: &str| format!("`{}`", one["metric"][name].as_str().expect("a label"));
        let (provider, cause) = (label("provider"), label("cause"));
        let is_documented = cells.iter().any(|cell| cell.contains(&provider) && cell.ends_with(&cause));
        assert!(is_documented, "docs/operations.md does not explain {provider}, {cause}");
    }
}

/// The queries of all panels, with the names of their files.
fn dashboard_queries() -> Vec<(String, String)> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/grafana");
    let mut queries = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the dashboards") {
        let path = entry.expect("an entry").path();
        let board: Value = serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON");
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let panels = board["panels"].as_array().expect("panels");
        let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
        queries.extend(targets.map(|target| (name.clone(), target["expr"].as_str().expect("a query").to_owned())));
    }
    assert!(queries.len() > 30, "{queries:?}");
    queries
}

fn is_metric(word: &str) -> bool {
    ["mainstay_", "process_", "http_server", "rpc_server"].iter().any(|start| word.starts_with(start))
}

/// Every metric that the code records is declared, and documented in the table with its labels.
#[test]
fn every_metric_is_declared_and_documented() {
    modules();
    let document = include_str!("../../../docs/operations.md");
    let (_, section) = document.split_once("\n## Metrics\n").expect("the section");
    let (section, _) = section.split_once("\n## ").expect("another section");
    let documented: BTreeSet<&str> = section
        .split('`')
        .skip(1)
        .step_by(2)
        .map(|code| code.split('{').next().unwrap_or_default())
        .filter(|name| is_metric(name))
        .collect();
    let names: BTreeSet<&str> = modules().metrics().iter().map(|metric| metric.name).collect();
    assert_eq!(documented, names);

    let mut recorded = BTreeSet::new();
    for folder in ["src", "crates/kernel/src"] {
        for path in rust_files(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)) {
            let text = std::fs::read_to_string(&path).expect("text");
            for start in ["counter!(", "gauge!(", "histogram!("] {
                let calls = text.split(start).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                recorded.extend(calls.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
            }
        }
    }
    let existing: BTreeSet<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let unknown: Vec<_> = recorded.difference(&existing).collect();
    assert!(unknown.is_empty(), "not declared: {unknown:?}");
    let unused: Vec<_> = existing.difference(&recorded).filter(|name| !name.starts_with("process_")).collect();
    assert!(unused.is_empty(), "declared, but never recorded: {unused:?}");
}
