//! Identifiers: UUIDv7 (RFC 9562), one type per resource, so that ids of different resources can't be confused.

use chrono::{DateTime, Utc};
use rand::RngCore as _;
use uuid::Uuid;

/// Creates a UUIDv7 of the given time. Its random part comes from the thread-local generator (ChaCha, seeded by the
/// system). `Uuid::new_v7` would make a system call for each id.
pub fn new(now: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(now.timestamp_millis()).unwrap_or(0);
    #[expect(clippy::disallowed_methods, reason = "the random part of an id, which nothing depends on")]
    let mut generator = rand::rng();
    let mut random: [u8; 10] = [0; 10];
    generator.fill_bytes(&mut random);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Returns a lower bound of the ids that [`new`] creates at this millisecond or later.
pub fn lower_bound(time: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(time.timestamp_millis()).unwrap_or(0);
    Uuid::from_u128(u128::from(millis) << 80)
}

/// Returns a lower bound of the ids that any instance creates after this one. It assumes that the clocks of two
/// instances differ by less than a day. For an id that is not a UUIDv7, it returns the nil UUID.
pub fn lower_bound_after(id: Uuid) -> Uuid {
    const DAY_MS: u128 = 24 * 60 * 60 * 1000;
    if id.get_version_num() != 7 {
        return Uuid::nil();
    }
    Uuid::from_u128((id.as_u128() >> 80).saturating_sub(DAY_MS) << 80)
}

/// Defines id types: time-ordered UUIDs, stored as UUIDs in Postgres.
#[doc(hidden)]
#[macro_export]
macro_rules! __ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, diesel::expression::AsExpression,
            diesel::deserialize::FromSqlRow, serde::Serialize, serde::Deserialize,
        )]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        #[serde(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// Generates a new id.
            pub fn generate(now: chrono::DateTime<chrono::Utc>) -> Self {
                Self($crate::id::new(now))
            }

            /// Parses an id that validation has already checked to be a UUID.
            pub fn parse(text: &str) -> $crate::error::Result<Self> {
                text.parse().map(Self).map_err(|_| $crate::error::Error::not_found("resource"))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl diesel::serialize::ToSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn to_sql<'b>(&'b self, out: &mut diesel::serialize::Output<'b, '_, diesel::pg::Pg>) -> diesel::serialize::Result {
                diesel::serialize::ToSql::<diesel::sql_types::Uuid, diesel::pg::Pg>::to_sql(&self.0, out)
            }
        }

        impl diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg> for $name {
            fn from_sql(bytes: diesel::pg::PgValue<'_>) -> diesel::deserialize::Result<Self> {
                <uuid::Uuid as diesel::deserialize::FromSql<diesel::sql_types::Uuid, diesel::pg::Pg>>::from_sql(bytes).map(Self)
            }
        }
    )*};
}

pub use crate::__ids as ids;

ids! {
    /// A customer organization.
    AccountId
    /// A person who signs in.
    UserId
    /// A session of a user, from sign-in to sign-out.
    SessionId
    /// A credential of an internal service.
    ServiceKeyId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_between_the_ids_of_its_time() {
        let at = |millis: i64| DateTime::from_timestamp_millis(1_800_000_000_000 + millis).expect("a time");
        for millis in [0, 1, 255, 256, 65_536] {
            assert!(new(at(millis - 1)) < lower_bound(at(millis)), "{millis}");
            assert!(lower_bound(at(millis)) < new(at(millis)), "{millis}");
        }
        assert_eq!(lower_bound(DateTime::<Utc>::MIN_UTC), Uuid::nil());
    }

    #[test]
    fn later_ids_are_above_the_bound_although_clocks_differ() {
        let time = DateTime::from_timestamp_millis(1_800_000_000_000).expect("a time");
        let day = chrono::TimeDelta::days(1);
        assert_eq!(lower_bound_after(new(time)), lower_bound(time - day));
        assert!(lower_bound_after(new(time)) < new(time - day + chrono::TimeDelta::seconds(1)));
        assert!(lower_bound_after(new(time)) > new(time - day - chrono::TimeDelta::seconds(1)));
        assert_eq!(lower_bound_after(new(DateTime::UNIX_EPOCH)), Uuid::nil());
        assert_eq!(lower_bound_after(Uuid::from_u128(u128::MAX)), Uuid::nil(), "it has no time");
    }
}
