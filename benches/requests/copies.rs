//! Rows that a script creates in each run: unique ids that resemble a recorded one.
//!
//! A copy keeps the random part of the recorded id and shifts its time by the number of the run, so that indexes grow
//! at their end, as with the server's own UUIDv7. The number of the client is in between.

use uuid::Uuid;

/// The copy of `id` for the run `number` of `client`.
pub(crate) fn copy(id: Uuid, client: u16, number: u64) -> Uuid {
    let (millis, rest) = split(id);
    Uuid::from_u128(u128::from(millis + number) << 80 | rest | u128::from(client) << 48)
}

/// [`copy`] as an SQL expression of 32 hexadecimal digits as text; `client` and `number` are integer expressions.
pub(crate) fn copy_sql(id: Uuid, client: &str, number: &str) -> String {
    let (millis, rest) = split(id);
    let rest = format!("{rest:020x}");
    let (before, after) = (&rest[..5], &rest[8..]);
    format!(
        "(lpad(to_hex({millis}::bigint + {number}), 12, '0') || '{before}' || lpad(to_hex({client}::bigint), 3, '0') || '{after}')"
    )
}

/// The time of an id, and its rest without the three digits of the client.
fn split(id: Uuid) -> (u64, u128) {
    let bits = id.as_u128();
    ((bits >> 80) as u64, bits & ((1 << 80) - 1) & !(0xfff << 48))
}
