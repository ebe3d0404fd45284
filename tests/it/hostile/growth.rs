//! The cost of a text in Postgres is linear: a text of twice the length takes about twice the time, whatever it
//! repeats.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_postgres::Client;

use crate::support::{TestApp, database::connect};

/// Patterns that parsers look for: tags, entities, addresses, paths, numbers, quotes, marks, scripts without spaces.
const UNITS: [&str; 39] = [
    "<!--",
    "<",
    "<a ",
    "</",
    "<a=\"",
    "<![CDATA[",
    "&",
    "&#",
    "~/",
    "/.",
    "./",
    "../",
    "a/",
    "a_",
    "_1",
    "a1@",
    "a1a_",
    "a@b.",
    "x@a-",
    "a.",
    "1.",
    "1-1.a",
    "a-",
    "1e",
    "+1",
    "http://",
    "a:",
    "\"",
    "'",
    "\\",
    "ä-",
    "打",
    "a打",
    "ก",
    "e\u{301}",
    // A sound mark that becomes a combining one, before one that is sorted before it.
    "\u{ff9e}\u{334}",
    // Characters that stand for many others.
    "㌖",
    "ﷺ",
    "\u{200b}",
];
/// The alphabet of generated units.
const LETTERS: [char; 27] = [
    '\u{ff9e}', 'a', '1', 'e', 'ä', '打', 'ก', '\u{301}', ' ', '<', '>', '/', '_', '~', '@', '.', '-', '+', ':', '&',
    ';', '#', '!', '"', '\'', '\\', '=',
];
const SHORT: usize = 4_000;
/// Four times the length takes four times as long; with quadratic work, it would take sixteen times as long. Smaller
/// deviations are below the measurement's accuracy.
const FACTOR: u32 = 4;
const LIMIT: u32 = 10;
const FLOOR: Duration = Duration::from_millis(4);
/// The machine is shared, so the fastest of many tries is the cost.
const TRIES: usize = 40;

/// The user-written texts, by the statement that stores one: `$1` is the repeated unit, `$2` the length in characters.
const FIELDS: [(&str, &str); 4] = [
    (
        "tickets.body",
        "INSERT INTO tickets (id, account_id, subject, body, kind, status, priority, queue, language, created_at, \
      updated_at) SELECT gen_random_uuid(), id, 's', left(repeat($1, $2), $2), 1, 1, 1, 'q', 'en', now(), now() FROM accounts LIMIT 1",
    ),
    (
        "tickets.tags",
        "INSERT INTO tickets (id, account_id, subject, body, kind, status, priority, queue, language, tags, \
      created_at, updated_at) SELECT gen_random_uuid(), id, 's', 'b', 1, 1, 1, 'q', 'en', \
      ARRAY[left(repeat($1, $2), $2 / 20)], now(), now() FROM accounts LIMIT 1",
    ),
    (
        "comments.body",
        "INSERT INTO comments (id, ticket_id, author_role, body, created_at) \
      SELECT gen_random_uuid(), id, 1, left(repeat($1, $2), $2), now() FROM tickets LIMIT 1",
    ),
    (
        "posts.body",
        "INSERT INTO posts (id, author_id, account_id, slug, title, summary, body, language, status, created_at, \
      updated_at) SELECT gen_random_uuid(), user_id, account_id, gen_random_uuid()::text, 't', 's', left(repeat($1, $2), $2), 'en', \
      1, now(), now() FROM members LIMIT 1",
    ),
];

fn units() -> Vec<String> {
    let mut rng = StdRng::seed_from_u64(30);
    let made_up = (0..24).map(|_| {
        let length = rng.random_range(2..=6);
        (0..length).map(|_| LETTERS[rng.random_range(0..LETTERS.len())]).collect()
    });
    let made_up: Vec<String> = made_up.collect();
    UNITS.into_iter().map(str::to_owned).chain(made_up).collect()
}

/// Returns the time that Postgres takes for a statement, which is rolled back.
async fn cost(client: &Client, statement: &str, unit: &str, length: usize) -> Duration {
    let literal = format!("'{}'", unit.replace('\'', "''"));
    let statement = statement.replace("$1", &literal).replace("$2", &length.to_string());
    let explain = format!("BEGIN; EXPLAIN (ANALYZE, FORMAT JSON) {statement}");
    let answer = client.simple_query(&explain).await;
    client.batch_execute("ROLLBACK").await.expect("undone");
    let answer = answer.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    let plan = answer.iter().find_map(|message| match message {
        tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    });
    let plan: serde_json::Value = serde_json::from_str(&plan.expect("a plan")).expect("JSON");
    let ms = |name: &str| plan[0][name].as_f64().expect("a time");
    Duration::from_secs_f64((ms("Planning Time") + ms("Execution Time")) / 1000.0)
}

#[tokio::test]
async fn a_longer_text_costs_postgres_in_proportion() {
    let app = TestApp::start().await;
    let cast = app.cast().await;
    crate::cases::ticket(&cast.customer).await;
    let client = connect(&app.database.url).await;
    let mut checked = 0;
    for (field, statement) in FIELDS {
        for unit in units() {
            let (mut short, mut long) = (Duration::MAX, Duration::MAX);
            for attempt in 1..=TRIES {
                short = short.min(cost(&client, statement, &unit, SHORT).await);
                long = long.min(cost(&client, statement, &unit, SHORT * FACTOR as usize).await);
                if long < short.max(FLOOR) * LIMIT {
                    break;
                }
                assert!(
                    attempt < TRIES,
                    "{field}: {short:?} for {SHORT} characters of {unit:?}, {long:?} for {FACTOR} times as many"
                );
            }
            checked += 1;
        }
    }
    assert!(checked > 200, "{checked}");
}

/// A check of the measurement: Postgres' own parser is quadratic for such a text.
#[tokio::test]
async fn the_measure_notices_what_grows_with_the_square() {
    let app = TestApp::start().await;
    let client = connect(&app.database.url).await;
    let statement = "SELECT to_tsvector('simple', left(repeat($1, $2), $2))";
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        short = short.min(cost(&client, statement, "~/", SHORT).await);
        long = long.min(cost(&client, statement, "~/", SHORT * FACTOR as usize).await);
    }
    assert!(long > short.max(FLOOR) * LIMIT, "{short:?} and {long:?}");
}
