//! The parts of tickets, for callers that need all of them at once: one statement for each kind, however many tickets.

use std::collections::HashMap;

use mainstay_kernel::{
    caller::Permit,
    database::{Connection, pipeline::pipeline},
    error::Result,
    id::UserId,
};

use crate::support::{
    comment::{
        model::{Activity, Audience, Comment},
        store as comments,
    },
    id::TicketId,
    ticket::{model::Ticket, store},
};

/// What a response includes beside the tickets.
#[derive(Debug, Clone, Copy)]
pub struct Includes {
    pub comments: bool,
    pub activities: bool,
    pub requester: bool,
    /// The most comments, and the most activities, of one ticket.
    pub limit: i64,
}

impl Includes {
    /// Returns whether nothing is included.
    pub fn is_empty(self) -> bool {
        !(self.comments || self.activities || self.requester)
    }
}

/// What belongs to some tickets.
#[derive(Debug, Default)]
pub struct IncludedResources {
    /// The first of each ticket, plus one if there are more.
    pub comments: HashMap<TicketId, Vec<Comment>>,
    /// The first of each ticket, plus one if there are more.
    pub activities: HashMap<TicketId, Vec<Activity>>,
    /// The names.
    pub requesters: HashMap<UserId, String>,
}

/// Returns what belongs to tickets that the caller reaches, in one round trip.
pub async fn include(
    connection: &Connection,
    permit: &Permit,
    tickets: &[Ticket],
    includes: Includes,
) -> Result<IncludedResources> {
    let audience = Audience::of(permit.visibility());
    let ids: Vec<_> = tickets.iter().map(|ticket| ticket.id).collect();
    let requesters: Vec<_> = tickets.iter().filter_map(|ticket| ticket.requester).collect();
    let limit = includes.limit + 1;
    let (comments, activities, requesters) = pipeline!(
        when(includes.comments, comments::first(connection, audience, &ids, limit)),
        when(includes.activities, comments::first_activities(connection, audience, &ids, limit)),
        when(includes.requester, store::people(connection, &requesters)),
    )?;
    let requesters = requesters.into_iter().collect();
    let mut included = IncludedResources { requesters, ..IncludedResources::default() };
    for comment in comments {
        included.comments.entry(comment.ticket).or_default().push(comment);
    }
    for activity in activities {
        included.activities.entry(activity.ticket).or_default().push(activity);
    }
    Ok(included)
}

/// Returns what is read if it is wanted, and nothing otherwise.
async fn when<T>(condition: bool, read: impl Future<Output = Result<Vec<T>>>) -> Result<Vec<T>> {
    if condition { read.await } else { Ok(Vec::new()) }
}
