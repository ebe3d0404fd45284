//! Reads the lines after a cursor, in commit order.

use chrono::{DateTime, Utc};
use diesel::{
    deserialize::QueryableByName,
    sql_types::{Nullable, SmallInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::dashboard::system_log::{
    model::{Level, Line},
    stored::StoredLine,
};
use mainstay_kernel::{
    changes::{self, Cursor, EntryBatch, EntryRow},
    database::Connection,
    error::Result,
};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    logged_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<SmallInt>)]
    level: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    message: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    request_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    principal_id: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    line: Option<String>,
}

impl EntryRow for Row {
    const TABLE: &'static str = "system_logs";
    type Entry = StoredLine;

    fn entry(self, position: (i64, i64)) -> Option<StoredLine> {
        let line = Line {
            id: self.id?,
            at: self.logged_at?,
            level: Level::from_number(self.level?.into())?,
            message: self.message?,
            method: self.method,
            request_id: self.request_id,
            principal_id: self.principal_id,
            line: self.line?,
        };
        Some(StoredLine { line, position })
    }
}

/// Reads the lines after a cursor, and the snapshot of that read. Without a cursor, only the snapshot is read.
pub async fn follow(connection: &mut Connection, cursor: Option<&Cursor>) -> Result<EntryBatch<StoredLine>> {
    changes::read::<Row>(connection, cursor).await
}
