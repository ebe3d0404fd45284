//! The cost of a text in Postgres is linear: a text of twice the length takes about twice the time, whatever it
//! repeats.

use std::time::Duration;

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use tokio_postgres::Client;

use serde_json::json;

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
/// The caches of a processor are shared, so the fastest of many tries is the cost.
const TRIES: usize = 40;

/// The user-written texts that may be long, by the statement that stores one: `$1` is the repeated unit, `$2` the length in
/// characters.
const FIELDS: [(&str, &str); 5] = [
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
    (
        "canned_answers.body",
        "INSERT INTO canned_answers (id, name, body, author_id, created_at, updated_at) \
      VALUES (gen_random_uuid(), gen_random_uuid()::text, left(repeat($1, $2), $2), gen_random_uuid(), now(), now())",
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

/// Returns the CPU time that Postgres takes for a statement, which is rolled back.
async fn cost(postgres: &Postgres, statement: &str, unit: &str, length: usize) -> Duration {
    let literal = format!("'{}'", unit.replace('\'', "''"));
    let statement = statement.replace("$1", &literal).replace("$2", &length.to_string());
    let before = postgres.cpu();
    let answer = postgres.client.batch_execute(&format!("BEGIN; {statement}")).await;
    // The kernel counts the statement when the backend waits, which it has done before it reads the next one.
    postgres.client.batch_execute("ROLLBACK").await.expect("undone");
    answer.unwrap_or_else(|error| panic!("{statement}: {error:?}"));
    postgres.cpu() - before
}

/// A connection and its backend.
struct Postgres {
    client: Client,
    pid: i32,
}

impl Postgres {
    async fn of(app: &TestApp) -> Self {
        let client = connect(&app.database.url).await;
        let pid = client.query_one("SELECT pg_backend_pid()", &[]).await.expect("a row").get(0);
        Self { client, pid }
    }

    /// The time of the backend on a processor: other processes of the machine do not change it (sched-stats of the
    /// Linux kernel).
    fn cpu(&self) -> Duration {
        let path = format!("/proc/{}/schedstat", self.pid);
        let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let nanos = text.split(' ').next().and_then(|nanos| nanos.parse().ok());
        Duration::from_nanos(nanos.unwrap_or_else(|| panic!("{path}: {text}")))
    }
}

#[tokio::test]
async fn a_longer_text_costs_postgres_in_proportion() {
    let (app, cast) = TestApp::start_with_cast().await;
    crate::cases::ticket(&cast.customer).await;
    let postgres = Postgres::of(&app).await;
    let mut checked = 0;
    for (field, statement) in FIELDS {
        for unit in units() {
            let (mut short, mut long) = (Duration::MAX, Duration::MAX);
            for attempt in 1..=TRIES {
                short = short.min(cost(&postgres, statement, &unit, SHORT).await);
                long = long.min(cost(&postgres, statement, &unit, SHORT * FACTOR as usize).await);
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

/// Every pair of characters of a script without spaces is a lexeme, and each lexeme an entry of the index.
#[tokio::test]
async fn the_lexemes_of_a_text_are_bounded() {
    /// The pairs, as many characters, and a few words of ASCII.
    const MOST: i64 = 2 * 4096 + 16;
    let app = TestApp::start().await;
    let client = connect(&app.database.url).await;
    let count = async |text: &str| -> i64 {
        let row = client.query_one("SELECT length(search_words($1))::bigint", &[&text]).await;
        row.unwrap_or_else(|error| panic!("{} bytes: {error:?}", text.len())).get(0)
    };
    let mut rng = StdRng::seed_from_u64(30);
    let mut random = |blocks: &[std::ops::RangeInclusive<u32>], length: usize| -> String {
        let letter = |_| {
            let block = blocks[rng.random_range(0..blocks.len())].clone();
            char::from_u32(rng.random_range(block)).expect("a character")
        };
        (0..length).map(letter).collect()
    };
    for (blocks, length) in [
        (&[0x4e00..=0x9fff][..], 20_000),
        // Four bytes each: those of the longest post would not fit into a tsvector.
        (&[0x20000..=0x2a6df], 70_000),
        (&[0xac00..=0xd7a3], 70_000),
        (&[0xe01..=0xe30, 0x3041..=0x3096, 0x30a1..=0x30fa, 0x4e00..=0x9fff], 70_000),
    ] {
        let text = random(blocks, length);
        let lexemes = count(&text).await;
        assert!((4096..=MOST).contains(&lexemes), "{lexemes} of {length} characters from {blocks:x?}");
        // With words of other scripts between and behind them.
        let pairs: Vec<_> = text.chars().collect();
        let mixed: String = pairs.chunks(7).flat_map(|run| run.iter().copied().chain(" printer ".chars())).collect();
        let lexemes = count(&format!("{mixed} fire")).await;
        assert!((4096..=MOST).contains(&lexemes), "{lexemes} of {length} characters and words");
    }
    // Repeated pairs are one lexeme each, wherever they stand.
    assert_eq!(count(&"打印".repeat(10_000)).await, 4);
    let end = format!("{} 坏了", "打印".repeat(10_000));
    assert_eq!(count(&end).await, 7, "the end of a text with few pairs is found");
}

/// The longest texts of a post.
#[tokio::test]
async fn the_longest_post_of_different_characters_is_stored() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let text: String = (0x20000..0x2a000).chain(0x30000..0x31300).filter_map(char::from_u32).take(45_000).collect();
    let body: String = text.chars().chain(text.chars().rev()).take(65_536).collect();
    let draft = json!({ "title": "Printer", "summary": "Fire", "body": body, "language": "zh" });
    cast.agent.rest("PostService.CreatePost", draft).await.success();
}

/// A check of the measurement: Postgres' own parser is quadratic for such a text.
#[tokio::test]
async fn the_measure_notices_what_grows_with_the_square() {
    let app = TestApp::start().await;
    let postgres = Postgres::of(&app).await;
    let statement = "SELECT to_tsvector('simple', left(repeat($1, $2), $2))";
    let (mut short, mut long) = (Duration::MAX, Duration::MAX);
    for _ in 0..3 {
        short = short.min(cost(&postgres, statement, "~/", SHORT).await);
        long = long.min(cost(&postgres, statement, "~/", SHORT * FACTOR as usize).await);
    }
    assert!(long > short.max(FLOOR) * LIMIT, "{short:?} and {long:?}");
}
