//! Operations: work that continues after its request was answered.

use std::{borrow::Cow, ops::Add};

use chrono::{DateTime, Utc};
use mainstay_kernel::error::Catalogued;

use crate::operations::id::OperationId;
use crate::proto::operations::v1::Reason as OperationsReason;
use mainstay_kernel::{
    error::{Error, Reason, Result},
    id::AccountId,
    numbered::numbered,
    page::Key,
};

numbered! {
    /// The status of an operation.
    Status {
        /// The operation waits for a worker.
        Pending = 1,
        /// A worker is processing the operation.
        Running = 2,
        /// The operation completed; individual rows may have failed.
        Succeeded = 3,
        /// The operation failed as a whole.
        Failed = 4,
        /// The operation was canceled.
        Cancelled = 5,
    }
}

/// The state of an operation, with its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The operation waits for a worker.
    Pending,
    /// A worker is processing the operation.
    Running,
    /// The operation completed; individual rows may have failed.
    Succeeded {
        /// When it completed.
        at: DateTime<Utc>,
    },
    /// The operation failed as a whole.
    Failed {
        /// When it failed.
        at: DateTime<Utc>,
        /// Why it failed.
        failure: Failure,
    },
    /// The operation was canceled; the work done by then is kept.
    Cancelled {
        /// When it was canceled.
        at: DateTime<Utc>,
    },
}

impl State {
    /// Returns the status without its data.
    pub fn status(&self) -> Status {
        match self {
            Self::Pending => Status::Pending,
            Self::Running => Status::Running,
            Self::Succeeded { .. } => Status::Succeeded,
            Self::Failed { .. } => Status::Failed,
            Self::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// Returns when it ended.
    pub fn finished_at(&self) -> Option<DateTime<Utc>> {
        match self {
            Self::Pending | Self::Running => None,
            Self::Succeeded { at } | Self::Failed { at, .. } | Self::Cancelled { at } => Some(*at),
        }
    }

    /// Returns the reason of the failure.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { failure, .. } => Some(failure),
            _ => None,
        }
    }
}

/// The reason why an operation as a whole failed, as shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The code of a [`Reason`].
    pub code: String,
    /// A human-readable message, one sentence.
    pub message: String,
}

impl Failure {
    /// Creates a failure with a custom message.
    pub fn new(reason: impl Catalogued, message: impl Into<String>) -> Self {
        Self { code: reason.facts().code.to_owned(), message: message.into() }
    }
}

/// Stands for the account of an operation of the staff that changes data of several accounts: no account has the nil id.
pub const ACROSS_ACCOUNTS: AccountId = AccountId(uuid::Uuid::nil());

/// The progress of an operation. A row is a part of the work, such as a row of a file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// The number of rows; 0 until they are counted.
    pub total: i64,
    /// The number of rows that created or changed a resource.
    pub created: i64,
    /// The number of rows that were already known from an earlier operation, or that left a resource as it was.
    pub known: i64,
    /// The number of invalid rows, and of resources that were skipped.
    pub failed: i64,
}

impl Progress {
    /// Returns the number of rows processed; the next run resumes after them.
    pub fn rows_done(&self) -> i64 {
        self.created + self.known + self.failed
    }
}

impl Add for Progress {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            total: self.total + more.total,
            created: self.created + more.created,
            known: self.known + more.known,
            failed: self.failed + more.failed,
        }
    }
}

/// An operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    pub id: OperationId,
    /// The name of the kind of work.
    pub kind: Cow<'static, str>,
    /// The number of the kind in the enum of the API, which only the oldest kinds have.
    pub kind_number: Option<i16>,
    pub state: State,
    /// The user or service key that requested it.
    pub owner: uuid::Uuid,
    /// The account whose data it changes, or [`ACROSS_ACCOUNTS`].
    pub account: AccountId,
    /// The progress so far.
    pub progress: Progress,
    /// The version, which each change increments by one.
    pub version: i64,
    /// When it was requested.
    pub created_at: DateTime<Utc>,
    /// When it was last updated.
    pub updated_at: DateTime<Utc>,
}

impl Operation {
    /// Creates a pending operation of a kind, by its name and its number.
    pub fn new(
        (kind, kind_number): (&'static str, Option<i16>),
        owner: uuid::Uuid,
        account: AccountId,
        now: DateTime<Utc>,
    ) -> Self {
        Self {
            id: OperationId::generate(now),
            kind: kind.into(),
            kind_number,
            state: State::Pending,
            owner,
            account,
            progress: Progress::default(),
            version: 1,
            created_at: now,
            updated_at: now,
        }
    }

    /// Records the progress of a running operation.
    ///
    /// # Errors
    /// `CONFLICT` if it has ended.
    pub fn run(self, progress: Progress, now: DateTime<Utc>) -> Result<Self> {
        self.transition(State::Running, progress, now)
    }

    /// Completes the operation; individual rows may have failed.
    ///
    /// # Errors
    /// `CONFLICT` if it has already ended.
    pub fn succeed(self, now: DateTime<Utc>) -> Result<Self> {
        let progress = self.progress;
        self.transition(State::Succeeded { at: now }, progress, now)
    }

    /// Fails the operation as a whole.
    ///
    /// # Errors
    /// `CONFLICT` if it has already ended.
    pub fn fail(self, failure: Failure, now: DateTime<Utc>) -> Result<Self> {
        let progress = self.progress;
        self.transition(State::Failed { at: now, failure }, progress, now)
    }

    /// Cancels the operation; `None` if it was already canceled.
    ///
    /// # Errors
    /// `OPERATION_ENDED` if it has succeeded or failed.
    pub fn cancel(self, now: DateTime<Utc>) -> Result<Option<Self>> {
        let progress = self.progress;
        match self.state {
            State::Pending | State::Running => self.transition(State::Cancelled { at: now }, progress, now).map(Some),
            State::Cancelled { .. } => Ok(None),
            State::Succeeded { .. } | State::Failed { .. } => Err(OperationsReason::OperationEnded.into()),
        }
    }

    fn transition(self, state: State, progress: Progress, now: DateTime<Utc>) -> Result<Self> {
        if self.state.finished_at().is_some() {
            return Err(Error::with_message(Reason::Conflict, "The operation has ended."));
        }
        Ok(Self { state, progress, version: self.version + 1, updated_at: now, ..self })
    }
}

/// An invalid row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowError {
    /// The line of the file on which the row begins, from 1.
    pub line: i64,
    /// The code of a [`Reason`].
    pub code: String,
    /// A description of the row's fault.
    pub message: String,
}

impl RowError {
    /// Returns the position in the operation's list of errors, with the line in place of the time.
    pub fn key(&self) -> Key {
        let time = DateTime::from_timestamp_micros(self.line).unwrap_or_default();
        Key { rank: None, time, id: uuid::Uuid::nil() }
    }
}
