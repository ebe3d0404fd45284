//! Runs every lookup: one ticket, its comments and activities, an idempotency key; users, service keys, operations.

use mainstay::{
    identity::{
        service_key::{model::Filter as Keys, store as service_key},
        user::{
            model::{EmailAddress, Filter, State},
            store as user,
        },
    },
    operations::store as operation,
    support::{
        comment::{model::Audience, store as comment},
        link::store as link,
        ticket::store as ticket,
    },
};
use mainstay::{
    operations::id::OperationId,
    support::id::{CommentId, TicketId},
};
use mainstay_kernel::{
    caller::Visibility,
    database::idempotency,
    id::{AccountId, ServiceKeyId, UserId},
    page::{Key, Page, Start},
    unit_of_work::Work,
};

use crate::server::{Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    // A ticket with many comments.
    let sql = "SELECT ticket_id, (array_agg(id))[1] FROM comments GROUP BY 1 HAVING count(*) >= 30 LIMIT 1";
    let row = server.client.query_one(sql, &[]).await?;
    let (id, comment) = (TicketId(row.get(0)), CommentId(row.get(1)));
    server.client.batch_execute(MORE).await?;
    server.client.batch_execute("VACUUM ANALYZE").await?;
    people(server).await?;
    services(server).await?;
    operations(server).await?;
    for _ in 0..ROUNDS {
        let task = server.database.autocommit(async move |connection| {
            let ticket = ticket::get(connection, Visibility::All, id, true).await?;
            ticket::get(connection, Visibility::Account(ticket.account), id, true).await?;
            ticket::queues(connection).await?;
            ticket::tags(connection).await?;
            let row = comment::get(connection, Audience::Customer, id, comment, true).await?;
            let key = Key { rank: None, time: row.created_at, id: row.id.0 };
            for start in [Start::Offset(0), Start::Offset(20), Start::After(key)] {
                link::list(connection, id, start.page(21)).await?;
            }
            link::total(connection, id).await?;
            for audience in [Audience::Staff, Audience::Customer] {
                for start in [Start::Offset(0), Start::Offset(20), Start::After(key)] {
                    comment::list(connection, audience, id, start.page(21), true).await?;
                    comment::activities(connection, audience, id, start.page(21)).await?;
                }
                comment::total(connection, audience, id).await?;
                comment::total_activities(connection, audience, id).await?;
            }
            idempotency::find(connection, &[7; 32]).await?;
            Ok(())
        });
        task.await.map_err(plain)?;
        let transaction = server.database.transaction(async move |work: &mut Work| {
            let connection = work.connection().await?;
            ticket::lock(connection, Visibility::All, id).await?;
            idempotency::claim(connection, &[7; 32]).await
        });
        transaction.await.map_err(plain)?;
    }
    Ok(())
}

/// Returns the starts of a list: the first page, one far down, and one after a row.
fn starts(key: Key) -> [Start; 3] {
    [Start::Offset(0), Start::Offset(2_000), Start::After(key)]
}

/// One user in a thousand is deactivated.
const DEACTIVATED: &str = "
    UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left the company'
    WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER (ORDER BY id) AS number FROM users) AS numbered
        WHERE number % 1000 = 0);
    ANALYZE users";

async fn people(server: &Server) -> anyhow::Result<()> {
    server.client.batch_execute(DEACTIVATED).await?;
    let row = server.client.query_one(
        "SELECT users.id, account_id, email FROM users JOIN members ON user_id = users.id OFFSET 5000 LIMIT 1",
        &[],
    );
    let row = row.await?;
    let (id, account, email) = (UserId(row.get(0)), AccountId(row.get(1)), row.get::<_, &str>(2));
    let email = EmailAddress::parse(email).map_err(|error| anyhow::anyhow!(error.detail()))?;
    for _ in 0..ROUNDS {
        let email = email.clone();
        let task = server.database.autocommit(async move |connection| {
            let user = user::get(connection, Visibility::Account(account), id).await?;
            user::by_email(connection, &email).await?;
            user::epoch(connection, id).await?;
            user::any(connection).await?;
            let key = Key { rank: None, time: user.created_at, id: id.0 };
            for visibility in [Visibility::All, Visibility::Account(account)] {
                for roles in [vec![], vec![2], vec![2, 3]] {
                    for of in [None, Some(account)] {
                        // Nearly all users are active: a read that filters them stops at its limit, with any plan.
                        for state in [None, Some(State::Deactivated)] {
                            let filter = Filter { account: of, roles: roles.clone(), state, email: None };
                            for start in starts(key) {
                                user::list(connection, visibility, &filter, start.page(21)).await?;
                            }
                        }
                    }
                }
            }
            let by_address = Filter { email: Some(email), ..Filter::default() };
            user::list(connection, Visibility::All, &by_address, Page::first(21)).await?;
            Ok(())
        });
        task.await.map_err(plain)?;
    }
    Ok(())
}

