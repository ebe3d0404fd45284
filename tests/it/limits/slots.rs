//! Attempts that Postgres counts, because Redis is unavailable.

use std::time::Duration;

use futures_util::future::join_all;
use mainstay_kernel::{
    config::Quota,
    database::{
        Connection,
        attempt_limit::{Attempt, attempt},
    },
};

use crate::support::{TestApp, database::connect};

const KEY: [u8; 16] = [7; 16];

async fn decide(app: &TestApp, requests: u32) -> Attempt {
    let quota = Quota { requests, window: Duration::from_secs(900) };
    let decided = async move |connection: &mut Connection| attempt(connection, &KEY, quota).await;
    app.app.database.autocommit(decided).await.expect("decided")
}

/// Returns whether an attempt was rejected, until about the end of the window.
fn is_refused(attempt: &Attempt) -> bool {
    match attempt {
        Attempt::Admitted(_) => false,
        Attempt::Refused { wait } => {
            assert!(*wait > Duration::from_secs(600), "{wait:?}");
            true
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_attempts_are_admitted_up_to_the_quota() {
    let app = TestApp::start().await;
    let attempts = join_all((0..24).map(|_| decide(&app, 3))).await;
    assert_eq!(attempts.iter().filter(|attempt| is_refused(attempt)).count(), 24 - 3);
}

/// Until the other attempt commits, its slot still looks free.
#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_another_attempt_is_taking_is_not_taken_too() {
    let app = TestApp::start().await;
    let other = connect(&app.database.url).await;
    let slot = "sha256(decode(repeat('07', 16) || '00000000', 'hex'))";
    let take = format!(
        "BEGIN; INSERT INTO attempt_limits (key_hash, arrives_at) VALUES ({slot}, now() + interval '15 minutes')"
    );
    other.batch_execute(&take).await.expect("taken");
    let commit = async {
        app.database.locks_waited_for(1).await;
        other.batch_execute("COMMIT").await.expect("a commit");
    };
    let (decided, ()) = tokio::join!(decide(&app, 1), commit);
    assert!(is_refused(&decided));
}
