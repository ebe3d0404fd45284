//! The end of a run: every write is repeated until its outcome is final. Then the database must contain exactly these
//! writes.

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use futures_util::{StreamExt as _, stream};

use super::{
    mix::Outcome,
    mix::{Kind, Mix},
    world::Service,
};

/// The number of writes that are repeated concurrently.
const CONCURRENCY: usize = 8;
const FINAL_TIMEOUT: Duration = Duration::from_secs(120);

/// The comparisons, and the differences found.
#[derive(Debug, Default)]
pub(super) struct Books {
    pub(super) compared: Vec<(&'static str, usize)>,
    pub(super) faults: Vec<String>,
}

pub(super) async fn check(mix: &Arc<Mix>, service: &Service) -> Books {
    let mut books = Books::default();
    let acknowledged = (0..mix.writes.lock().expect("no panic").len()).filter(|index| mix.answer(*index).is_some());
    books.compared.push(("writes that were acknowledged during the run", acknowledged.count()));
    let repeated = stream::iter(0..mix.writes.lock().expect("no panic").len())
        .map(|index| repeat(mix, index))
        .buffer_unordered(CONCURRENCY);
    books.faults.extend(repeated.filter_map(std::future::ready).collect::<Vec<_>>().await);

    for (name, kind, select) in [
        ("tickets", Kind::Ticket, "SELECT id FROM tickets"),
        ("orders", Kind::Order, "SELECT id FROM orders"),
        ("payments that succeeded", Kind::Charge, "SELECT id FROM payments WHERE status = 2"),
    ] {
        let answers: Vec<_> = {
            let writes = mix.writes.lock().expect("no panic");
            writes.iter().filter(|write| write.kind == kind).filter_map(|write| write.answer.clone()).collect()
        };
        books.compare(name, answers.into_iter().map(|(_, id)| id).collect(), ids(service, select).await);
    }
    let webhooks = mix.webhooks.lock().expect("no panic").clone();
    let rows: BTreeSet<_> = ids(service, "SELECT provider_event_id FROM inbound_events").await.into_iter().collect();
    let missing = webhooks.iter().filter(|id| !rows.contains(*id)).count();
    books.compared.push(("webhooks that were acknowledged", webhooks.len()));
    books.expect(missing == 0, || format!("{missing} webhooks were acknowledged and are lost"));
    let count = async |select: &str| service.database.number(select).await;
    let unsent = count(
        "SELECT count(*) FROM tickets t WHERE NOT EXISTS (SELECT FROM webhook_deliveries d
        WHERE d.payload::json #>> '{data,id}' = t.id::text)",
    )
    .await;
    books.expect(unsent == 0, || format!("{unsent} tickets have no webhook to their account's endpoint"));

    let movements = service.gateway.settled_books(&service.database).await;
    books.compared.push(("movements of money at the gateway", movements));
    let (is_clean, output) = service.run(&["ledger", "check"]).await;
    books.expect(is_clean, || output);
    books
}

/// Repeats a write until its outcome is final; returns its fault, if any.
async fn repeat(mix: &Mix, index: usize) -> Option<String> {
    let since = Instant::now();
    while since.elapsed() < FINAL_TIMEOUT {
        match (mix.write(index).await, mix.answer(index)) {
            (Outcome::Wrong(what), _) => return Some(what),
            (Outcome::Good, Some((201, _))) => return None,
            _ => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
    Some(format!("never final: {:?}", mix.writes.lock().expect("no panic")[index]))
}

async fn ids(service: &Service, select: &str) -> Vec<String> {
    service.database.sql(select).await.into_iter().filter_map(|row| row.into_iter().next().flatten()).collect()
}

impl Books {
    fn expect(&mut self, holds: bool, fault: impl FnOnce() -> String) {
        if !holds {
            self.faults.push(fault());
        }
    }

    /// Compares the acknowledgements with the database.
    fn compare(&mut self, name: &'static str, replies: Vec<String>, there: Vec<String>) {
        self.compared.push((name, replies.len()));
        let (told_once, there_once): (BTreeSet<_>, BTreeSet<_>) = (replies.iter().collect(), there.iter().collect());
        self.expect(told_once.len() == replies.len(), || format!("{name}: two keys have one id"));
        let missing: Vec<_> = told_once.difference(&there_once).collect();
        self.expect(missing.is_empty(), || format!("{name}: lost {missing:?}"));
        let doubled: Vec<_> = there_once.difference(&told_once).collect();
        self.expect(doubled.is_empty(), || format!("{name}: made without an acknowledgement: {doubled:?}"));
    }
}