async fn services(server: &Server) -> anyhow::Result<()> {
    let row = server.client.query_one("SELECT id FROM service_keys OFFSET 5000 LIMIT 1", &[]).await?;
    let id = ServiceKeyId(row.get(0));
    for _ in 0..ROUNDS {
        let task = server.database.autocommit(async move |connection| {
            let key = service_key::get(connection, Visibility::All, id).await?;
            service_key::with_hashes(connection, id).await?;
            let account = AccountId(uuid::Uuid::nil());
            let of_creator = Visibility::Principal(key.created_by.0);
            let all = Keys::default();
            let by_creator = Keys { created_by: Some(key.created_by), ..all };
            let of_account = Keys { account: Some(account), ..all };
            let lists = [
                (Visibility::All, all),
                (Visibility::All, by_creator),
                (Visibility::All, of_account),
                (Visibility::Account(account), all),
                (of_creator, all),
            ];
            for (visibility, filter) in lists {
                for start in starts(Key { rank: None, time: key.created_at, id: id.0 }) {
                    service_key::list(connection, visibility, filter, start.page(21)).await?;
                }
            }
            Ok(())
        });
        task.await.map_err(plain)?;
    }
    Ok(())
}

async fn operations(server: &Server) -> anyhow::Result<()> {
    let row = server.client.query_one("SELECT id FROM operations OFFSET 5000 LIMIT 1", &[]).await?;
    let id = OperationId(row.get(0));
    for _ in 0..ROUNDS {
        let task = server.database.autocommit(async move |connection| {
            let operation = operation::get(connection, Visibility::All, &[], id).await?;
            let (account, owner) = (Visibility::Account(operation.account), Visibility::Principal(operation.owner));
            for start in starts(Key { rank: None, time: operation.created_at, id: id.0 }) {
                for visibility in [Visibility::All, account, owner] {
                    operation::list(connection, visibility, &[], start.page(21)).await?;
                }
                operation::errors(connection, id, start.page(21)).await?;
            }
            Ok(())
        });
        task.await.map_err(plain)?;
    }
    Ok(())
}

/// Enough rows of each kind that a full scan is not the cheapest plan.
const MORE: &str = "
    INSERT INTO idempotency_keys (scope_hash, fingerprint, error_code, answer, visibility, created_at)
    SELECT sha256(n::text::bytea), sha256('request'), NULL, '\\x00', '\\x00', now() FROM generate_series(1, 50000) AS n;
    INSERT INTO service_keys (id, name, secret_hash, scopes, created_by, created_at)
    SELECT gen_random_uuid(), 'Key ' || n, sha256(n::text::bytea), '{support.tickets.read}', creator.id,
        now() - n * interval '1 second'
    FROM generate_series(1, 50000) AS n
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS number FROM users LIMIT 1000) AS creator ON creator.number = 1 + n % 1000;
    WITH numbered AS (SELECT id, row_number() OVER (ORDER BY id) AS number FROM tickets)
    INSERT INTO ticket_links (id, source_id, target_id, kind, author_id, created_at)
    SELECT gen_random_uuid(), one.id, other.id, 1, one.id, now()
    FROM numbered AS one JOIN numbered AS other ON other.number = one.number + 1;
    INSERT INTO operations (id, kind, state, owner_id, account_id, format, created_at, updated_at)
    SELECT gen_random_uuid(), 1, 2, user_id, account_id, 1, now() - n * interval '1 second', now()
    FROM members, generate_series(1, 3) AS n;
    INSERT INTO operation_errors (operation_id, line, code, message)
    SELECT id, 1, 'VALIDATION_FAILED', 'subject: is missing' FROM operations;
";
