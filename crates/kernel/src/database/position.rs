//! Positions in the write-ahead log (LSN), by which a read tells whether a replica has replayed a commit.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use diesel::{dsl::sql, sql_types::BigInt};
use diesel_async::RunQueryDsl as _;

use super::{Connection, statement::Prepare as _};
use crate::error::Result;

/// A position in the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Position(u64);

/// The end of what is durable, which a reported commit is before; of what is written at all, where commits are reported
/// before they are durable.
const OF_PRIMARY: &str = "(CASE current_setting('synchronous_commit') WHEN 'off' THEN pg_current_wal_insert_lsn() \
                          ELSE pg_current_wal_flush_lsn() END - '0/0')::bigint";
/// The end of what is replayed. A standby that was promoted has a log of its own: it replays nothing any more, and NULL,
/// which is no position, is an error.
const OF_REPLICA: &str = "(CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() END - '0/0')::bigint";

/// Of the form of a token.
const VERSION: u8 = 1;

impl Position {
    /// No log is as long, so no replica is as far.
    pub(crate) const UNREACHED: Self = Self(u64::MAX);

    /// Returns the position as a caller passes it on.
    pub(crate) fn token(self) -> String {
        let mut bytes = [VERSION; 9];
        bytes[1..].copy_from_slice(&self.0.to_be_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token; `None` if it has another form.
    pub(crate) fn of_token(token: &[u8]) -> Option<Self> {
        match <[u8; 9]>::try_from(URL_SAFE_NO_PAD.decode(token).ok()?).ok()? {
            [VERSION, position @ ..] => Some(Self(u64::from_be_bytes(position))),
            _ => None,
        }
    }

    /// Returns the position as text of one length, which sorts as positions do.
    pub(crate) fn text(self) -> String {
        format!("{:016x}", self.0)
    }

    /// Reads what [`Position::text`] has written.
    pub(crate) fn of_text(text: &str) -> Option<Self> {
        u64::from_str_radix(text, 16).ok().map(Self)
    }
}

/// Returns a position that covers every commit that the primary has reported so far.
pub(super) async fn of_primary(connection: &Connection) -> Result<Position> {
    ask(connection, OF_PRIMARY).await
}

/// Returns how far a replica has replayed the log: a read that begins now sees every commit before that.
pub(super) async fn of_replica(connection: &Connection) -> Result<Position> {
    ask(connection, OF_REPLICA).await
}

async fn ask(mut connection: &Connection, expression: &str) -> Result<Position> {
    let position: i64 = diesel::select(sql::<BigInt>(expression)).prepared().get_result(&mut connection).await?;
    Ok(Position(position.unsigned_abs()))
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
