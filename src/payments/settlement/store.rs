//! The columns of an attempt's lease, which the tables of payments, refunds and subscriptions share.

/// Defines `AttemptLeaseRow`, to be embedded in a row of this table.
macro_rules! attempt_lease_row {
    ($table:ident) => {
        #[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
        #[diesel(table_name = $table, treat_none_as_null = true)]
        struct AttemptLeaseRow {
            attempt: i32,
            attempt_since: DateTime<Utc>,
            leased_until: Option<DateTime<Utc>>,
            leases: i32,
            key_abandoned_at: Option<DateTime<Utc>>,
        }

        impl From<AttemptLease> for AttemptLeaseRow {
            fn from(lease: AttemptLease) -> Self {
                let AttemptLease { attempt, since, until, count, key_abandoned_at } = lease;
                Self { attempt, attempt_since: since, leased_until: until, leases: count, key_abandoned_at }
            }
        }

        impl From<AttemptLeaseRow> for AttemptLease {
            fn from(row: AttemptLeaseRow) -> Self {
                let AttemptLeaseRow {
                    attempt,
                    attempt_since: since,
                    leased_until: until,
                    leases: count,
                    key_abandoned_at,
                } = row;
                Self { attempt, since, until, count, key_abandoned_at }
            }
        }
    };
}
pub(crate) use attempt_lease_row;
