//! The topic of a mail.

use chrono::TimeDelta;
use uuid::Uuid;

use crate::{
    identity::{
        deletion::id::{DeletionId, DeletionNoticeId},
        email_change::id::EmailChangeId,
        invitation::id::InvitationId,
        registration::id::RegistrationId,
    },
    orders::id::OrderId,
    payments::id::{PaymentId, RefundId},
    subscriptions::id::SubscriptionId,
    support::id::{CommentId, TicketId},
};
use mainstay_kernel::{
    id::{SessionId, UserId},
    numbered::numbered,
};

numbered! {
    /// The kind of a mail.
    Kind {
        PasswordReset = 1 => "password_reset",
        OrderConfirmation = 2 => "order_confirmation",
        PaymentReceipt = 3 => "payment_receipt",
        Registration = 4 => "registration",
        Refund = 5 => "refund",
        SubscriptionReceipt = 6 => "subscription_receipt",
        SubscriptionUnpaid = 7 => "subscription_unpaid",
        SignIn = 8 => "sign_in",
        TicketReceived = 9 => "ticket_received",
        TicketReply = 10 => "ticket_reply",
        PasswordChanged = 11 => "password_changed",
        EmailChange = 12 => "email_change",
        EmailChanged = 13 => "email_changed",
        Invitation = 14 => "invitation",
        SecondFactorAdded = 21 => "second_factor_added",
        SecondFactorRemoved = 22 => "second_factor_removed",
        RecoveryCodeUsed = 23 => "recovery_code_used",
        SecondFactorReset = 24 => "second_factor_reset",
        IdentityLinked = 27 => "identity_linked",
        IdentityUnlinked = 28 => "identity_unlinked",
        Impersonation = 31 => "impersonation",
        PasskeyAdded = 41 => "passkey_added",
        PasskeyRemoved = 42 => "passkey_removed",
        PasskeyRefused = 43 => "passkey_refused",
        DeletionScheduled = 15 => "deletion_scheduled",
        DeletionDone = 16 => "deletion_done",
        DomainLapsed = 32 => "domain_lapsed",
    }
}

impl Kind {
    /// Returns whether the recipient waits for the mail, or has to act on it at once.
    pub fn is_urgent(self) -> bool {
        matches!(
            self,
            Self::PasswordReset
                | Self::Registration
                | Self::SignIn
                | Self::PasswordChanged
                | Self::EmailChange
                | Self::EmailChanged
                | Self::SecondFactorAdded
                | Self::SecondFactorRemoved
                | Self::RecoveryCodeUsed
                | Self::SecondFactorReset
                | Self::IdentityLinked
                | Self::IdentityUnlinked
                | Self::PasskeyAdded
                | Self::PasskeyRemoved
                | Self::PasskeyRefused
        )
    }

    /// Returns whether any caller can cause such a mail to any address, whether or not the address belongs to a user.
    pub fn is_for_any_address(self) -> bool {
        matches!(self, Self::PasswordReset | Self::Registration | Self::EmailChange | Self::Invitation)
    }

    /// Returns whether the recipient may unsubscribe from such mail, because it is not required by a transaction or for
    /// security.
    pub fn is_notification(self) -> bool {
        matches!(self, Self::TicketReceived | Self::TicketReply)
    }

    /// Returns how long after its cause the mail may still be sent.
    pub fn lifetime(self) -> TimeDelta {
        match self {
            // The lifetime of its token.
            Self::PasswordReset => TimeDelta::hours(1),
            // Likewise the lifetime of a registration's token. Other mail that arrives later would confuse its
            // recipient.
            _ => TimeDelta::hours(24),
        }
    }
}

