//! Identifiers: UUIDv7 (RFC 9562), one type per resource, so that ids of different resources can't be confused.

use chrono::{DateTime, Utc};
use diesel::{deserialize::FromSqlRow, expression::AsExpression};
use uuid::Uuid;

/// Makes a UUIDv7 of the given time.
pub fn new(now: DateTime<Utc>) -> Uuid {
    let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, seconds, now.timestamp_subsec_nanos()))
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, AsExpression, FromSqlRow, serde::Serialize, serde::Deserialize)]
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl $name {
            /// Generates a new id.
            pub fn generate(now: DateTime<Utc>) -> Self {
                Self(new(now))
            }

            /// Parses an id that the field rules have already checked to be a UUID.
            pub fn parse(text: &str) -> crate::error::Result<Self> {
                text.parse().map(Self).map_err(|_| crate::error::Error::not_found("resource"))
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
                Uuid::from_sql(bytes).map(Self)
            }
        }
    )*};
}

ids! {
    /// A customer organization.
    AccountId
    /// A person who signs in.
    UserId
    /// A sign-in.
    SessionId
    /// A credential of an internal caller.
    ServiceKeyId
    /// A support ticket.
    TicketId
    /// A comment on a ticket.
    CommentId
    /// An entry in the history of a ticket.
    ActivityId
    /// A product.
    ProductId
    /// An order.
    OrderId
    /// A charge for an order.
    PaymentId
    /// A refund of a payment.
    RefundId
    /// A subscription of an account to a product, paid each period.
    SubscriptionId
    /// A long-running operation, which continues after its request was answered.
    OperationId
    /// A webhook event received from a provider.
    InboundEventId
    /// An endpoint that receives webhooks.
    WebhookEndpointId
    /// The delivery of one event to one endpoint.
    WebhookDeliveryId
    /// A mail to one recipient.
    MailId
}
