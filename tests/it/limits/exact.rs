//! Three processes, one principal, one shared limit.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::support::{Actor, PROTOCOLS, Process, TestDatabase, people::Cast};

const QUOTA: usize = 60;
const WINDOW: Duration = Duration::from_secs(6);
const RUN: Duration = Duration::from_secs(8);

#[tokio::test(flavor = "multi_thread")]
async fn three_instances_together_admit_no_more_than_the_limit() {
    let database = TestDatabase::new().await;
    let limit = [("RATE_LIMIT_READ", "60/6s")];
    let instances = tokio::join!(
        Process::with(&database, &limit),
        Process::with(&database, &limit),
        Process::with(&database, &limit),
    );
    let instances = [&instances.0, &instances.1, &instances.2];
    let token = Cast::new(&instances[0].endpoint, &database).await.customer.token().await.expect("a token");
    let since = Instant::now();
    let callers = (0..6).map(|number| {
        let who = Actor::bearer(&instances[number % 3].endpoint, token.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while since.elapsed() < RUN {
                let answer = who.call(PROTOCOLS[number / 3], "UserService.GetMe", json!({})).await;
                match answer.reason.as_str() {
                    "" => times.push(since.elapsed()),
                    "RATE_LIMIT_EXCEEDED" => assert!(answer.header("retry-after").is_some(), "{answer:#?}"),
                    other => panic!("{other}: {answer:#?}"),
                }
                tokio::time::sleep(Duration::from_millis(15)).await;
            }
            times
        })
    });
    let mut times = Vec::new();
    for caller in callers.collect::<Vec<_>>() {
        times.extend(caller.await.expect("no panic"));
    }
    let ran = since.elapsed();
    let rate = QUOTA as f64 / WINDOW.as_secs_f64();
    let bound = (QUOTA / 4) as f64 + rate * ran.as_secs_f64() + 1.0;
    assert!((times.len() as f64) <= bound, "{} in {ran:?}, at most {bound}", times.len());
    // Each response is recorded some time after its admission, with varying delays.
    times.sort();
    let window = WINDOW - Duration::from_millis(500);
    let most = times.iter().map(|start| times.iter().filter(|t| *t >= start && **t < *start + window).count()).max();
    let bound = QUOTA / 4 + QUOTA + 1;
    assert!(most.is_some_and(|most| most <= bound), "{most:?} within one window");
    let sustained = rate * RUN.as_secs_f64() - 1.0;
    assert!(times.len() as f64 >= sustained, "what the header says is sustained: {} of {sustained}", times.len());
}
