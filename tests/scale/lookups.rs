//! Runs every look-up there is: one ticket, its comments and activities, an idempotency key.

use futures_util::FutureExt as _;
use mainstay::{
    caller::Visibility,
    domain::page::{Key, Start},
    id::{CommentId, TicketId},
    store::{comment, idempotency, ticket},
};

use crate::server::{Server, plain};

/// As in `lists`: often enough for a generic plan.
const ROUNDS: usize = 7;

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    // A ticket with many comments.
    let sql = "SELECT ticket_id, (array_agg(id))[1] FROM comments GROUP BY 1 HAVING count(*) >= 30 LIMIT 1";
    let row = server.client.query_one(sql, &[]).await?;
    let (id, comment) = (TicketId(row.get(0)), CommentId(row.get(1)));
    server.client.batch_execute(KEYS).await?;
    for _ in 0..ROUNDS {
        let done = server.database.read(move |connection| {
            async move {
                let found = ticket::get(connection, Visibility::All, id).await?;
                ticket::get(connection, Visibility::Account(found.account), id).await?;
                let said = comment::get(connection, id, comment).await?;
                let key = Key { rank: None, time: said.created_at, id: said.id.0 };
                for start in [Start::Offset(0), Start::Offset(20), Start::After(key)] {
                    comment::list(connection, id, start, 21).await?;
                    comment::activities(connection, id, start, 21).await?;
                }
                comment::count(connection, id).await?;
                comment::count_activities(connection, id).await?;
                idempotency::find(connection, &[7; 32]).await?;
                Ok(())
            }
            .boxed()
        });
        done.await.map_err(plain)?;
        let claimed = server.database.write(move |connection| {
            async move {
                ticket::lock(connection, Visibility::All, id).await?;
                idempotency::claim(connection, &[7; 32], 7).await
            }
            .boxed()
        });
        claimed.await.map_err(plain)?;
    }
    Ok(())
}

/// A day's keys, so that reading all of them would not be the cheapest way.
const KEYS: &str = "
    INSERT INTO idempotency_keys (scope_hash, fingerprint, reason, answer, created_at)
    SELECT sha256(n::text::bytea), sha256('request'), 0, '\\x00', now() FROM generate_series(1, 50000) AS n;
    ANALYZE idempotency_keys;
";
