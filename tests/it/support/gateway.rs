//! The fake gateway as a process, and the comparison of all books after every fault.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Mutex,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{Endpoint, TestDatabase, unique, webhook::STRIPE_SECRET};

/// An event about an object in Stripe's format.
pub(crate) fn event(kind: &str, object: &Value) -> String {
    json!({ "id": format!("evt_{}", unique()), "object": "event", "type": kind, "data": { "object": object } })
        .to_string()
}

/// A gateway; the process and its ledger end with this value.
#[derive(Debug)]
pub(crate) struct FakeGateway {
    child: Option<Child>,
    address: String,
    directory: tempfile::TempDir,
    http: reqwest::Client,
    /// The current webhook subscription.
    subscription: Mutex<Option<Value>>,
}

/// Three records that must agree: the gateway's movements of money, the successful payments and refunds here, and the
/// ledger's bookings.
#[derive(Debug, PartialEq, Eq)]
struct Books {
    movements: Vec<Moved>,
    succeeded: Vec<Moved>,
    booked: Vec<Moved>,
}

/// A movement of money.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moved {
    /// The id of the payment or the refund; "nobody" for a refund from the gateway's console.
    subject: String,
    /// The gateway's id of the movement.
    pub(crate) gateway_id: String,
    /// Negative for refunds.
    pub(crate) amount: i64,
}

