//! Operations: work that goes on after its request was answered.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::numbered;
use crate::id::{AccountId, OperationId};

numbered! {
    /// What an operation does.
    Kind {
        /// Makes tickets from a file.
        ImportTickets = 1,
    }
}

numbered! {
    /// Where an operation stands.
    State {
        /// It waits for a worker.
        Pending = 1,
        /// A worker is at it.
        Running = 2,
        /// It ended; single rows may still have failed.
        Succeeded = 3,
        /// It ended without doing its work.
        Failed = 4,
    }
}

numbered! {
    /// The format of an uploaded file.
    Format {
        /// text/csv (RFC 4180), with a header.
        Csv = 1,
        /// application/x-ndjson: one object a line.
        Ndjson = 2,
    }
}

impl State {
    /// Whether it has ended.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows there are; 0 while they are not counted.
    pub total: i64,
    /// Rows looked at. The next run goes on behind them.
    pub done: i64,
    /// Rows that became something new.
    pub created: i64,
    /// Rows that were there from an earlier run.
    pub known: i64,
    /// Rows that are wrong.
    pub failed: i64,
}

/// Work that goes on after its request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The operation.
    pub id: OperationId,
    /// What it does.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// The user or service key that began it.
    pub owner: Uuid,
    /// The account it works for.
    pub account: AccountId,
    /// The format of its file.
    pub format: Format,
    /// How far it is.
    pub progress: Progress,
    /// Why it failed as a whole: code and sentence.
    pub failure: Option<(String, String)>,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
    /// When it ended.
    pub finished_at: Option<DateTime<Utc>>,
}

impl Operation {
    /// One that waits for a worker.
    pub fn import(owner: Uuid, account: AccountId, format: Format, now: DateTime<Utc>) -> Self {
        Self {
            id: OperationId::generate(now),
            kind: Kind::ImportTickets,
            state: State::Pending,
            owner,
            account,
            format,
            progress: Progress::default(),
            failure: None,
            version: 1,
            created_at: now,
            updated_at: now,
            finished_at: None,
        }
    }
}

/// One row of a file that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line the row begins on, from 1.
    pub line: i64,
    /// The reason.
    pub code: String,
    /// What is wrong.
    pub message: String,
}
