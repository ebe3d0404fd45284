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
/// Nearly all changes are those of transaction 1; transactions 2 to 20 made one each.
const SEED: &str = "
    INSERT INTO changes (writer, topic, resource_id, account_id, version, is_deleted)
    SELECT greatest(1, n + 20 - COUNT), 'support.ticket', gen_random_uuid(), gen_random_uuid(), 1, false
    FROM generate_series(1, COUNT) AS n;
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
    // A reader that has seen all before transaction 11, except that of transaction 6, which had not ended.
    let seen = Snapshot::parse("6:11:6", Clock::default().now()).expect("a snapshot");
    let cursor = Cursor::whole(seen);
    for _ in 0..ROUNDS {
        let cursor = cursor.clone();
        let read = async move |connection: &mut _| changes::read::<Row>(connection, Some(&cursor)).await;
        let batch = server.database.autocommit(read).await.map_err(plain)?;
        let writers: Vec<_> = batch.entries.iter().map(|(writer, _)| *writer).collect();
        let expected: Vec<_> = std::iter::once(6).chain(11..=20).collect();
        ensure!(writers == expected, "read the transactions {writers:?}");
    }
    Ok(())
}
