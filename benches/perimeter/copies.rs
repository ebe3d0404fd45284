//! Rows that a script makes anew in each of its runs: ids that are like a recorded one and no two alike.
//!
//! A copy keeps the recorded id's random part and moves its time by the run's number, so that indexes grow at their end,
//! as they do under the server's own UUIDv7; the client's number is in between.

use uuid::Uuid;

/// The copy of `id` that the run `number` of `client` makes.
pub(crate) fn copy(id: Uuid, client: u16, number: u64) -> Uuid {
    let (millis, rest) = split(id);
    Uuid::from_u128(u128::from(millis + number) << 80 | rest | u128::from(client) << 48)
}

/// [`copy`] as an SQL expression, text of 32 hexadecimal digits, where `client` and `number` are expressions of integers.
pub(crate) fn copy_sql(id: Uuid, client: &str, number: &str) -> String {
    let (millis, rest) = split(id);
    let rest = format!("{rest:020x}");
    let (before, after) = (&rest[..5], &rest[8..]);
    format!(
        "(lpad(to_hex({millis}::bigint + {number}), 12, '0') || '{before}' || lpad(to_hex({client}::bigint), 3, '0') || '{after}')"
    )
}

/// The time of an id, and the rest of it without the three digits that a client has.
fn split(id: Uuid) -> (u64, u128) {
    let bits = id.as_u128();
    ((bits >> 80) as u64, bits & ((1 << 80) - 1) & !(0xfff << 48))
}
