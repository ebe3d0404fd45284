//! Compares the totals with counted rows: as seeded, after changes, and after folding the counters.

use mainstay::support::ticket::{
    model::{Filter, Order, Priority, State, Status},
    store as ticket,
};
use mainstay_kernel::{
    caller::Visibility,
    id::{AccountId, UserId},
    page::Page,
    unit_of_work::Work,
};
use uuid::Uuid;

use crate::server::{Server, plain};

pub(crate) async fn check(server: &Server) -> anyhow::Result<()> {
    compare(server, "as seeded").await?;
    change(server).await?;
    compare(server, "after changes").await?;
    let folded: i64 = server.client.query_one("SELECT fold_ticket_counts()", &[]).await?.get(0);
    println!("{folded} counters folded");
    compare(server, "after folding").await
}

/// Assigns some tickets to an agent, resolves some, and deletes some.
async fn change(server: &Server) -> anyhow::Result<()> {
    let agent: Uuid = server.client.query_one("SELECT id FROM users WHERE role = 2 LIMIT 1", &[]).await?.get(0);
    let transaction = server.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let open = Filter { statuses: vec![Status::Open], ..Filter::default() };
        let all = Visibility::All;
        let tickets = ticket::list(connection, all, &open, Order::CreateTimeDesc, Page::first(90), true).await?;
        for (number, ticket) in tickets.into_iter().enumerate() {
            let now = ticket.updated_at;
            match number % 3 {
                0 => drop(ticket::delete(connection, &[ticket.id]).await?),
                1 => {
                    let mut next = ticket.next_version(now);
                    next.state = State::InProgress { assignee: UserId(agent) };
                    ticket::update(connection, &next).await?;
                }
                _ => {
                    let mut next = ticket.next_version(now);
                    next.state = next.state.resolve(now)?;
                    next.content.priority = Priority::Urgent;
                    ticket::update(connection, &next).await?;
                }
            }
        }
        Ok(())
    });
    transaction.await.map_err(plain)
}

async fn compare(server: &Server, when: &str) -> anyhow::Result<()> {
    let sql =
        "SELECT account_id, assignee_id FROM tickets WHERE assignee_id IS NOT NULL ORDER BY created_at DESC LIMIT 1";
    let row = server.client.query_one(sql, &[]).await?;
    let (account, agent): (Uuid, Uuid) = (row.get(0), row.get(1));
    for account in [None, Some(account)] {
        for agent in [None, Some(agent)] {
            for (statuses, priorities) in
                [(vec![], vec![]), (vec![Status::Open], vec![]), (vec![Status::Resolved], vec![Priority::Urgent])]
            {
                let filter = Filter {
                    statuses: statuses.clone(),
                    priorities: priorities.clone(),
                    assignee: agent.map(UserId),
                    account: account.map(AccountId),
                    query: String::new(),
                    ..Filter::default()
                };
                let visibility = Visibility::All;
                let conditions = filter.clone();
                let total = server
                    .database
                    .autocommit(async move |connection| ticket::total(connection, visibility, &conditions).await)
                    .await
                    .map_err(plain)?;
                let rows = count(server, &filter).await?;
                assert_eq!((total.rows, total.lower_bound), (rows, false), "{when}: {filter:?}");
            }
        }
    }
    Ok(())
}

async fn count(server: &Server, filter: &Filter) -> anyhow::Result<i64> {
    let sql = "SELECT count(*) FROM tickets WHERE ($1::uuid IS NULL OR account_id = $1) AND ($2::uuid IS NULL OR assignee_id = $2) \
               AND (cardinality($3::smallint[]) = 0 OR status = ANY ($3)) AND (cardinality($4::smallint[]) = 0 OR priority = ANY ($4))";
    let statuses: Vec<i16> = filter.statuses.iter().map(|status| status.number()).collect();
    let priorities: Vec<i16> = filter.priorities.iter().map(|priority| priority.number()).collect();
    let (account, agent) = (filter.account.map(|id| id.0), filter.assignee.map(|id| id.0));
    Ok(server.client.query_one(sql, &[&account, &agent, &statuses, &priorities]).await?.get(0))
}