impl FakeGateway {
    /// Starts a gateway with an empty ledger.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let (address, subscription) = ("127.0.0.1:0".to_owned(), Mutex::default());
        let mut gateway = Self { child: None, address, directory, http, subscription };
        gateway.restart().await;
        gateway
    }

    /// Restarts the gateway after [`FakeGateway::kill`], at the same address, with its ledger.
    pub(crate) async fn restart(&mut self) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fake-gateway"));
        command.arg(self.ledger()).arg(&self.address).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the binary runs");
        let output = child.stdout.take().expect("piped");
        let line = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line).map(|_| line)
        });
        let line = line.await.expect("no panic").expect("a line");
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        self.child = Some(child);
        self.address = address.unwrap_or_else(|| panic!("the gateway did not start: {line:?}"));
        let subscription = self.subscription.lock().expect("no panic").clone();
        if let Some(subscription) = subscription {
            self.subscribe(subscription).await;
        }
    }

    /// Kills the gateway.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // The process may be dead already.
            child.kill().ok();
            child.wait().expect("our own child");
        }
    }

    /// Restarts the gateway with a refund in its ledger that was not requested through its API.
    pub(crate) async fn refund_from_nowhere(&mut self, charge: &str, amount: i64, currency: &str, metadata: Value) {
        use std::io::Write as _;
        self.kill();
        let line = json!({
            "line": "moved", "kind": "refund", "id": format!("re_{}", unique()), "amount": amount, "currency": currency,
            "of": charge, "metadata": metadata, "key": "",
        });
        let mut ledger = std::fs::OpenOptions::new().append(true).open(self.ledger()).expect("a ledger");
        writeln!(ledger, "{line}").expect("a line");
        self.restart().await;
    }

    /// Kills the gateway while it runs; [`FakeGateway::kill`] cleans up afterwards.
    pub(crate) fn strike(&self) {
        if let Some(child) = &self.child {
            let pid = i32::try_from(child.id()).expect("a pid fits");
            // The process may be gone already.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }

    fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }

    /// The environment of an app that uses this gateway, with timeouts short enough for tests.
    pub(crate) fn variables(&self) -> Vec<(&'static str, String)> {
        vec![
            ("PAYMENT_GATEWAY", "stripe".to_owned()),
            ("STRIPE_SECRET_KEY", "sk_test_of_the_fault_tests".to_owned()),
            ("STRIPE_BASE_URL", format!("http://{}", self.address)),
            ("GATEWAY_TIMEOUT", "1s".to_owned()),
            ("GATEWAY_LOOKUP_LAG", "1s".to_owned()),
            ("PAYMENT_SETTLE_TIMEOUT", "4s".to_owned()),
            ("PAYMENT_RETRY_WAIT", "200ms".to_owned()),
        ]
    }

    /// Sets the behavior for the next requests that move money; `times` 0: until the next call.
    pub(crate) async fn behave(&self, behaviour: Value, times: u32) {
        self.behave_at("", behaviour, times).await;
    }

    /// Does the same as [`FakeGateway::behave`], for requests that begin with `of`, such as `GET /v1/subscriptions`.
    pub(crate) async fn behave_at(&self, of: &str, behaviour: Value, times: u32) {
        let response = self.http.post(format!("http://{}/_behave", self.address));
        let response = response.body(json!({ "behaviour": behaviour, "times": times, "of": of }).to_string()).send();
        assert!(response.await.expect("an answer").status().is_success(), "{behaviour}");
    }

    /// Whether all configured behaviors have been used up.
    pub(crate) async fn has_used_up_behaviors(&self) -> bool {
        let behaviour = self.http.get(format!("http://{}/_behave", self.address)).send();
        behaviour.await.expect("an answer").text().await.expect("a number") == "0"
    }

    /// Changes a subscription, bypassing the API; returns the gateway's subscription.
    pub(crate) async fn change_subscription(&self, subscription: &str, change: &str) -> Value {
        let response = self.http.post(format!("http://{}/_subscription", self.address));
        let response = response.body(json!({ "subscription": subscription, "change": change }).to_string()).send();
        let answer = response.await.expect("an answer");
        assert!(answer.status().is_success(), "{change}: {answer:?}");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    /// The latest objects of a kind in the ledger.
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.ledger()).expect("a ledger");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let objects = lines.filter(|line| line["line"] == "object" && line["object"]["object"] == kind);
        let latest: BTreeMap<_, _> =
            objects.map(|mut line| (line["object"]["id"].to_string(), line["object"].take())).collect();
        latest.into_values().collect()
    }

    /// Creates a card without an owner.
    pub(crate) async fn card(&self) -> String {
        let request = self.http.post(format!("http://{}/v1/payment_methods", self.address)).bearer_auth("sk_test");
        let response =
            request.header("idempotency-key", unique()).body("type=card&card[token]=pm_card_visa").send().await;
        let body = response.expect("an answer").text().await.expect("a body");
        let card: Value = serde_json::from_str(&body).expect("JSON");
        card["id"].as_str().expect("an id").to_owned()
    }

    /// Detaches a card from its customer, like an operator at the console.
    pub(crate) async fn detach(&self, card: &str) {
        let path = format!("http://{}/v1/payment_methods/{card}/detach", self.address);
        let request = self.http.post(path).bearer_auth("sk_test").header("idempotency-key", unique());
        let response = request.send().await.expect("an answer");
        assert!(response.status().is_success(), "{response:?}");
    }

    /// Freezes the search index, or brings it up to date.
    pub(crate) async fn index(&self, stands_still: bool) {
        let body = if stands_still { "still" } else { "all" };
        let response = self.http.post(format!("http://{}/_index", self.address)).body(body).send();
        assert!(response.await.expect("an answer").status().is_success());
    }

    /// Restores normal behavior.
    pub(crate) async fn behave_well(&self) {
        self.behave(json!("normal"), 0).await;
    }

    /// Sets how servers are notified of events from now on: `manner` is "never", "once", "twice", {"late": ms} or
    /// "backwards". Events that were not acknowledged are sent again.
    pub(crate) async fn tells(&self, servers: &[&Endpoint], manner: Value) {
        let urls: Vec<_> = servers.iter().map(|server| format!("{}/webhooks/stripe", server.base())).collect();
        self.subscribe(json!({ "urls": urls, "secret": STRIPE_SECRET, "manner": manner })).await;
    }

    async fn subscribe(&self, subscription: Value) {
        let response =
            self.http.post(format!("http://{}/_webhooks", self.address)).body(subscription.to_string()).send();
        assert!(response.await.expect("an answer").status().is_success(), "{subscription}");
        *self.subscription.lock().expect("no panic") = Some(subscription);
    }

    /// The number of refunds made at the console.
    pub(crate) fn given_back_at_console(&self) -> usize {
        self.movements().iter().filter(|movement| movement.subject == "nobody").count()
    }

    /// Refunds the rest of a payment, or of a subscription's latest invoice, at most `amount`, at the console,
    /// bypassing the API. Returns whether the gateway knew it; the request may kill the gateway.
    pub(crate) async fn refund_at_console(&self, of: &str, amount: i64) -> bool {
        let body = json!({ "of": of, "amount": amount }).to_string();
        let request = self.http.post(format!("http://{}/_refund", self.address)).body(body).send();
        request.await.is_ok_and(|response| response.status().is_success())
    }

    /// Has the bank return a refund that was made long ago, by its id at the gateway.
    pub(crate) async fn return_refund(&self, gateway_id: &str) {
        let body = json!({ "refund": gateway_id }).to_string();
        let result = self.http.post(format!("http://{}/_return", self.address)).body(body).send().await;
        assert!(result.is_ok_and(|result| result.status().is_success()), "{gateway_id}");
    }

    /// The number of events, and how many of them were acknowledged.
    pub(crate) fn events(&self) -> (usize, usize) {
        let text = std::fs::read_to_string(self.ledger()).expect("a ledger");
        let count = |line: &str| text.lines().filter(|text| text.starts_with(&format!(r#"{{"line":"{line}""#))).count();
        (count("event"), count("delivered"))
    }

    /// The movements in the ledger. The subject of an invoice is the invoice itself, since a subscription pays many.
    pub(crate) fn movements(&self) -> Vec<Moved> {
        let text = std::fs::read_to_string(self.ledger()).expect("a ledger");
        let movement = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let subject = match line["kind"].as_str() {
                Some("invoice") => line["id"].as_str(),
                _ => ["mainstay_payment", "mainstay_refund"].iter().find_map(|name| line["metadata"][name].as_str()),
            };
            let (subject, gateway_id) = (subject.unwrap_or("nobody").to_owned(), line["id"].as_str()?.to_owned());
            let amount = line["amount"].as_i64()?;
            let amount = if line["kind"] == "refund" { -amount } else { amount };
            (line["line"] == "moved").then_some(Moved { subject, gateway_id, amount })
        };
        let mut movements: Vec<_> = text.lines().filter_map(movement).collect();
        movements.sort();
        movements
    }

    /// Waits until nothing is pending and every refund from the console and every invoice is known, then compares all
    /// books movement by movement: the gateway's ledger, what succeeded, and the app's ledger. Returns the number of
    /// movements.
    pub(crate) async fn settled_books(&self, database: &TestDatabase) -> usize {
        let since = Instant::now();
        let console = self.given_back_at_console();
        let invoices = self.movements().iter().filter(|movement| movement.subject == movement.gateway_id).count();
        while database.number(PENDING).await > 0
            || database.number(ADOPTED).await < count(console)
            || database.number(INVOICED).await < count(invoices)
        {
            assert!(
                since.elapsed() < Duration::from_secs(120),
                "something stays pending or unknown: {:#?}",
                self.books(database).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let books = self.books(database).await;
        assert!(books.movements == books.succeeded && books.movements == books.booked, "{books:#?}");
        let asked_for = || books.movements.iter().filter(|movement| movement.subject != "nobody");
        let distinct: BTreeSet<_> = asked_for().map(|movement| &movement.subject).collect();
        assert_eq!(distinct.len(), asked_for().count(), "money moved twice for one thing: {books:#?}");
        books.movements.len()
    }

    async fn books(&self, database: &TestDatabase) -> Books {
        Books {
            movements: self.movements(),
            succeeded: rows(database, SUCCEEDED).await,
            booked: rows(database, BOOKED).await,
        }
    }
}

const PENDING: &str =
    "SELECT (SELECT count(*) FROM payments WHERE status = 1) + (SELECT count(*) FROM refunds WHERE status = 1)
         + (SELECT count(*) FROM subscriptions WHERE status = 1 OR pending_cancellation IS NOT NULL)";
const ADOPTED: &str = "SELECT (SELECT count(*) FROM refunds WHERE refunded_by IS NULL)
    + (SELECT count(*) FROM ledger_transactions WHERE kind = 5)";
const INVOICED: &str = "SELECT count(*) FROM ledger_transactions WHERE kind = 3";
/// An invoice counts as succeeded once it is booked for a subscription, at the subscription's price.
const SUCCEEDED: &str = "SELECT id::text, gateway_id, amount_minor FROM payments WHERE status = 2
    UNION ALL SELECT CASE WHEN refunded_by IS NOT NULL THEN id::text END, gateway_id, -amount_minor FROM refunds WHERE status = 2
    UNION ALL SELECT booked.gateway_id, booked.gateway_id, price_minor FROM subscriptions
        JOIN ledger_transactions AS booked ON subscription_id = subscriptions.id AND kind = 3
    UNION ALL SELECT NULL, gateway_id, -amount_minor FROM ledger_transactions WHERE kind = 5";
const BOOKED: &str = "SELECT CASE kind WHEN 1 THEN booked.payment_id::text WHEN 3 THEN booked.gateway_id
            ELSE (CASE WHEN refunded_by IS NOT NULL THEN refund_id::text END) END,
        booked.gateway_id, entry.amount_minor FROM ledger_transactions AS booked
    JOIN ledger_entries AS entry ON transaction_id = booked.id AND account = 1
    LEFT JOIN refunds ON refunds.id = booked.refund_id";

fn count(number: usize) -> i64 {
    i64::try_from(number).expect("it fits")
}

async fn rows(database: &TestDatabase, statement: &str) -> Vec<Moved> {
    let rows = database.sql(statement).await;
    let row = |row: Vec<Option<String>>| match row.as_slice() {
        [subject, Some(gateway_id), Some(amount)] => Moved {
            subject: subject.clone().unwrap_or_else(|| "nobody".to_owned()),
            gateway_id: gateway_id.clone(),
            amount: amount.parse().expect("a number"),
        },
        other => panic!("{other:?}"),
    };
    let mut rows: Vec<_> = rows.into_iter().map(row).collect();
    rows.sort();
    rows
}

impl Drop for FakeGateway {
    fn drop(&mut self) {
        self.kill();
    }
}
