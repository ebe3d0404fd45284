//! Runs every list query: order × visibility × filter × start. Those of an account run under its policies.

use std::time::{Duration, Instant};

use mainstay::support::ticket::{
    model::{Filter, Order, Priority, Status},
    store as ticket,
};
use mainstay_kernel::{
    caller::Visibility,
    database::Reach,
    id::{AccountId, UserId},
    page::Start,
};
use uuid::Uuid;

use crate::server::{Server, plain};

/// Postgres makes five custom plans before it considers a generic one.
const ROUNDS: usize = 7;
const LIMIT: i64 = 21;
/// Queries slower than this are printed. The machine may be slow, but hardly as slow as a scan.
const SLOW: Duration = Duration::from_millis(250);

const ORDERS: [Order; 6] = [
    Order::CreateTimeDesc,
    Order::CreateTimeAsc,
    Order::UpdateTimeDesc,
    Order::UpdateTimeAsc,
    Order::PriorityDesc,
    Order::PriorityAsc,
];

/// Runs the queries and returns how many there were.
pub(crate) async fn run(server: &Server) -> anyhow::Result<usize> {
    let (large, small) = (account(server, 0).await?, account(server, 7).await?);
    let agent: Uuid =
        server.client.query_one("SELECT id FROM users WHERE role = 2 ORDER BY id LIMIT 1", &[]).await?.get(0);
    let filters = filters(UserId(agent), large);
    let mut count = 0;
    for visibility in [Visibility::All, Visibility::Account(large), Visibility::Account(small)] {
        for filter in &filters {
            for order in ORDERS {
                count += list(server, visibility, filter, order).await?;
            }
            for _ in 0..rounds(filter) {
                let filter = filter.clone();
                let total = async move |connection: &_| ticket::total(connection, visibility, &filter).await;
                server.database.query(Reach::from(visibility), total).await.map_err(plain)?;
                count += 1;
            }
        }
    }
    Ok(count)
}

/// The account with this number in the seed.
async fn account(server: &Server, number: i64) -> anyhow::Result<AccountId> {
    let name = format!("Account {number}");
    let row = server.client.query_one("SELECT id FROM accounts WHERE name = $1", &[&name]).await?;
    Ok(AccountId(row.get(0)))
}

/// Every combination of exact filters, with frequent and rare values, and searches for words that many tickets, one
/// ticket, or no ticket contains.
fn filters(agent: UserId, account: AccountId) -> Vec<Filter> {
    let mut filters = vec![Filter { account: Some(account), ..Filter::default() }];
    for statuses in [vec![], vec![Status::Open, Status::InProgress]] {
        for priorities in [vec![], vec![Priority::Urgent]] {
            for assignee in [None, Some(agent)] {
                let (statuses, priorities) = (statuses.clone(), priorities.clone());
                filters.push(Filter { statuses, priorities, assignee, ..Filter::default() });
            }
        }
    }
    // Every ticket contains the first word, one in eight the second, one ticket the third; no ticket contains both
    // words of the last query.
    // A word of a script without spaces is a phrase of pairs, and an address one of its parts.
    for query in ["support", "parcels", "number777", "parcels invoices", "absent words", "打印机", "a-b@example.com"]
    {
        filters.push(Filter { query: query.to_owned(), ..Filter::default() });
    }
    filters
}

/// Searches are slower and all plan alike, so each runs only once.
fn rounds(filter: &Filter) -> usize {
    if filter.query.is_empty() { ROUNDS } else { 1 }
}

/// The first page, the last one within an offset's limit, and one after a key.
async fn list(server: &Server, visibility: Visibility, filter: &Filter, order: Order) -> anyhow::Result<usize> {
    let page = |start: Start| {
        let conditions = filter.clone();
        let read = server.database.query(Reach::from(visibility), async move |connection| {
            ticket::list(connection, visibility, &conditions, order, start.page(LIMIT), true).await
        });
        async move {
            let began = Instant::now();
            let rows = read.await.map_err(plain)?;
            if began.elapsed() > SLOW {
                println!("{:.1?} {visibility:?} {order:?} {start:?} {filter:?}", began.elapsed());
            }
            anyhow::Ok(rows)
        }
    };
    let middle = page(Start::Offset(10_000)).await?;
    if rounds(filter) == ROUNDS {
        // From here on the rows are looked up by id.
        let (near, far) = (page(Start::Offset(1_999)).await?, page(Start::Offset(2_000)).await?);
        let next = near.iter().skip(1).map(|ticket| ticket.id);
        anyhow::ensure!(
            far.iter().take(near.len().saturating_sub(1)).map(|ticket| ticket.id).eq(next),
            "{order:?} {filter:?}"
        );
    }
    for _ in 0..rounds(filter) {
        let first = page(Start::Offset(0)).await?;
        if let Some(last) = middle.last().or(first.last()) {
            page(Start::After(last.key(order))).await?;
        }
    }
    Ok(1 + rounds(filter))
}