/// The topic of a mail. There is one mail per topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// A password reset was requested.
    PasswordReset {
        request: Uuid,
        /// The user; an id without a user if the address is unknown.
        user: UserId,
    },
    /// The registration of an address was requested.
    Registration(RegistrationId),
    /// A user signed in from an unknown network.
    SignIn { session: SessionId, user: UserId },
    /// A user changed the password.
    PasswordChanged { change: Uuid, user: UserId },
    /// A user asked for another address, which is to be confirmed.
    EmailChange { change: EmailChangeId, user: UserId },
    /// A user's address was changed: a notice to the address before.
    EmailChanged { change: EmailChangeId, user: UserId },
    /// An address was invited to an account.
    Invitation { mail: Uuid, invitation: InvitationId },
    /// A user added a second factor.
    SecondFactorAdded { event: Uuid, user: UserId },
    /// The second factor of a user was removed.
    SecondFactorRemoved { event: Uuid, user: UserId },
    /// A user used a recovery code.
    RecoveryCodeUsed { event: Uuid, user: UserId },
    /// An admin has reset the second factor of a user, who can cancel it.
    SecondFactorReset { event: Uuid, user: UserId },
    /// A person at a sign-in provider was linked to a user.
    IdentityLinked { event: Uuid, user: UserId },
    /// A user unlinked a person at a sign-in provider.
    IdentityUnlinked { event: Uuid, user: UserId },
    /// A user added a passkey.
    PasskeyAdded { event: Uuid, user: UserId },
    /// A user removed a passkey.
    PasskeyRemoved { event: Uuid, user: UserId },
    /// A passkey was refused, because its counter did not increase.
    PasskeyRefused { event: Uuid, user: UserId },
    /// Staff has started to act in the name of a user.
    Impersonation { impersonation: Uuid, user: UserId },
    /// A mail domain of an account that a user owns is no longer proved.
    DomainLapsed { event: Uuid, user: UserId },
    /// The deletion of a user or an account was scheduled.
    DeletionScheduled { notice: DeletionNoticeId, deletion: DeletionId },
    /// The data of a user or an account was erased.
    DeletionDone { notice: DeletionNoticeId, deletion: DeletionId },
    /// An order was placed.
    OrderConfirmation(OrderId),
    /// An order was paid.
    PaymentReceipt(PaymentId),
    /// A refund was made.
    Refund(RefundId),
    /// A period of a subscription was paid.
    SubscriptionReceipt {
        /// The transaction in the ledger.
        invoice: Uuid,
        subscription: SubscriptionId,
    },
    /// The payment for a period of a subscription failed.
    SubscriptionUnpaid { notice: Uuid, subscription: SubscriptionId },
    /// A customer created a ticket.
    TicketReceived(TicketId),
    /// Staff answered a ticket.
    TicketReply { comment: CommentId, ticket: TicketId },
}

impl Topic {
    /// Returns the kind, the id, and the id of the topic's parent.
    pub fn parts(self) -> (Kind, Uuid, Option<Uuid>) {
        match self {
            Self::PasswordReset { request, user } => (Kind::PasswordReset, request, Some(user.0)),
            Self::Registration(id) => (Kind::Registration, id.0, None),
            Self::SignIn { session, user } => (Kind::SignIn, session.0, Some(user.0)),
            Self::PasswordChanged { change, user } => (Kind::PasswordChanged, change, Some(user.0)),
            Self::EmailChange { change, user } => (Kind::EmailChange, change.0, Some(user.0)),
            Self::EmailChanged { change, user } => (Kind::EmailChanged, change.0, Some(user.0)),
            Self::Invitation { mail, invitation } => (Kind::Invitation, mail, Some(invitation.0)),
            Self::SecondFactorAdded { event, user } => (Kind::SecondFactorAdded, event, Some(user.0)),
            Self::SecondFactorRemoved { event, user } => (Kind::SecondFactorRemoved, event, Some(user.0)),
            Self::RecoveryCodeUsed { event, user } => (Kind::RecoveryCodeUsed, event, Some(user.0)),
            Self::SecondFactorReset { event, user } => (Kind::SecondFactorReset, event, Some(user.0)),
            Self::IdentityLinked { event, user } => (Kind::IdentityLinked, event, Some(user.0)),
            Self::IdentityUnlinked { event, user } => (Kind::IdentityUnlinked, event, Some(user.0)),
            Self::PasskeyAdded { event, user } => (Kind::PasskeyAdded, event, Some(user.0)),
            Self::PasskeyRemoved { event, user } => (Kind::PasskeyRemoved, event, Some(user.0)),
            Self::PasskeyRefused { event, user } => (Kind::PasskeyRefused, event, Some(user.0)),
            Self::Impersonation { impersonation, user } => (Kind::Impersonation, impersonation, Some(user.0)),
            Self::DomainLapsed { event, user } => (Kind::DomainLapsed, event, Some(user.0)),
            Self::DeletionScheduled { notice, deletion } => (Kind::DeletionScheduled, notice.0, Some(deletion.0)),
            Self::DeletionDone { notice, deletion } => (Kind::DeletionDone, notice.0, Some(deletion.0)),
            Self::OrderConfirmation(id) => (Kind::OrderConfirmation, id.0, None),
            Self::PaymentReceipt(id) => (Kind::PaymentReceipt, id.0, None),
            Self::Refund(id) => (Kind::Refund, id.0, None),
            Self::SubscriptionReceipt { invoice, subscription } => {
                (Kind::SubscriptionReceipt, invoice, Some(subscription.0))
            }
            Self::SubscriptionUnpaid { notice, subscription } => {
                (Kind::SubscriptionUnpaid, notice, Some(subscription.0))
            }
            Self::TicketReceived(id) => (Kind::TicketReceived, id.0, None),
            Self::TicketReply { comment, ticket } => (Kind::TicketReply, comment.0, Some(ticket.0)),
        }
    }

