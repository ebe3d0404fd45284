//! Random faults over many rounds: all books agree in the end, and no response contradicted the outcome.
//!
//! The seed determines the run. `CHAOS_SEED` and `CHAOS_ROUNDS` choose another one, and `make chaos` runs a long one.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use rand::{Rng as _, SeedableRng as _, rngs::StdRng, seq::IndexedRandom as _};
use serde_json::{Value, json};

use super::{CHARGE, FakeGateway, REFUND, process};
use crate::{
    cases::{Scene, order, order::create_recurring_product, unknown_id},
    support::{Actor, PROTOCOLS, Process, Protocol, Response, TestDatabase, euro, unique},
};

const SUBSCRIBE: &str = "SubscriptionService.CreateSubscription";

const ROUNDS: usize = 60;
const SEED: u64 = 20_261_121;

/// A request under its key, and the outcome known to the caller.
#[derive(Debug, Clone)]
struct Wish {
    method: &'static str,
    request: Value,
    key: String,
    answer: Option<(u16, String)>,
}

/// A fault to inject.
#[derive(Debug, Clone, Copy)]
enum Fault {
    Nothing,
    KillServer(usize),
    TerminateBackends,
    KillGateway,
}

struct World {
    dice: StdRng,
    gateway: FakeGateway,
    database: Arc<TestDatabase>,
    servers: Vec<Process>,
    scene: Scene,
    product: String,
    /// The recurring product to subscribe to.
    recurring: String,
    wishes: Vec<Wish>,
    /// The number of periods that the gateway started by itself.
    renewals: usize,
}

