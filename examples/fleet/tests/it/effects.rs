//! Tests of the effect that recharges a vehicle, against a fake of the charging stations, under faults.

use std::{collections::BTreeMap, os::unix::process::ExitStatusExt as _};

use diesel_async::RunQueryDsl as _;
use fleet::vehicle::{
    model::VehicleId,
    recharge::{Recharge, Session},
};
use mainstay_kernel::{
    app::App,
    effects::{self, Effect, Failure, Unfinished},
    error::{Reason, Result},
    unit_of_work::Work,
};
use mainstay_test_kit::{FakeApi, OutsideApi, TestServer, check_effect};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::{lease, path, product, run_with, vehicle};

/// The signal of `kill -9`.
const SIGKILL: i32 = 9;

/// The operator of the charging stations, which begins a session at each call, whatever its key.
#[derive(Debug, Default)]
struct Operator {
    /// The number of sessions, by reference.
    sessions: BTreeMap<String, usize>,
    refuses: bool,
}

impl FakeApi for Operator {
    fn answer(&mut self, request: &http::request::Parts, body: &str) -> (u16, String) {
        let session = |reference: &str| json!({ "id": format!("session of {reference}") }).to_string();
        if request.method == http::Method::GET {
            let reference = request.uri.path().trim_start_matches("/sessions/");
            return match self.sessions.contains_key(reference) {
                true => (200, session(reference)),
                false => (404, String::new()),
            };
        }
        if self.refuses {
            return (422, String::new());
        }
        let order: Value = serde_json::from_str(body).expect("JSON");
        let reference = order["reference"].as_str().expect("a reference").to_owned();
        let response = session(&reference);
        *self.sessions.entry(reference).or_default() += 1;
        (201, response)
    }

    fn effects(&self) -> usize {
        self.sessions.values().sum()
    }
}

async fn start(url: &str) -> TestServer {
    TestServer::builder(product()).set("CHARGING_URL", url).start().await
}

/// Ends a lease, which begins the effect, and returns the vehicle.
async fn give_back(server: &TestServer) -> Value {
    let (admin, customer) = (server.admin().await, server.customer().await);
    let vehicle = vehicle(&admin, "M-AI 20").await;
    let end = format!("{}/end", path("leases", &lease(&customer, &vehicle).await));
    customer.post(&end, json!({})).await.success();
    vehicle
}

/// The outcomes that were stored: each changes the version, from 3 after the lease.
async fn outcomes(server: &TestServer) -> usize {
    let version = server.database().sql("SELECT version - 3 FROM fleet.vehicles WHERE status = 1").await;
    version.iter().map(|count| count.parse::<usize>().expect("a number")).sum()
}

#[tokio::test]
async fn a_vehicle_is_recharged_once_under_every_fault() {
    let begin = async |server: &TestServer| drop(give_back(server).await);
    check_effect::<Recharge, _>(start, Operator::default, begin, outcomes).await;
}

/// The same call with an outcome that changes the vehicle again each time that it is stored.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Counted {
    vehicle: VehicleId,
}

impl Effect for Counted {
    const NAME: &'static str = "fleet.counted";

    type Outcome = Session;

    async fn attempt(&self, app: &App, key: Uuid) -> Result<Session, Unfinished> {
        Recharge { vehicle: self.vehicle }.attempt(app, key).await
    }

    async fn lookup(&self, app: &App, key: Uuid) -> anyhow::Result<Option<Session>> {
        Recharge { vehicle: self.vehicle }.lookup(app, key).await
    }

    async fn succeeded(&self, work: &mut Work, _: Uuid, _: Session) -> Result<()> {
        diesel::sql_query("UPDATE fleet.vehicles SET version = version + 1").execute(work.connection().await?).await?;
        Ok(())
    }

