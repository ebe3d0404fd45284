//! Money moves exactly once under all faults: the ledger, the responses and the gateway's own books agree.

mod attempts;
mod backup;
mod chaos;
mod connection_loss;
mod crashes;
mod duplicates;
mod events;
mod gateway;
mod gateway_changed;
mod gateway_events;
mod gateway_refunds;
mod leases;
mod ledger;
mod lookup;
mod refund;
mod replay;

use std::time::{Duration, Instant};

use mainstay::payments::settlement::ops::GatewayRequest;
use mainstay_kernel::unit_of_work::Work;
use serde_json::{Value, json};

pub(crate) use ledger::check;

use crate::{
    cases::{Scene, order::order},
    support::{Actor, Process, Protocol, Response, TestApp, TestDatabase, eventually, gateway::FakeGateway},
};

const CHARGE: &str = "PaymentService.ChargePayment";
const REFUND: &str = "RefundService.CreateRefund";

/// Makes everything due that waits for its next attempt.
pub(crate) const MAKE_DUE: &str = "UPDATE jobs SET due_at = now() WHERE due_at > now() AND lease IS NULL;
    UPDATE payments SET due_at = now() WHERE due_at > now();
    UPDATE refunds SET due_at = now() WHERE due_at > now()";
/// Counts the jobs, and the rows with pending work.
pub(crate) const UNFINISHED_WORK: &str =
    "SELECT (SELECT count(*) FROM jobs) + (SELECT count(*) FROM payments WHERE due_at IS NOT NULL)
    + (SELECT count(*) FROM refunds WHERE due_at IS NOT NULL)";

/// Postpones retries until after the test.
pub(crate) const WITHOUT_RETRIES: [(&str, &str); 1] = [("PAYMENT_RETRY_WAIT", "1h")];

/// Starts an app in this process that uses a gateway and runs jobs.
pub(crate) async fn start_app(gateway: &FakeGateway) -> (TestApp, Scene) {
    start_app_with(gateway, &[]).await
}

/// Starts a gateway, and an app that uses it.
pub(crate) async fn start_with_gateway() -> (FakeGateway, TestApp, Scene) {
    start_configured(&[]).await
}

/// Does the same as [`start_with_gateway`], with additional variables.
pub(crate) async fn start_configured(own: &[(&str, &str)]) -> (FakeGateway, TestApp, Scene) {
    let gateway = FakeGateway::start().await;
    let (app, scene) = start_app_with(&gateway, own).await;
    (gateway, app, scene)
}

/// Begins a search of a scheduled task, after the one that the schedule itself may have begun.
pub(crate) async fn search(app: &TestApp, task: &str) {
    let begin = async || app.run_task(task).await.expect("done") == 1;
    eventually("the search begins", begin).await;
}

/// Waits until the searches that the schedule begins at the start have ended.
pub(crate) async fn after_scheduled_searches(app: &TestApp) {
    let ended = "SELECT count(*) FROM scheduled_tasks WHERE name IN ('find_refunds', 'find_returned_refunds') \
                 AND last_finished_at IS NOT NULL";
    eventually("the searches have begun", async || app.database.number(ended).await == 2).await;
    eventually("no job is left", async || app.database.number(UNFINISHED_WORK).await == 0).await;
}

/// Does the same as [`start_app`], with additional variables.
pub(crate) async fn start_app_with(gateway: &FakeGateway, own: &[(&str, &str)]) -> (TestApp, Scene) {
    let own = own.iter().copied();
    Scene::start_with(TestApp::builder().with_jobs().set_all(gateway.variables()).set_all(own)).await
}

/// Starts a server process that uses a gateway.
pub(crate) async fn process(database: &TestDatabase, gateway: &FakeGateway, own: &[(&str, &str)]) -> Process {
    let variables = gateway.variables();
    let mut all: Vec<_> = variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
    all.extend(own);
    Process::with(database, &all).await
}

/// A request to charge a new order of 4.50 EUR.
pub(crate) async fn charge_of(scene: &Scene) -> Value {
    json!({ "orderId": order(scene).await, "paymentMethod": "pm_card_visa" })
}

/// Sends a request under its key until the response is final, like a caller on an unreliable connection.
pub(crate) async fn call_until_final(
    who: &Actor,
    protocol: Protocol,
    method: &str,
    request: &Value,
    key: &str,
) -> Response {
    let since = Instant::now();
    loop {
        let answer = who.keyed(protocol, method, request.clone(), key).await;
        let wait = answer.status == 202
            || ["CIRCUIT_OPEN", "IDEMPOTENCY_IN_PROGRESS", "UNAVAILABLE"].contains(&answer.reason.as_str());
        if !wait {
            return answer;
        }
        assert!(since.elapsed() < Duration::from_secs(60), "never final: {answer:#?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Creates a payment of 4.50 EUR that succeeds.
async fn pay(scene: &Scene) -> Response {
    let request = charge_of(scene).await;
    call_until_final(&scene.cast.customer, Protocol::Rest, CHARGE, &request, &crate::support::unique()).await.success()
}

/// Returns how often this process has raised an alert about the gateway.
pub(crate) fn alerts(cause: &str) -> u64 {
    let series = format!("mainstay_alerts_total{{provider=\"gateway\",cause=\"{cause}\"}} ");
    let metrics = mainstay_kernel::telemetry::metrics().render();
    let value = metrics.lines().find_map(|line| line.strip_prefix(&series));
    value.map_or(0, |value| value.parse().expect("a number"))
}

/// Reads the only row of a table like a worker that has its lease, which another worker then takes over.
pub(crate) async fn overtaken<R: GatewayRequest>(app: &TestApp, table: &str) -> R {
    let id = app.database.sql(&format!("SELECT id FROM {table}")).await[0][0].clone().expect("an id");
    let id = id.parse().expect("an id");
    let read = async move |work: &mut Work| R::lock_unsettled(work.connection().await?, id).await;
    let slow = app.app.database.transaction(read).await.expect("read").expect("it is not settled");
    let take_over = "SET leases = leases + 1, leased_until = now() + interval '1 hour'";
    app.database.sql(&format!("UPDATE {table} {take_over}")).await;
    slow
}

/// Returns whether the row is unchanged since the other worker of [`overtaken`] wrote it.
pub(crate) async fn is_theirs(app: &TestApp, table: &str) -> bool {
    let theirs = "attempt = 1 AND leased_until > now() + interval '30 minutes'";
    app.database.number(&format!("SELECT count(*) FROM {table} WHERE {theirs}")).await == 1
}
