//! Links between tickets of an account.

use chrono::{DateTime, Utc};
use mainstay_kernel::numbered::numbered;
use uuid::Uuid;

use crate::support::id::{TicketId, TicketLinkId};

numbered! {
    /// What a ticket is to another one.
    LinkKind {
        /// The tickets have something in common.
        Related = 1,
        /// The other ticket has to wait for the ticket.
        Blocks = 2,
        BlockedBy = 3,
        /// The ticket asks for the same as the other one, which came first.
        DuplicateOf = 4,
        DuplicatedBy = 5,
    }
}

impl LinkKind {
    /// Returns what the other ticket is to the ticket.
    pub fn inverse(self) -> Self {
        match self {
            Self::Related => Self::Related,
            Self::Blocks => Self::BlockedBy,
            Self::BlockedBy => Self::Blocks,
            Self::DuplicateOf => Self::DuplicatedBy,
            Self::DuplicatedBy => Self::DuplicateOf,
        }
    }
}

/// A link, as seen from one of its tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Link {
    pub id: TicketLinkId,
    pub ticket: TicketId,
    pub other: TicketId,
    /// What the ticket is to the other one.
    pub kind: LinkKind,
    /// The user or service key that created it.
    pub author: Uuid,
    /// When it was created.
    pub created_at: DateTime<Utc>,
}

impl Link {
    /// Returns the link as seen from the other ticket.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { ticket: self.other, other: self.ticket, kind: self.kind.inverse(), ..self }
    }

    /// Returns the link as it is stored: with a kind that is no inverse of a stored one.
    #[must_use]
    pub fn stored(self) -> Self {
        match self.kind {
            LinkKind::Related | LinkKind::Blocks | LinkKind::DuplicateOf => self,
            LinkKind::BlockedBy | LinkKind::DuplicatedBy => self.reversed(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_stored_once_and_read_from_both_sides() {
        let now = DateTime::<Utc>::default();
        for number in 1..=5 {
            let kind = LinkKind::from_number(number).expect("a kind");
            let (ticket, other) = (TicketId::generate(now), TicketId::generate(now));
            let link =
                Link { id: TicketLinkId::generate(now), ticket, other, kind, author: Uuid::nil(), created_at: now };
            assert_eq!(link.reversed().reversed(), link);
            // A link of kindred tickets has no direction.
            let is_one_row = link.stored() == link.reversed().stored();
            assert_eq!(is_one_row, kind != LinkKind::Related, "{kind:?}");
            assert_eq!(link.stored().stored(), link.stored(), "{kind:?}");
            assert_eq!(kind.inverse().inverse(), kind);
        }
    }
}
