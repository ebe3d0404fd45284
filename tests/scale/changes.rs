//! Reads the changes that follow a position in a large feed.

use anyhow::ensure;
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Nullable, Text},
};
use mainstay_kernel::{
    changes::{self, Cursor, EntryRow, Snapshot},
    clock::Clock,
};

use crate::server::{ROWS, Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;
/// One change by each of the transactions before 1, which no real transaction has as its id.
const SEED: &str = "
    INSERT INTO changes (writer, topic, resource_id, account_id, version, is_deleted)
    SELECT -n, 'support.ticket', gen_random_uuid(), gen_random_uuid(), 1, false FROM generate_series(0, COUNT) AS n;
    VACUUM ANALYZE changes";

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<Text>)]
    topic: Option<String>,
}

impl EntryRow for Row {
    const TABLE: &'static str = "changes";
    type Entry = (i64, i64);

    fn entry(self, position: (i64, i64)) -> Option<(i64, i64)> {
        self.topic.map(|_| position)
    }
}

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    for statement in SEED.split(";\n") {
        server.client.batch_execute(&statement.replace("COUNT", &ROWS.to_string())).await?;
    }
    // A reader that has seen all before transaction -10, except that of transaction -15, which had not ended.
    let seen = Snapshot::parse("-15:-10:-15", Clock::default().now()).expect("a snapshot");
    let cursor = Cursor::whole(seen);
    for _ in 0..ROUNDS {
        let cursor = cursor.clone();
        let read = async move |connection: &mut _| changes::read::<Row>(connection, Some(&cursor)).await;
        let batch = server.database.autocommit(read).await.map_err(plain)?;
        let writers: Vec<_> = batch.entries.iter().map(|(writer, _)| *writer).collect();
        let expected: Vec<_> = std::iter::once(-15).chain(-10..=0).collect();
        ensure!(writers == expected, "read the transactions {writers:?}");
    }
    Ok(())
}