fn setting(name: &str, default: u64) -> u64 {
    #[expect(clippy::disallowed_methods, reason = "how `make chaos` asks for a longer run")]
    let value = std::env::var(name);
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

async fn server(database: &TestDatabase, gateway: &FakeGateway) -> Process {
    process(database, gateway, &[("ACCESS_TOKEN_TTL", "1d")]).await
}

impl World {
    async fn new(seed: u64) -> Self {
        let (gateway, database) = (FakeGateway::start().await, Arc::new(TestDatabase::new().await));
        let servers = vec![server(&database, &gateway).await, server(&database, &gateway).await];
        let scene = Scene::at(&servers[0], &database).await;
        for who in [&scene.cast.customer, &scene.cast.admin] {
            who.token().await;
        }
        let product = order::product(&scene, 150, "EUR").await;
        let recurring = create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await;
        let (dice, wishes) = (StdRng::seed_from_u64(seed), Vec::new());
        Self { dice, gateway, database, servers, scene, product, recurring, wishes, renewals: 0 }
    }

    /// Inserts an order of 4.50 EUR that no other request pays, bypassing the servers, which may be down.
    async fn order(&self) -> String {
        let (id, customer, product) = (unknown_id(), self.scene.cast.customer.as_user(), &self.product);
        let (account, user) = (customer.account, customer.id);
        let place = format!(
            "INSERT INTO orders (id, account_id, placed_by, currency, total_minor, status, created_at, updated_at)
             VALUES ('{id}', '{account}', '{user}', 'EUR', 450, 1, now(), now());
             INSERT INTO order_items VALUES ('{id}', 0, '{product}', 'A thing', 3, 150)"
        );
        self.database.sql(&place).await;
        id
    }

    /// A new request, or an earlier one again.
    async fn wish(&mut self) -> usize {
        let paid = self.created_ids(CHARGE);
        let (method, request) = match self.dice.random_range(0..12) {
            0..5 => {
                let cards = ["pm_card_visa", "pm_card_visa", "pm_card_visa", "pm_card_visa_chargeDeclined"];
                let card = *cards.choose(&mut self.dice).expect("cards");
                (CHARGE, json!({ "orderId": self.order().await, "paymentMethod": card }))
            }
            5..8 if !paid.is_empty() => {
                let payment = paid.choose(&mut self.dice).expect("a payment").clone();
                (REFUND, json!({ "paymentId": payment, "amount": euro(self.dice.random_range(1..300).to_string()) }))
            }
            8..10 => (SUBSCRIBE, json!({ "productId": self.recurring, "paymentMethod": "pm_card_visa" })),
            _ if !self.wishes.is_empty() => return self.dice.random_range(0..self.wishes.len()),
            _ => (CHARGE, json!({ "orderId": self.order().await, "paymentMethod": "pm_card_visa" })),
        };
        self.wishes.push(Wish { method, request, key: unique(), answer: None });
        self.wishes.len() - 1
    }

    /// Returns the ids of the resources that requests of a method created.
    fn created_ids(&self, method: &str) -> Vec<String> {
        self.wishes.iter().filter(|wish| wish.method == method).filter_map(Wish::created_id).collect()
    }

    fn fault(&mut self) -> Fault {
        match self.dice.random_range(0..10) {
            0..4 => Fault::Nothing,
            4..7 => Fault::KillServer(self.dice.random_range(0..self.servers.len())),
            7..9 => Fault::TerminateBackends,
            _ => Fault::KillGateway,
        }
    }

    async fn round(&mut self, number: usize) {
        let behaviours = [
            json!("normal"),
            json!("hang_up_before"),
            json!("hang_up_after"),
            json!("break"),
            json!("move_and_break"),
            json!({ "refuse": 500 }),
            json!({ "refuse": 429 }),
            json!({ "delay_after": 1300 }),
            json!({ "delay_before": 200 }),
        ];
        let behaviour = behaviours.choose(&mut self.dice).expect("behaviours").clone();
        let mut wishes = Vec::new();
        for _ in 0..self.dice.random_range(1..4) {
            let wish = self.wish().await;
            wishes.extend(std::iter::repeat_n(wish, self.dice.random_range(1..4)));
        }
        let manners = [json!("never"), json!("once"), json!("twice"), json!({ "late": 700 }), json!("backwards")];
        let manner = manners.choose(&mut self.dice).expect("manners").clone();
        self.tells(manner.clone()).await;
        let times = self.dice.random_range(1..4);
        self.gateway.behave(behaviour.clone(), times).await;
        let fault = self.fault();
        let when = Duration::from_millis(self.dice.random_range(0..400));
        let calls: Vec<_> = wishes.iter().map(|&wish| (wish, self.spawn_call(wish))).collect();
        let calls = calls.into_iter().map(|(wish, call)| async move { (wish, call.await.expect("no panic")) });
        let console = self.console();
        let past_us = async {
            if let Some((payment, amount)) = console {
                self.gateway.refund_at_console(&payment, amount).await;
            }
        };
        let ((), answers, ()) = tokio::join!(self.strike(fault, when), join_all(calls), past_us);
        for (wish, answer) in answers {
            self.wishes[wish].record(&answer).unwrap_or_else(|fault_of_ours| {
                panic!("round {number}, {behaviour}, {manner}, {fault:?}: {fault_of_ours}: {answer:#?}")
            });
        }
        self.repair(fault).await;
    }

    async fn tells(&self, manner: Value) {
        let servers: Vec<_> = self.servers.iter().map(|server| &server.endpoint).collect();
        self.gateway.tells(&servers, manner).await;
    }

    /// An occasional refund at the gateway's console: the payment and the amount.
    fn console(&mut self) -> Option<(String, i64)> {
        let paid = self.created_ids(CHARGE);
        let amount = self.dice.random_range(1..200);
        let payment = paid.choose(&mut self.dice)?.clone();
        self.dice.random_bool(0.2).then_some((payment, amount))
    }

    fn spawn_call(&mut self, wish: usize) -> tokio::task::JoinHandle<Response> {
        let at = self.dice.random_range(0..self.servers.len());
        let protocol = *PROTOCOLS.choose(&mut self.dice).expect("protocols");
        let (who, wish) = (self.who(&self.wishes[wish]).at(&self.servers[at].endpoint), self.wishes[wish].clone());
        tokio::spawn(async move { who.keyed(protocol, wish.method, wish.request, &wish.key).await })
    }

    fn who(&self, wish: &Wish) -> Actor {
        if wish.method == REFUND { self.scene.cast.admin.clone() } else { self.scene.cast.customer.clone() }
    }

    async fn strike(&self, fault: Fault, when: Duration) {
        tokio::time::sleep(when).await;
        match fault {
            Fault::Nothing => {}
            Fault::KillServer(which) => self.servers[which].signal(nix::sys::signal::Signal::SIGKILL),
            Fault::TerminateBackends => {
                let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                           WHERE datname = current_database() AND pid <> pg_backend_pid()";
                self.database.sql(end).await;
            }
            Fault::KillGateway => self.gateway.strike(),
        }
    }

    async fn repair(&mut self, fault: Fault) {
        match fault {
            Fault::KillServer(which) => {
                self.servers[which].wait().await;
                self.servers[which] = server(&self.database, &self.gateway).await;
            }
            Fault::KillGateway => {
                self.gateway.kill();
                self.gateway.restart().await;
            }
            Fault::Nothing | Fault::TerminateBackends => {}
        }
    }

    /// Repeats every request until its outcome is final, then compares all books.
    async fn settle(&mut self) {
        self.gateway.behave_well().await;
        self.tells(json!("twice")).await;
        for index in 0..self.wishes.len() {
            let (who, wish) = (self.who(&self.wishes[index]).at(&self.servers[1].endpoint), self.wishes[index].clone());
            let answer = super::call_until_final(&who, Protocol::Rest, wish.method, &wish.request, &wish.key).await;
            self.wishes[index].record(&answer).unwrap_or_else(|fault| panic!("after the run: {fault}: {answer:#?}"));
        }
        if let Some(subscription) = self.created_ids(SUBSCRIBE).choose(&mut self.dice) {
            self.gateway.change_subscription(subscription, "renewed").await;
            self.renewals += 1;
        }
        let total = self.wishes.iter().filter(|wish| wish.created_id().is_some()).count() + self.renewals;
        let given_back = self.gateway.given_back_at_console();
        assert_eq!(self.gateway.settled_books(&self.database).await, total + given_back, "{:#?}", self.wishes);
    }
}

impl Wish {
    /// The id of the created resource, once it is known.
    fn created_id(&self) -> Option<String> {
        self.answer.as_ref().filter(|(status, _)| *status == 201).map(|(_, id)| id.clone())
    }

    /// Records a response, which must not contradict an earlier one.
    fn record(&mut self, answer: &Response) -> Result<(), &'static str> {
        let now = match answer.reason.as_str() {
            "" => (answer.status, answer.id()),
            _ if answer.status == 422 => (422, answer.reason.clone()),
            "IDEMPOTENCY_IN_PROGRESS" | "UNAVAILABLE" | "CIRCUIT_OPEN" => return Ok(()),
            _ if answer.status == 0 => return Ok(()),
            _ => return Err("no answer to give"),
        };
        match (&self.answer, now) {
            (None, now) => self.answer = Some(now),
            (Some((202, id)), (201, same)) if *id == same => self.answer = Some((201, same)),
            // A pending request may turn out declined; then there is no id to compare.
            (Some((202, _)), (422, reason)) => self.answer = Some((422, reason)),
            // The responses of a round are recorded in the order of their requests, not of their arrival.
            (Some((201, id)), (202, same)) if *id == same => {}
            (Some((422, _)), (202, _)) => {}
            (Some(before), now) if *before == now => {}
            _ => return Err("another answer than before"),
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn books_agree_after_random_faults() {
    let (seed, rounds) = (setting("CHAOS_SEED", SEED), setting("CHAOS_ROUNDS", ROUNDS as u64));
    println!("CHAOS_SEED={seed} CHAOS_ROUNDS={rounds}");
    let mut world = World::new(seed).await;
    for number in 0..usize::try_from(rounds).expect("so many") {
        world.round(number).await;
        if number % 20 == 19 {
            world.settle().await;
        }
    }
    world.settle().await;
    let mut statuses = BTreeMap::<_, usize>::new();
    for wish in &world.wishes {
        *statuses.entry((wish.method, wish.answer.as_ref().map(|(status, _)| *status))).or_default() += 1;
    }
    let given_back = world.gateway.given_back_at_console();
    println!(
        "{statuses:?}, {given_back} given back at the console, {} renewals, events {:?}",
        world.renewals,
        world.gateway.events()
    );
    assert!(rounds < 40 || given_back > 2, "too few refunds at the console: {given_back}");
    assert!(rounds < 40 || world.renewals > 1, "too few renewals: {}", world.renewals);
    assert!(
        statuses.get(&(CHARGE, Some(201))).is_some_and(|count| *count > 5),
        "too few charges succeeded: {statuses:?}"
    );
}
