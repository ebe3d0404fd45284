//! Positions in the write-ahead log (LSN). A read compares them to decide whether a replica has replayed a commit.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use diesel::{
    dsl::sql,
    sql_types::{BigInt, Nullable},
};
use diesel_async::RunQueryDsl as _;

use super::{Connection, statement::Prepare as _};
use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

/// The end of the durable log, which includes every acknowledged commit. With `synchronous_commit = off`, commits are
/// acknowledged before they are durable, so that the end of the written log applies.
const OF_PRIMARY: &str = "(CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() \
                          ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint";
/// The end of the replayed log. A promoted standby replays nothing and has another timeline, so that the expression is
/// NULL.
const OF_REPLICA: &str = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END - '0/0')::bigint";

const VERSION: u8 = 1;

impl Position {
    /// A position beyond any real log, which no replica has replayed.
    pub(crate) const UNREACHED: Self = Self(u64::MAX);

    pub(crate) fn token(self) -> String {
        let mut bytes = [VERSION; 9];
        bytes[1..].copy_from_slice(&self.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    pub(crate) fn of_token(token: &[u8]) -> Option<Self> {
        match <[u8; 9]>::try_from(URL_SAFE_NO_PAD.decode(token).ok()?).ok()? {
            [VERSION, position @ ..] => Some(Self(u64::from_be_bytes(position))),
            _ => None,
        }
    }

    /// Returns the position as text of fixed length, which sorts in the order of positions.
    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    pub(crate) fn of_text(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// Returns a position that covers every commit that the primary has acknowledged so far.
pub(super) async fn of_primary(connection: &Connection) -> Result<Position> {
    ask(connection, OF_PRIMARY).await
}

/// Returns the replay position of a replica. A read that begins now sees every commit before it.
pub(super) async fn of_replica(connection: &Connection) -> Result<Position> {
    ask(connection, OF_REPLICA).await
}

async fn ask(mut connection: &Connection, expression: &str) -> Result<Position> {
    let query = diesel::select(sql::<Nullable<BigInt>>(expression));
    let position: Option<i64> = query.prepared().get_result(&mut connection).await?;
    let no_standby = || Error::unavailable(anyhow::anyhow!("the server is no standby; it may have been promoted"));
    Ok(Position(position.ok_or_else(no_standby)?.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_nothing_else_is() {
        for position in [0, 1, 0x16_B374_D848, u64::MAX].map(Position) {
            assert_eq!(Position::of_token(position.token().as_bytes()), Some(position));
            assert_eq!(Position::of_text(&position.text()), Some(position));
        }
        let later = URL_SAFE_NO_PAD.encode([2; 9]);
        for other in ["", "AQ", "*", "0/16B374D848", &later, &format!("{later}AA")] {
            assert_eq!(Position::of_token(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn texts_sort_as_positions_do() {
        let texts = [0, 9, 10, 0xff, 0x100, u64::MAX].map(|position| Position(position).text());
        assert!(texts.is_sorted());
    }
}
