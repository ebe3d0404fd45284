//! What belongs to tickets, for those who need all of it at once: one statement for each kind, however many tickets.

use std::collections::HashMap;

use mainstay_kernel::{database::Connection, error::Result, id::UserId};

use crate::support::{
    comment::{
        model::{Activity, Comment},
        store as comments,
    },
    id::TicketId,
    ticket::{model::Ticket, store},
};

/// What is to be included.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub comments: bool,
    pub activities: bool,
    pub requester: bool,
    /// The most comments, and the most activities, of one ticket.
    pub limit: i64,
}

impl Wanted {
    /// Returns whether the tickets alone are wanted.
    pub fn is_nothing(self) -> bool {
        !(self.comments || self.activities || self.requester)
    }
}

/// What belongs to some tickets.
#[derive(Debug, Default)]
pub struct Included {
    /// The first of each ticket, plus one if there are more.
    pub comments: HashMap<TicketId, Vec<Comment>>,
    /// The first of each ticket, plus one if there are more.
    pub activities: HashMap<TicketId, Vec<Activity>>,
    /// The names.
    pub requesters: HashMap<UserId, String>,
}

/// Returns what belongs to tickets that the caller reaches.
pub async fn include(connection: &mut Connection, tickets: &[Ticket], wanted: Wanted) -> Result<Included> {
    let ids: Vec<_> = tickets.iter().map(|ticket| ticket.id).collect();
    let mut included = Included::default();
    if wanted.comments {
        for comment in comments::first(connection, &ids, wanted.limit + 1).await? {
            included.comments.entry(comment.ticket).or_default().push(comment);
        }
    }
    if wanted.activities {
        for activity in comments::first_activities(connection, &ids, wanted.limit + 1).await? {
            included.activities.entry(activity.ticket).or_default().push(activity);
        }
    }
    if wanted.requester {
        let requesters: Vec<_> = tickets.iter().filter_map(|ticket| ticket.requester).collect();
        included.requesters = store::names(connection, &requesters).await?.into_iter().collect();
    }
    Ok(included)
}
