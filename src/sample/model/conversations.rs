//! Tickets: questions of customers, and their answers.

use crate::support::ticket::model::{Kind, Priority};

/// A ticket and the comments on it.
#[derive(Debug, Clone, Copy)]
pub struct Conversation {
    pub subject: &'static str,
    pub body: &'static str,
    pub kind: Kind,
    pub priority: Priority,
    pub queue: &'static str,
    pub tags: &'static [&'static str],
    /// The comments in their order: an agent begins, then the customer and the agent alternate.
    pub comments: &'static [&'static str],
}
