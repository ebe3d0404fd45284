//! Merges of tickets.

use chrono::{DateTime, Utc};

use super::{State, Ticket};
use crate::proto::support::v1::Reason as SupportReason;
use mainstay_kernel::error::{Error, Result};

impl Ticket {
    /// Checks that the ticket was not merged into another one.
    ///
    /// # Errors
    /// `TICKET_MERGED`, which names the other one.
    pub fn check_unmerged(&self) -> Result<()> {
        match self.merged_into {
            Some(target) => Err(Error::from(SupportReason::TicketMerged).with("ticketId", target.to_string())),
            None => Ok(()),
        }
    }

    /// Returns the next version, merged into another ticket, which stays; `None` if that was done before.
    ///
    /// A target was never merged, and a merge is final, so no chain of merges leads back to a ticket.
    ///
    /// # Errors
    /// `VALIDATION_FAILED`, `TICKET_MERGED`, `TICKET_RESOLVED`.
    pub fn merge_into(&self, target: &Self, now: DateTime<Utc>) -> Result<Option<Self>> {
        let is_resolved = |ticket: &Self| matches!(ticket.state, State::Resolved { .. });
        if target.id == self.id {
            return Err(Error::field("targetId", "must be another ticket"));
        }
        if target.account != self.account {
            return Err(Error::field("targetId", "must be a ticket of the same account"));
        }
        if self.merged_into == Some(target.id) {
            return Ok(None);
        }
        self.check_unmerged()?;
        target.check_unmerged()?;
        if is_resolved(target) && !is_resolved(self) {
            let message = "The target is resolved; reopen it first.";
            return Err(Error::with_message(SupportReason::TicketResolved, message));
        }
        let state = if is_resolved(self) { self.state } else { self.state.resolve(now)? };
        Ok(Some(Self { state, merged_into: Some(target.id), ..self.clone() }.next_version(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::user::model::Language;
    use crate::support::ticket::model::{Content, DEFAULT_QUEUE, Kind, Priority, Status};
    use mainstay_kernel::id::AccountId;

    fn ticket(account: AccountId, now: DateTime<Utc>) -> Ticket {
        let content = Content {
            subject: "S".to_owned(),
            body: "B".to_owned(),
            kind: Kind::Request,
            priority: Priority::Low,
            queue: DEFAULT_QUEUE.to_owned(),
            language: Language::default(),
            tags: Vec::new(),
            attachments: Vec::new(),
        };
        Ticket::new(account, None, content, now)
    }

    #[test]
    fn a_merge_is_final_and_forms_no_circle() {
        let now = DateTime::<Utc>::default();
        let account = AccountId::generate(now);
        let [a, b, c] = [(); 3].map(|()| ticket(account, now));
        let merged = a.merge_into(&b, now).expect("a merge").expect("a change");
        assert_eq!((merged.merged_into, merged.state.status(), merged.version), (Some(b.id), Status::Resolved, 2));
        assert_eq!(merged.merge_into(&b, now).expect("a repetition"), None);
        let reason = |from: &Ticket, into: &Ticket| from.merge_into(into, now).expect_err("a refusal").detail();
        assert_eq!(reason(&merged, &c), reason(&b, &merged), "TICKET_MERGED");
        // The chain goes on, and does not return.
        let next = b.merge_into(&c, now).expect("a merge").expect("a change");
        for earlier in [&merged, &next] {
            c.merge_into(earlier, now).expect_err("a circle");
        }
    }

    #[test]
    fn a_resolved_ticket_keeps_its_time_and_takes_no_open_one() {
        let now = DateTime::<Utc>::default();
        let later = now + chrono::TimeDelta::hours(1);
        let account = AccountId::generate(now);
        let [open, other] = [(); 2].map(|()| ticket(account, now));
        let resolved = Ticket { state: open.state.resolve(now).expect("open"), ..open };
        let merged = resolved.merge_into(&other, later).expect("a merge").expect("a change");
        assert_eq!(merged.state, resolved.state);
        other.merge_into(&resolved, later).expect_err("the request would be lost");
        other.merge_into(&ticket(AccountId::generate(now), now), later).expect_err("another account");
        other.merge_into(&other, later).expect_err("itself");
    }
}