    async fn failed(&self, _: &mut Work, _: Uuid, _: Failure) -> Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn an_outcome_that_does_not_know_of_others_is_stored_once_under_every_fault() {
    let start = async |url: &str| {
        let product = mainstay::product().with(fleet::module().effect::<Counted>());
        TestServer::builder(product).set("CHARGING_URL", url).start().await
    };
    let begin = async |server: &TestServer| {
        let vehicle = vehicle(&server.admin().await, "M-AI 21").await;
        let vehicle = VehicleId(Uuid::parse_str(vehicle["id"].as_str().expect("an id")).expect("a UUID"));
        let begin = async move |work: &mut Work| effects::begin(work, vehicle.0, &Counted { vehicle }).await;
        server.app().database.transaction(begin).await.expect("none is pending");
    };
    let outcomes = async |server: &TestServer| {
        server.database().sql("SELECT version - 1 FROM fleet.vehicles").await[0].parse::<usize>().expect("a number")
    };
    check_effect::<Counted, _>(start, Operator::default, begin, outcomes).await;
}

/// A process that dies before the call, after it, and before the outcome is committed.
#[tokio::test]
async fn a_killed_worker_leaves_one_session_and_one_outcome() {
    for (point, sessions) in [("effect.before", 0), ("effect.called", 1), ("effect.before_commit", 1)] {
        let operator = OutsideApi::start(Operator::default()).await;
        let server = start(operator.url()).await;
        give_back(&server).await;
        let faults = format!("{point}=kill");
        let variables = [("MAINSTAY_FAULTS", faults.as_str()), ("CHARGING_URL", operator.url())];
        let died = run_with(&variables, &["worker"], server.database()).await;
        assert_eq!(died.status.signal(), Some(SIGKILL), "{}", String::from_utf8_lossy(&died.stderr));
        assert_eq!((operator.with(|api| api.effects()).await, outcomes(&server).await), (sessions, 0), "{point}");
        server.run_effects::<Recharge>().await;
        assert_eq!((operator.with(|api| api.effects()).await, outcomes(&server).await), (1, 1), "{point}");
    }
}

#[tokio::test]
async fn a_refused_session_leaves_the_vehicle_out_of_use() {
    let operator = OutsideApi::start(Operator { refuses: true, ..Operator::default() }).await;
    let server = start(operator.url()).await;
    give_back(&server).await;
    server.run_jobs().await;
    assert_eq!(server.database().sql("SELECT count(*) FROM effects").await, ["0"]);
    assert_eq!(server.database().sql("SELECT status FROM fleet.vehicles").await, ["3"]);
    assert_eq!(server.database().sql("SELECT count(*) FROM jobs WHERE kind = 'fleet.recharge'").await, ["0"]);
}

/// An operator that answers nothing but an error.
#[derive(Debug)]
struct Failing;

impl FakeApi for Failing {
    fn answer(&mut self, _: &http::request::Parts, _: &str) -> (u16, String) {
        (503, String::new())
    }

    fn effects(&self) -> usize {
        0
    }
}

/// The runs in between would use up the attempts of the job.
#[tokio::test]
async fn an_unclear_session_is_awaited_until_it_can_be_looked_up() {
    let operator = OutsideApi::start(Failing).await;
    let server = start(operator.url()).await;
    give_back(&server).await;
    server.run_jobs().await;
    let seconds = Recharge::LOOKUP_LAG.num_seconds() - 5;
    let waiting = format!(
        "SELECT attempts FROM jobs WHERE kind = 'fleet.recharge' AND due_at > now() + interval '{seconds} seconds'"
    );
    assert_eq!(server.database().sql(&waiting).await, ["1"]);
    assert_eq!(server.database().sql("SELECT count(*) FROM effects WHERE lookup_at IS NOT NULL").await, ["1"]);
}

/// Before the first attempt, nothing was ordered; after it, the outcome is awaited.
#[tokio::test]
async fn a_removed_vehicle_is_not_recharged_unless_a_session_may_have_begun() {
    for (attempts, left) in [("", "0"), ("UPDATE effects SET attempts = 1, lookup_at = now()", "1")] {
        let operator = OutsideApi::start(Operator::default()).await;
        let server = start(operator.url()).await;
        let vehicle = give_back(&server).await;
        server.database().sql(attempts).await;
        server.admin().await.delete(&path("vehicles", &vehicle)).await.success();
        assert_eq!(server.database().sql("SELECT count(*) FROM effects").await, [left]);
        let jobs = server.database().sql("SELECT count(*) FROM jobs WHERE kind = 'fleet.recharge'").await;
        assert_eq!(jobs, [left]);
        server.run_effects::<Recharge>().await;
    }
}

/// A person who asked the operator stores the outcome of an effect whose job is dead.
#[tokio::test]
async fn a_person_decides_about_an_effect_without_attempts_left() {
    let server = start("http://127.0.0.1:1").await;
    let vehicle = give_back(&server).await;
    let resource = Uuid::parse_str(vehicle["id"].as_str().expect("an id")).expect("a UUID");
    let again = async move |work: &mut Work| {
        let request = Recharge { vehicle: VehicleId(resource) };
        effects::begin(work, resource, &request).await
    };
    let refused = server.app().database.transaction(again).await.expect_err("one is pending");
    assert_eq!(refused.reason(), Reason::Conflict);
    server.database().sql("UPDATE jobs SET attempts = max_attempts - 1 WHERE kind = 'fleet.recharge'").await;
    server.run_jobs().await;
    let dead = "SELECT last_error FROM jobs WHERE kind = 'fleet.recharge' AND dead_at IS NOT NULL";
    let error = server.database().sql(dead).await;
    assert!(error.len() == 1 && error[0].contains("it was not done"), "{error:?}");
    assert_eq!(server.database().sql("SELECT count(*) FROM effects").await, ["1"]);
    for expected in [true, false] {
        let decide =
            async move |work: &mut Work| effects::settle::<Recharge>(work, resource, Err(Failure::Expired)).await;
        assert_eq!(server.app().database.transaction(decide).await.expect("a decision"), expected);
    }
    assert_eq!(server.database().sql(dead).await, Vec::<String>::new());
}
