//! The fake gateway as a process, and the one question after every fault: do all books agree?

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::TestDatabase;

/// A gateway; it and its ledger end with this value.
#[derive(Debug)]
pub(crate) struct FakeGateway {
    child: Option<Child>,
    address: String,
    directory: tempfile::TempDir,
    http: reqwest::Client,
}

/// What agrees when all is well: the money the gateway moved, what succeeded here, and what is booked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Books {
    moved: Vec<(String, i64)>,
    succeeded: Vec<(String, i64)>,
    booked: Vec<(String, i64)>,
}

impl FakeGateway {
    /// Starts one with an empty ledger.
    pub(crate) async fn start() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let mut gateway = Self { child: None, address: "127.0.0.1:0".to_owned(), directory, http };
        gateway.restart().await;
        gateway
    }

    /// Starts it again after [`FakeGateway::kill`], at the same address, with what its ledger has.
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
    }

    /// Kills it.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Struck already is as good.
            child.kill().ok();
            child.wait().expect("our own child");
        }
    }

    /// Kills it as it works; [`FakeGateway::kill`] then sees to what is left.
    pub(crate) fn strike(&self) {
        if let Some(child) = &self.child {
            let pid = i32::try_from(child.id()).expect("a pid fits");
            // Gone already is as good.
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).ok();
        }
    }

    fn ledger(&self) -> PathBuf {
        self.directory.path().join("ledger")
    }

    /// The variables of a house that uses it, with times short enough for tests.
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

    /// Tells it how to treat the next requests that move money; `times` 0: until told otherwise.
    pub(crate) async fn behave(&self, behaviour: Value, times: u32) {
        self.behave_at("", behaviour, times).await;
    }

    /// The same for requests that begin with `of`, such as `GET /v1/subscriptions`.
    pub(crate) async fn behave_at(&self, of: &str, behaviour: Value, times: u32) {
        let told = self.http.post(format!("http://{}/_behave", self.address));
        let told = told.body(json!({ "behaviour": behaviour, "times": times, "of": of }).to_string()).send();
        assert!(told.await.expect("an answer").status().is_success(), "{behaviour}");
    }

    /// Whether all it was told about the next requests is done with.
    pub(crate) async fn is_at_ease(&self) -> bool {
        let asked = self.http.get(format!("http://{}/_behave", self.address)).send();
        asked.await.expect("an answer").text().await.expect("a number") == "0"
    }

    /// Lets something happen to a subscription of ours past the API; answers with the gateway's subscription.
    pub(crate) async fn happen(&self, subscription: &str, happens: &str) -> Value {
        let told = self.http.post(format!("http://{}/_subscription", self.address));
        let told = told.body(json!({ "subscription": subscription, "happens": happens }).to_string()).send();
        let answer = told.await.expect("an answer");
        assert!(answer.status().is_success(), "{happens}: {answer:?}");
        serde_json::from_slice(&answer.bytes().await.expect("a body")).expect("JSON")
    }

    /// The latest objects of a kind that its ledger has.
    pub(crate) fn objects(&self, kind: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.ledger()).expect("a ledger");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
        let made = lines.filter(|line| line["line"] == "object" && line["object"]["object"] == kind);
        let latest: BTreeMap<_, _> =
            made.map(|mut line| (line["object"]["id"].to_string(), line["object"].take())).collect();
        latest.into_values().collect()
    }

    /// From now on as it should.
    pub(crate) async fn behave_well(&self) {
        self.behave(json!("normal"), 0).await;
    }

    /// The movements of its ledger: what each was for, or the invoice that it paid, and the amount, negative for refunds.
    pub(crate) fn movements(&self) -> Vec<(String, i64)> {
        let text = std::fs::read_to_string(self.ledger()).expect("a ledger");
        let movement = |line: &str| {
            let line: Value = serde_json::from_str(line).expect("a line of JSON");
            let subject = match line["kind"].as_str() {
                Some("invoice") => line["id"].as_str(),
                _ => ["mainstay_payment", "mainstay_refund"].iter().find_map(|name| line["metadata"][name].as_str()),
            };
            let amount = line["amount"].as_i64()?;
            let signed = if line["kind"] == "refund" { -amount } else { amount };
            (line["line"] == "moved").then(|| (subject.unwrap_or("nobody").to_owned(), signed))
        };
        let mut movements: Vec<_> = text.lines().filter_map(movement).collect();
        movements.sort();
        movements
    }

    /// Waits until nothing is pending, then holds all books against each other: the gateway's ledger, what succeeded,
    /// and our ledger, movement by movement. Returns how many there are.
    pub(crate) async fn settled_books(&self, database: &TestDatabase) -> usize {
        let since = Instant::now();
        while database.number(PENDING).await > 0 {
            assert!(
                since.elapsed() < Duration::from_secs(60),
                "something stays pending: {:?}",
                self.books(database).await
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let books = self.books(database).await;
        assert!(books.moved == books.succeeded && books.moved == books.booked, "{books:#?}");
        let distinct: BTreeMap<_, _> = books.moved.iter().cloned().collect();
        assert_eq!(distinct.len(), books.moved.len(), "money moved twice for one thing: {books:#?}");
        books.moved.len()
    }

    async fn books(&self, database: &TestDatabase) -> Books {
        Books {
            moved: self.movements(),
            succeeded: rows(database, SUCCEEDED).await,
            booked: rows(database, BOOKED).await,
        }
    }
}

const PENDING: &str =
    "SELECT (SELECT count(*) FROM payments WHERE status = 1) + (SELECT count(*) FROM refunds WHERE status = 1)
        + (SELECT count(*) FROM subscriptions WHERE status = 1 OR pending_cancellation IS NOT NULL)";
/// An invoice succeeds by being booked for a subscription, at its price.
const SUCCEEDED: &str = "SELECT id::text, amount_minor FROM payments WHERE status = 2
    UNION ALL SELECT id::text, -amount_minor FROM refunds WHERE status = 2
    UNION ALL SELECT booked.gateway_id, price_minor FROM subscriptions
        JOIN ledger_transactions AS booked ON subscription_id = subscriptions.id";
const BOOKED: &str =
    "SELECT coalesce(refund_id::text, payment_id::text, gateway_id), amount_minor FROM ledger_transactions
    JOIN ledger_entries ON transaction_id = id AND account = 1";

async fn rows(database: &TestDatabase, statement: &str) -> Vec<(String, i64)> {
    let rows = database.sql(statement).await;
    let row = |row: Vec<Option<String>>| match row.as_slice() {
        [Some(subject), Some(amount)] => (subject.clone(), amount.parse().expect("a number")),
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
