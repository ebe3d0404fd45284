//! What is asked: the same of every contender.

use mainstay::contract::proto::support::v1 as pb;
use uuid::Uuid;

/// An operation that is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// One ticket by its id.
    Get,
    /// The first page of 20, with its total.
    List,
    /// One new ticket, without a key.
    Create,
}

pub(crate) const OPERATIONS: [Operation; 3] = [Operation::Get, Operation::List, Operation::Create];

impl Operation {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list of 20",
            Self::Create => "create",
        }
    }
}

/// The subject of a ticket that is created.
pub(crate) const SUBJECT: &str = "Trouble with the benchmark";
/// Its body.
pub(crate) const BODY: &str = "Dear support team, since the last update our account can no longer be used as it should be. \
     Please look into it and tell us what to do next. Kind regards from all of us.";

/// What the requests are about.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    /// Tickets to get, from all over the table.
    pub(crate) tickets: Vec<Uuid>,
    /// The account to create for.
    pub(crate) account: Uuid,
}

impl Target {
    /// The ticket of the request of a number.
    pub(crate) fn ticket(&self, number: usize) -> Uuid {
        self.tickets[number % self.tickets.len()]
    }

    pub(crate) fn create(&self) -> pb::CreateTicketRequest {
        pb::CreateTicketRequest {
            subject: SUBJECT.to_owned(),
            body: BODY.to_owned(),
            kind: None,
            priority: None,
            queue: String::new(),
            language: None,
            tags: vec!["Bug".to_owned(), "Outage".to_owned()],
            account_id: Some(self.account.to_string()),
        }
    }
}