    /// Returns the topic with these parts; `None` if they match no kind.
    pub fn of_parts(kind: Kind, id: Uuid, parent: Option<Uuid>) -> Option<Self> {
        Some(match (kind, parent) {
            (Kind::PasswordReset, Some(user)) => Self::PasswordReset { request: id, user: UserId(user) },
            (Kind::Registration, None) => Self::Registration(RegistrationId(id)),
            (Kind::SignIn, Some(user)) => Self::SignIn { session: SessionId(id), user: UserId(user) },
            (Kind::PasswordChanged, Some(user)) => Self::PasswordChanged { change: id, user: UserId(user) },
            (Kind::EmailChange, Some(user)) => Self::EmailChange { change: EmailChangeId(id), user: UserId(user) },
            (Kind::EmailChanged, Some(user)) => Self::EmailChanged { change: EmailChangeId(id), user: UserId(user) },
            (Kind::Invitation, Some(invitation)) => Self::Invitation { mail: id, invitation: InvitationId(invitation) },
            (Kind::SecondFactorAdded, Some(user)) => Self::SecondFactorAdded { event: id, user: UserId(user) },
            (Kind::SecondFactorRemoved, Some(user)) => Self::SecondFactorRemoved { event: id, user: UserId(user) },
            (Kind::RecoveryCodeUsed, Some(user)) => Self::RecoveryCodeUsed { event: id, user: UserId(user) },
            (Kind::SecondFactorReset, Some(user)) => Self::SecondFactorReset { event: id, user: UserId(user) },
            (Kind::IdentityLinked, Some(user)) => Self::IdentityLinked { event: id, user: UserId(user) },
            (Kind::IdentityUnlinked, Some(user)) => Self::IdentityUnlinked { event: id, user: UserId(user) },
            (Kind::PasskeyAdded, Some(user)) => Self::PasskeyAdded { event: id, user: UserId(user) },
            (Kind::PasskeyRemoved, Some(user)) => Self::PasskeyRemoved { event: id, user: UserId(user) },
            (Kind::PasskeyRefused, Some(user)) => Self::PasskeyRefused { event: id, user: UserId(user) },
            (Kind::Impersonation, Some(user)) => Self::Impersonation { impersonation: id, user: UserId(user) },
            (Kind::DomainLapsed, Some(user)) => Self::DomainLapsed { event: id, user: UserId(user) },
            (Kind::DeletionScheduled, Some(deletion)) => {
                Self::DeletionScheduled { notice: DeletionNoticeId(id), deletion: DeletionId(deletion) }
            }
            (Kind::DeletionDone, Some(deletion)) => {
                Self::DeletionDone { notice: DeletionNoticeId(id), deletion: DeletionId(deletion) }
            }
            (Kind::OrderConfirmation, None) => Self::OrderConfirmation(OrderId(id)),
            (Kind::PaymentReceipt, None) => Self::PaymentReceipt(PaymentId(id)),
            (Kind::Refund, None) => Self::Refund(RefundId(id)),
            (Kind::SubscriptionReceipt, Some(parent)) => {
                Self::SubscriptionReceipt { invoice: id, subscription: SubscriptionId(parent) }
            }
            (Kind::SubscriptionUnpaid, Some(parent)) => {
                Self::SubscriptionUnpaid { notice: id, subscription: SubscriptionId(parent) }
            }
            (Kind::TicketReceived, None) => Self::TicketReceived(TicketId(id)),
            (Kind::TicketReply, Some(ticket)) => Self::TicketReply { comment: CommentId(id), ticket: TicketId(ticket) },
            _ => return None,
        })
    }

    /// Returns the kind.
    pub fn kind(self) -> Kind {
        self.parts().0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_made_of_its_parts() {
        let (id, parent) = (Uuid::from_u128(1), Uuid::from_u128(2));
        for kind in Kind::ALL {
            let topic = Topic::of_parts(kind, id, None).or_else(|| Topic::of_parts(kind, id, Some(parent)));
            let topic = topic.unwrap_or_else(|| panic!("{kind:?}"));
            let (kind, id, parent) = topic.parts();
            assert_eq!(Topic::of_parts(kind, id, parent), Some(topic));
        }
    }
}
