//! Operations: work that goes on after its request was answered.

use chrono::{DateTime, Utc};

use super::{import::Format, numbered, page::Key};
use crate::{
    error::{Error, Reason, Result},
    id::{AccountId, OperationId},
};

numbered! {
    /// What an operation does.
    Kind {
        /// Makes tickets from a file.
        ImportTickets = 1,
    }
}

numbered! {
    /// Where an operation stands, without what belongs to it there.
    Status {
        /// It waits for a worker.
        Pending = 1,
        /// A worker is at it.
        Running = 2,
        /// It ended; single rows may still have failed.
        Succeeded = 3,
        /// It ended without doing its work.
        Failed = 4,
        /// Somebody ended it.
        Cancelled = 5,
    }
}

/// Where an operation stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// It waits for a worker.
    Pending,
    /// A worker is at it.
    Running,
    /// It ended; single rows may still have failed.
    Succeeded {
        /// When.
        at: DateTime<Utc>,
    },
    /// It ended without doing its work.
    Failed {
        /// When.
        at: DateTime<Utc>,
        /// Why.
        failure: Failure,
    },
    /// Somebody ended it; what it had done by then stays.
    Cancelled {
        /// When.
        at: DateTime<Utc>,
    },
}

impl State {
    /// The status without what belongs to it.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Running => Status::Running,
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When it ended.
    pub fn finished_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending | Self::Running => None,
            Self::Succeeded { at } | Self::Failed { at, .. } | Self::Cancelled { at } => Some(*at),
        }
    }

    /// Why it failed.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }
}

/// Why an operation as a whole failed; the caller reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code of a [`Reason`].
    pub code: String,
    /// One sentence.
    pub message: String,
}

impl Failure {
    /// A failure with a sentence of its own.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { code: reason.facts().code.to_owned(), message: message.into() }
    }
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Rows there are; 0 while they are not counted.
    pub total: i64,
    /// Rows that became something new.
    pub created: i64,
    /// Rows that were there from an earlier run.
    pub known: i64,
    /// Rows that are wrong.
    pub failed: i64,
}

impl Progress {
    /// Rows looked at; the next run goes on behind them.
    pub fn done(&self) -> i64 {
        self.created + self.known + self.failed
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// The operation.
    pub id: OperationId,
    /// What it does.
    pub kind: Kind,
    /// Where it stands.
    pub state: State,
    /// The user or service key that began it.
    pub owner: uuid::Uuid,
    /// The account it works for.
    pub account: AccountId,
    /// The format of its file.
    pub format: Format,
    /// How far it is.
    pub progress: Progress,
    /// Grows by one with each change.
    pub version: i64,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
    /// When it last moved.
    pub updated_at: DateTime<Utc>,
}

impl Operation {
    /// An import that waits for a worker.
    pub fn import(owner: uuid::Uuid, account: AccountId, format: Format, now: DateTime<Utc>) -> Self {
        Self {
            id: OperationId::generate(now),
            kind: Kind::ImportTickets,
            state: State::Pending,
            owner,
            account,
            format,
            progress: Progress::default(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Where it stands in a list, newest first.
    pub fn key(&self) -> Key {
        Key { rank: None, time: self.created_at, id: self.id.0 }
    }

    /// A worker goes on with it, `total` rows in all.
    ///
    /// # Errors
    /// `CONFLICT` when it ended.
    pub fn run(self, progress: Progress, now: DateTime<Utc>) -> Result<Self> {
        self.moved(State::Running, progress, now)
    }

    /// It ended; single rows may have failed.
    ///
    /// # Errors
    /// `CONFLICT` when it ended before.
    pub fn succeed(self, now: DateTime<Utc>) -> Result<Self> {
        let progress = self.progress;
        self.moved(State::Succeeded { at: now }, progress, now)
    }

    /// It ended without doing its work.
    ///
    /// # Errors
    /// `CONFLICT` when it ended before.
    pub fn fail(self, failure: Failure, now: DateTime<Utc>) -> Result<Self> {
        let progress = self.progress;
        self.moved(State::Failed { at: now, failure }, progress, now)
    }

    /// Somebody ended it; `None` when it was cancelled before.
    ///
    /// # Errors
    /// `BUSINESS_RULE_VIOLATION` when it succeeded or failed.
    pub fn cancel(self, now: DateTime<Utc>) -> Result<Option<Self>> {
        let progress = self.progress;
        match self.state {
            State::Pending | State::Running => self.moved(State::Cancelled { at: now }, progress, now).map(Some),
            State::Cancelled { .. } => Ok(None),
            State::Succeeded { .. } | State::Failed { .. } => Err(Error::rule("The operation has ended.")),
        }
    }

    fn moved(self, state: State, progress: Progress, now: DateTime<Utc>) -> Result<Self> {
        if self.state.finished_at().is_some() {
            return Err(Error::with_message(Reason::Conflict, "The operation has ended."));
        }
        Ok(Self { state, progress, version: self.version + 1, updated_at: now, ..self })
    }
}

/// One row that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line of the file the row begins on, from 1.
    pub line: i64,
    /// The code of a [`Reason`].
    pub code: String,
    /// What is wrong.
    pub message: String,
}

impl RowError {
    /// Where it stands in its operation's list: a line is as good as a time to go on from.
    pub fn key(&self) -> Key {
        let time = DateTime::from_timestamp_micros(self.line).unwrap_or_default();
        Key { rank: None, time, id: uuid::Uuid::nil() }
    }
}
