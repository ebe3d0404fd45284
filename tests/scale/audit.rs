//! Runs every statement on the audit log: the lists by each filter, the chain and its verification.

use chrono::TimeDelta;
use mainstay::audit::{
    chain::{model::Head, store as chain},
    entry::{
        model::{Filter, Order},
        store as entry,
    },
};
use mainstay_kernel::{caller::Visibility, clock::Clock, database::Reach, id::AccountId, page::Start};
use uuid::Uuid;

use crate::server::{ROWS, Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;
const LIMIT: i64 = 21;

/// Entries of three months, of a hundred accounts, a thousand actors, and half as many resources as entries. Of fifty
/// methods, one is rare.
const SEED: &str = "
    SELECT add_partition('audit_entries', now() - n * interval '1 month') FROM generate_series(1, 3) AS n;
    SELECT add_partition('audit_links', now() - n * interval '1 month') FROM generate_series(1, 3) AS n;
    CREATE FUNCTION numbered(kind text, n bigint) RETURNS uuid LANGUAGE sql AS $$ SELECT md5(kind || n)::uuid $$;
    INSERT INTO audit_entries (id, writer, method, outcome, actor_kind, actor_id, account_id, resource_kind, resource_id,
        request_id, changes)
    SELECT (left(uuid_floor(now() - (count - n) * interval '60 days' / count)::text, 24) || lpad(to_hex(n), 12, '0'))::uuid, n - count,
        CASE WHEN n % 1000 = 0 THEN 'UserService.SetUserRole' ELSE 'TicketService.Method' || n % 50 END, 1, 2,
        numbered('actor', n % 1000), numbered('account', n % 100), 'support.ticket', numbered('ticket', n / 2),
        'request-' || n, '{\"status\":{\"before\":\"TICKET_STATUS_OPEN\",\"after\":\"TICKET_STATUS_RESOLVED\"}}'
    FROM (VALUES (COUNT::bigint)) AS counts (count), generate_series(1, count) AS n;
    INSERT INTO audit_links (id, number, entry_id, digest, hash)
    SELECT id, row_number() OVER (ORDER BY id), id, sha256('x'), sha256('y') FROM audit_entries;
    UPDATE audit_chain SET (writer, entry_id) = (SELECT writer, id FROM audit_entries ORDER BY writer DESC LIMIT 1);
    VACUUM ANALYZE audit_entries;
    VACUUM ANALYZE audit_links";

/// Runs the statements and returns how many lists there were.
pub(crate) async fn run(server: &Server) -> anyhow::Result<usize> {
    for statement in SEED.split(";\n") {
        server.client.batch_execute(&statement.replace("COUNT", &ROWS.to_string())).await?;
    }
    let numbered = async |kind: &str| {
        let row = server.client.query_one(&format!("SELECT numbered('{kind}', 7)"), &[]).await?;
        anyhow::Ok(row.get::<_, Uuid>(0))
    };
    let (actor, account, ticket) = (numbered("actor").await?, numbered("account").await?, numbered("ticket").await?);
    let account = AccountId(account);
    let now = Clock::default().now();
    let (from, until) = (Some(now - TimeDelta::days(10)), Some(now - TimeDelta::days(9)));
    let method = |name: &str| Some(name.to_owned());
    let filters = [
        Filter::default(),
        Filter { actor: Some(actor), ..Filter::default() },
        Filter { account: Some(account), ..Filter::default() },
        Filter { resource: Some(ticket), resource_kind: method("support.ticket"), ..Filter::default() },
        Filter { method: method("UserService.SetUserRole"), ..Filter::default() },
        Filter { method: method("TicketService.Method7"), ..Filter::default() },
        Filter { method: method("Nothing.Calls"), actor: Some(actor), ..Filter::default() },
        Filter { from, until, ..Filter::default() },
        Filter { from, until, actor: Some(actor), ..Filter::default() },
    ];
    let mut count = 0;
    for visibility in [Visibility::All, Visibility::Account(account)] {
        for filter in &filters {
            for order in [Order::NewestFirst, Order::OldestFirst] {
                for round in 0..ROUNDS {
                    let filter = filter.clone();
                    let read = server.database.query(Reach::from(visibility), async move |connection| {
                        let page = async |start: Start| {
                            entry::list(connection, visibility, &filter, order, start.page(LIMIT)).await
                        };
                        if let Some(last) = page(Start::Offset(0)).await?.last() {
                            page(Start::After(last.key())).await?;
                        }
                        if round == 0 {
                            page(Start::Offset(10_000)).await?;
                        }
                        entry::total(connection, visibility, &filter).await
                    });
                    read.await.map_err(plain)?;
                    count += 2;
                }
            }
        }
    }
    chain_statements(server).await?;
    Ok(count)
}

async fn chain_statements(server: &Server) -> anyhow::Result<()> {
    let row = server.client.query_one("SELECT number, hash, link_id, writer, entry_id FROM audit_chain", &[]).await?;
    let (number, hash, link, writer, entry) = (row.get(0), row.get(1), row.get(2), row.get(3), row.get(4));
    let head = Head { number, hash, link, writer, entry };
    let middle = server.client.query_one("SELECT id FROM audit_links ORDER BY id LIMIT 1 OFFSET 1000", &[]).await?;
    let (middle, now): (Uuid, _) = (middle.get(0), Clock::default().now());
    for _ in 0..ROUNDS {
        let head = head.clone();
        let read = server.database.autocommit(async move |connection| {
            let next = chain::next(connection, &head, 500).await?;
            let links = chain::links(connection, middle, 1000).await?;
            Ok((next, links, chain::entries(connection, middle, now, 1000).await?))
        });
        let (next, links, entries) = read.await.map_err(plain)?;
        anyhow::ensure!(next.is_empty() && links.len() == 1000 && entries.len() == 1000, "{} links", links.len());
    }
    Ok(())
}
