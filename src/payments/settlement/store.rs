//! The columns of an attempt's lease, which the tables of payments, refunds and subscriptions share.

/// Defines `AttemptLeaseRow`, to be embedded in a row of this table, including the due time if the table has that
/// column.
macro_rules! attempt_lease_row {
    ($table:ident $(, $due:ident)?) => {
        #[derive(Debug, Queryable, Selectable, Insertable, AsChangeset)]
        #[diesel(table_name = $table, treat_none_as_null = true, treat_none_as_default_value = false)]
        struct AttemptLeaseRow {
            attempt: i32,
            attempt_since: DateTime<Utc>,
            leased_until: Option<DateTime<Utc>>,
            $($due: Option<DateTime<Utc>>,)?
            leases: i32,
            key_abandoned_at: Option<DateTime<Utc>>,
        }

        impl From<AttemptLease> for AttemptLeaseRow {
            fn from(lease: AttemptLease) -> Self {
                Self {
                    attempt: lease.attempt,
                    attempt_since: lease.since,
                    leased_until: lease.until,
                    $($due: lease.due,)?
                    leases: lease.count,
                    key_abandoned_at: lease.key_abandoned_at,
                }
            }
        }

        impl From<AttemptLeaseRow> for AttemptLease {
            fn from(row: AttemptLeaseRow) -> Self {
                let due = [None $(, row.$due)?].into_iter().flatten().next();
                Self {
                    attempt: row.attempt,
                    since: row.attempt_since,
                    until: row.leased_until,
                    due,
                    count: row.leases,
                    key_abandoned_at: row.key_abandoned_at,
                }
            }
        }
    };
}
pub(crate) use attempt_lease_row;
