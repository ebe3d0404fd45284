//! A differential fuzz test: the same request, valid or nearly so, is sent to the server directly and through Envoy.
//! Any disagreement that `differences` does not list fails the test with the commands that reproduce it.
//!
//! Each side has a separate world with the same history, so that requests may change data. Requests are derived only
//! from the descriptor set and a seed, so a failure is reproducible with the printed seed.

mod json;
mod request;

use std::fmt::Write as _;

use rand::{SeedableRng as _, rngs::StdRng};

use crate::{
    cases::Scene,
    support::{Actor, Raw, TestApp, actor::sign_in, people::PASSWORD},
};
use request::Writer;

const ROUNDS: u32 = 500;
const SEED: u64 = 1;
/// The number of rounds before a world is replaced, because requests end its sessions and delete its data.
const ROUNDS_OF_A_WORLD: u32 = 30;
/// The number of disagreements after which the run stops.
const ENOUGH: usize = 8;

/// A number from an environment variable.
fn number<T: std::str::FromStr>(name: &str, default: T) -> T {
    #[expect(clippy::disallowed_methods, reason = "how much is tried, which is no setting of the server")]
    let value = std::env::var(name).ok();
    value.map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} must be a number")))
}

/// The users and data of one side, with the placeholders that stand for them in a request.
struct World(Vec<(&'static str, String)>);

impl World {
    async fn new(app: &TestApp) -> Self {
        let scene = Scene::new(app).await;
        let cast = &scene.cast;
        let ticket = scene.ticket().await;
        let pair = sign_in(&scene.endpoint, cast.customer.as_user()).await.success();
        let user = |actor: &Actor| actor.as_user().id.to_string();
        let mut words = vec![
            ("«comment»", scene.comment(&ticket).await),
            ("«resolved»", scene.resolved_ticket().await),
            ("«operation»", scene.operation().await),
            ("«account»", scene.account()),
            ("«user»", user(&cast.customer)),
            ("«agent»", user(&cast.agent)),
            ("«email»", cast.customer.as_user().email.clone()),
            ("«refresh»", pair.text("/data/refreshToken")),
            ("«key»", cast.service.principal().await),
            ("«password»", PASSWORD.to_owned()),
            ("«ticket»", ticket),
        ];
        let actors = [
            ("«customer»", &cast.customer),
            ("«an agent»", &cast.agent),
            ("«admin»", &cast.admin),
            ("«service»", &cast.service),
        ];
        for (word, actor) in actors {
            words.push((word, actor.token().await.expect("a token")));
        }
        Self(words)
    }

    fn read(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (word, value)| text.replace(word, value))
    }

    fn fill(&self, raw: &Raw) -> Raw {
        let body = match std::str::from_utf8(&raw.body) {
            Ok(text) => self.read(text).into_bytes(),
            Err(_) => raw.body.clone(),
        };
        let headers = raw.headers.iter().map(|(name, value)| (name.clone(), self.read(value))).collect();
        Raw { method: raw.method.clone(), target: self.read(&raw.target).replace(' ', "%20"), headers, body }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn envoy_and_the_server_agree_about_any_request() {
    let (seed, rounds) = (number("MAINSTAY_FUZZ_SEED", SEED), number("MAINSTAY_FUZZ_ROUNDS", ROUNDS));
    let app = TestApp::builder().set("OPEN_TICKET_LIMIT", "1000000").set("TRUSTED_PROXY_HOPS", "1").start().await;
    let envoy = app.endpoint.envoy().await.address();
    let mut writer = Writer::new(StdRng::seed_from_u64(seed));
    let mut worlds = [World::new(&app).await, World::new(&app).await];
    let (mut faults, mut count) = (String::new(), 0);
    for round in 1..=rounds {
        if round % ROUNDS_OF_A_WORLD == 0 {
            worlds = [World::new(&app).await, World::new(&app).await];
        }
        let request = writer.request();
        let [direct, through] = [worlds[0].fill(&request), worlds[1].fill(&request)];
        let answers = (direct.send(app.endpoint.address).await, through.send(envoy).await);
        // A name that is unique in the whole installation, such as a canned answer's, is in both worlds.
        let is_shared = [&answers.0, &answers.1].iter().any(|answer| answer.reason == "ALREADY_EXISTS");
        let fault = super::differences::between(&request, &answers.0, &answers.1).filter(|_| !is_shared);
        if fault.is_some() || answers.0.status != answers.1.status {
            // Their histories diverge from here on.
            worlds = [World::new(&app).await, World::new(&app).await];
        }
        if let Some(fault) = fault {
            count += 1;
            write!(faults, "round {round}:\n{request}\n{fault}\n\n").expect("a string takes it");
        }
        if count == ENOUGH {
            break;
        }
    }
    assert!(count == 0, "MAINSTAY_FUZZ_SEED={seed}: {count} disagreements\n\n{faults}");
}
