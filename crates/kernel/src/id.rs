//! Identifiers: UUIDv7 (RFC 9562), one type per resource, so that ids of different resources can't be confused.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Makes a UUIDv7 of the given time.
pub fn new(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
}

/// Defines types of ids: UUIDs that are generated in the order of time, and stored as such.
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

            /// Parses an id that the field rules have already checked to be a UUID.
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
    /// A sign-in.
    SessionId
    /// A credential of an internal caller.
    ServiceKeyId
}
