//! Many of the same at once: two instances, both doors, one key.

use std::{collections::BTreeSet, sync::Arc};

use futures_util::future::join_all;

use super::Effects;
use crate::{
    cases::draft,
    support::{Actor, DOORS, Process, TestDatabase, people::Cast},
};

const DUPLICATES: usize = 64;

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_duplicates_have_one_effect() {
    let database = Arc::new(TestDatabase::new().await);
    let instances = [Process::start(&database).await, Process::start(&database).await];
    let customer = Cast::new(&instances[0].endpoint, &database).await.customer;
    let token = customer.token().await.expect("a token");
    let calls = (0..DUPLICATES).map(|number| {
        let who = Actor::bearer(&instances[number % 2].endpoint, token.clone());
        tokio::spawn(
            async move { who.keyed(DOORS[number / 2 % 2], "TicketService.CreateTicket", draft(), "one").await },
        )
    });
    let answers: Vec<_> = join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect();

    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.reason.is_empty());
    for answer in &refused {
        assert_eq!((answer.reason.as_str(), answer.status), ("IDEMPOTENCY_IN_PROGRESS", 409), "{answer:#?}");
        assert!(answer.header("retry-after").is_some(), "{answer:#?}");
    }
    let ids: BTreeSet<_> = good.iter().map(|answer| answer.id()).collect();
    assert_eq!(ids.len(), 1, "every answer is the stored one: {ids:?}");
    let fresh = good.iter().filter(|answer| !answer.is_replayed()).count();
    assert_eq!(fresh, 1, "one of {} good answers did the work", good.len());
    assert_eq!(Effects::in_database(&database).await, Effects::of(1));

    let late = customer.at(&instances[1].endpoint).keyed(DOORS[0], "TicketService.CreateTicket", draft(), "one").await;
    assert!(late.is_replayed() && ids.contains(&late.id()), "{late:#?}");
}
