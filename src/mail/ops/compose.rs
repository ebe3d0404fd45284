//! Composes the address and the contents of a mail.

use chrono::{DateTime, TimeDelta, Utc};
use secrecy::ExposeSecret as _;

use crate::{
    identity::{
        account_domain::ops as account_domain,
        auth::ops as auth,
        credential::model as token,
        deletion::{
            id::DeletionNoticeId,
            ops::{CompletionNotice, ScheduleNotice, completion_notice, schedule_notice},
        },
        email_change::{
            id::EmailChangeId,
            ops::{Notice as EmailNotice, notice as email_notice, undo_notice},
        },
        invitation::{id::InvitationId, ops::notice as invitation_notice},
        registration::{
            id::RegistrationId,
            ops::{Notice, notice},
        },
        second_factor::model::RESET_DELAY,
        session::{model::Device, ops as session},
        user::{
            model::{Contact, EmailAddress, Language},
            ops as user,
        },
    },
    mail::{
        content::Content,
        links::Links,
        model::{Kind, Mail, Topic},
    },
    orders::order::{
        model::Order,
        ops::{items, read as read_order},
    },
    payments::{ledger::ops as ledger, payment::ops::read as read_payment, refund::ops::read as read_refund},
    subscriptions::{id::SubscriptionId, model::Subscription, ops::read as read_subscription},
    support::{
        comment::ops::read_for_customer as read_comment,
        id::{CommentId, TicketId},
        ticket::{model::Ticket, ops::read as read_ticket},
    },
};
use mainstay_kernel::{
    app::App,
    caller::Visibility,
    database::Connection,
    error::{Reason, Result},
    id::UserId,
    secret::SecretKey,
};

/// A mail that is not rendered yet.
pub(super) struct Draft {
    /// The recipient's address.
    pub(super) to: String,
    pub(super) language: Language,
    pub(super) content: Content,
    /// The user who may unsubscribe from such mail.
    pub(super) notified: Option<UserId>,
}

impl Draft {
    fn to(contact: Contact, content: Content) -> Self {
        Self { to: contact.email, language: contact.language, content, notified: None }
    }
}

/// Composes a mail; `None` if it has no recipient, or its subject was removed. A token is created here; only its hash
/// is stored.
pub(super) async fn draft(
    connection: &mut Connection,
    secret: &SecretKey,
    mail: &Mail,
    links: Links<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Draft>> {
    let result = match mail.topic {
        Topic::PasswordReset { user, .. } => reset(connection, secret, mail, user, links, now).await,
        Topic::Registration(id) => registration(connection, secret, mail, id, links).await,
        Topic::SignIn { user, .. } => sign_in(connection, mail, user, links).await,
        Topic::PasswordChanged { user, .. } => {
            let content = Content::PasswordChanged { at: mail.created_at, link: links.request_reset() };
            to_user(connection, user, content).await
        }
        Topic::SecondFactorAdded { user, .. }
        | Topic::SecondFactorRemoved { user, .. }
        | Topic::RecoveryCodeUsed { user, .. }
        | Topic::SecondFactorReset { user, .. }
        | Topic::IdentityLinked { user, .. }
        | Topic::IdentityUnlinked { user, .. }
        | Topic::PasskeyAdded { user, .. }
        | Topic::PasskeyRemoved { user, .. }
        | Topic::PasskeyRefused { user, .. }
        | Topic::Impersonation { user, .. } => {
            let template = mail.topic.kind().name();
            let delay = if mail.topic.kind() == Kind::SecondFactorReset { RESET_DELAY } else { TimeDelta::zero() };
            let content = Content::SecondFactor { template, at: mail.created_at + delay, link: links.request_reset() };
            to_user(connection, user, content).await
        }
        Topic::DomainLapsed { user, .. } => domain_lapsed(connection, user).await,
        Topic::EmailChange { change, .. } => email_change(connection, secret, change, links, now).await,
        Topic::EmailChanged { change, .. } => email_changed(connection, secret, change, links, now).await,
        Topic::DeletionScheduled { notice, .. } => deletion_scheduled(connection, secret, notice, links).await,
        Topic::DeletionDone { notice, .. } => deletion_done(connection, mail, notice).await,
        Topic::Invitation { invitation, .. } => invite(connection, secret, invitation, links, now).await,
        Topic::OrderConfirmation(id) => {
            let order = read_order(connection, Visibility::All, id).await?;
            let items = items(connection, &order).await?;
            let (number, total, link) = (order.number, order.total, links.order(order.id));
            let content = Content::OrderConfirmation { number, at: order.created_at, items, total, link };
            to_customer(connection, &order, content).await
        }
        Topic::PaymentReceipt(id) => {
            let payment = read_payment(connection, Visibility::All, id).await?;
            let order = read_order(connection, Visibility::All, payment.order).await?;
            let (number, at, link) = (order.number, mail.created_at, links.order(order.id));
            let payment_id = payment.id.to_string();
            let content = Content::PaymentReceipt { number, amount: payment.amount, at, payment: payment_id, link };
            to_customer(connection, &order, content).await
        }
        Topic::Refund(id) => {
            let refund = read_refund(connection, Visibility::All, id).await?;
            let payment = read_payment(connection, Visibility::All, refund.payment).await?;
            let order = read_order(connection, Visibility::All, payment.order).await?;
            let (number, at, link) = (order.number, mail.created_at, links.order(order.id));
            let content = Content::Refund { number, amount: refund.amount, at, refund: id.to_string(), link };
            to_customer(connection, &order, content).await
        }
        Topic::SubscriptionReceipt { invoice, subscription } => {
            let Some(amount) = ledger::amount(connection, invoice).await? else { return Ok(None) };
            to_subscriber(connection, subscription, |subscription| Content::SubscriptionReceipt {
                period_end: subscription.state.period().map_or(mail.created_at, |period| period.end),
                product: subscription.product_name,
                amount,
                at: mail.created_at,
                invoice: invoice.to_string(),
            })
            .await
        }
        Topic::SubscriptionUnpaid { subscription, .. } => {
            to_subscriber(connection, subscription, |subscription| Content::SubscriptionUnpaid {
                product: subscription.product_name,
                amount: subscription.price,
                at: mail.created_at,
                link: links.subscription(subscription.id),
            })
            .await
        }
        Topic::TicketReceived(id) => {
            let content = |ticket: Ticket| Content::TicketReceived {
                title: ticket.content.subject,
                at: ticket.created_at,
                ticket: id.to_string(),
                link: links.ticket(id),
            };
            to_requester(connection, id, content).await
        }
        Topic::TicketReply { comment, ticket } => reply(connection, comment, ticket, links).await,
    };
    match result {
        Err(error) if error.reason() == Reason::NotFound => Ok(None),
        result => result,
    }
}

/// Adds the data that is not in Postgres.
pub(super) async fn complete(app: &App, topic: Topic, draft: Draft) -> Draft {
    let (Topic::SignIn { session: id, user }, Content::SignIn { at, link, .. }) = (topic, &draft.content) else {
        return draft;
    };
    // Without the device, the mail still contains the essential facts.
    let Ok(Some(device)) = session::device(app, user, id).await else { return draft };
    let (address, device) = (Some(device.address.clone()), known_names(&device));
    Draft { content: Content::SignIn { at: *at, link: link.clone(), address, device }, ..draft }
}

/// Returns the browser and the operating system that a client claims to be, if they are well known. No other text of
/// the client is used, because an attacker who guessed a password could otherwise inject text into the mail.
fn known_names(device: &Device) -> Option<String> {
    // The order matters, because each browser's user agent also names the browsers after it.
    const BROWSERS: [(&str, &str); 5] =
        [("Edg/", "Edge"), ("Firefox/", "Firefox"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    const SYSTEMS: [(&str, &str); 6] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| device.user_agent.contains(sign)).map(|(_, name)| *name)
    };
    let names: Vec<_> = [named(&BROWSERS), named(&SYSTEMS)].into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(", "))
}

async fn reset(
    connection: &mut Connection,
    secret: &SecretKey,
    mail: &Mail,
    user: UserId,
    links: Links<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Draft>> {
    let user = user::read(connection, Visibility::All, user).await?;
    if !user.is_active() {
        return Ok(None);
    }
    let token = token::write_reset(secret, mail.id.0);
    let hash = token::hash(token.expose_secret());
    auth::store_reset(connection, hash, user.id, now, mail.expires_at).await?;
    let content = Content::PasswordReset { link: links.reset(token.expose_secret()), until: mail.expires_at };
    Ok(Some(Draft { to: user.email.into(), language: user.language, content, notified: None }))
}

async fn registration(
    connection: &mut Connection,
    secret: &SecretKey,
    mail: &Mail,
    id: RegistrationId,
    links: Links<'_>,
) -> Result<Option<Draft>> {
    Ok(notice(connection, secret, id, mail.expires_at).await?.map(|notice| match notice {
        Notice::Token(registration, token) => {
            let link = links.register(token.expose_secret());
            let content = Content::Registration { link, until: registration.expires_at };
            Draft { to: registration.email.into(), language: registration.language, content, notified: None }
        }
        // In the user's language, because the requester may be another person.
        Notice::Known(registration, language) => {
            let content = Content::AlreadyRegistered { link: links.request_reset() };
            Draft { to: registration.email.into(), language, content, notified: None }
        }
    }))
}

async fn sign_in(connection: &mut Connection, mail: &Mail, user: UserId, links: Links<'_>) -> Result<Option<Draft>> {
    let (at, link) = (mail.created_at, links.request_reset());
    to_user(connection, user, Content::SignIn { at, address: None, device: None, link }).await
}

/// Returns the mail to the present address of a user.
async fn to_user(connection: &Connection, user: UserId, content: Content) -> Result<Option<Draft>> {
    let user = user::read(connection, Visibility::All, user).await?;
    Ok(Some(Draft { to: user.email.into(), language: user.language, content, notified: None }))
}

/// The most lapsed domains that a mail names.
const MAX_DOMAINS: i64 = 20;

/// Returns the mail about the domains of a user's accounts that are not proved at present.
async fn domain_lapsed(connection: &Connection, user: UserId) -> Result<Option<Draft>> {
    let domains = account_domain::lapsed_of_owner(connection, user, MAX_DOMAINS).await?;
    if domains.is_empty() {
        return Ok(None);
    }
    to_user(connection, user, Content::DomainLapsed { domains }).await
}

async fn email_change(
    connection: &mut Connection,
    secret: &SecretKey,
    change: EmailChangeId,
    links: Links<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Draft>> {
    Ok(email_notice(connection, secret, change, now).await?.map(|notice| match notice {
        EmailNotice::Token(change, language, token) => {
            let link = links.confirm_email(token.expose_secret());
            let content = Content::EmailChange { link, until: change.expires_at };
            Draft { to: change.new.into(), language, content, notified: None }
        }
        EmailNotice::Taken(change, language) => {
            let content = Content::EmailTaken { link: links.request_reset() };
            Draft { to: change.new.into(), language, content, notified: None }
        }
    }))
}

async fn invite(
    connection: &mut Connection,
    secret: &SecretKey,
    invitation: InvitationId,
    links: Links<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Draft>> {
    let Some(notice) = invitation_notice(connection, secret, invitation, now).await? else { return Ok(None) };
    let content = Content::Invitation {
        account: notice.account_name,
        inviter: notice.inviter_name,
        link: links.invitation(notice.token.expose_secret()),
        until: notice.invitation.expires_at,
    };
    Ok(Some(Draft { to: notice.invitation.email.into(), language: notice.language, content, notified: None }))
}

async fn deletion_scheduled(
    connection: &mut Connection,
    secret: &SecretKey,
    notice: DeletionNoticeId,
    links: Links<'_>,
) -> Result<Option<Draft>> {
    let Some(schedule) = schedule_notice(connection, secret, notice).await? else { return Ok(None) };
    let ScheduleNotice { notice, account, erase_at, token } = schedule;
    let link = links.cancel_deletion(token.expose_secret());
    let content = Content::DeletionScheduled { account, link, until: erase_at };
    Ok(Some(Draft { to: notice.email, language: notice.language, content, notified: None }))
}

async fn deletion_done(connection: &mut Connection, mail: &Mail, notice: DeletionNoticeId) -> Result<Option<Draft>> {
    let Some(completion) = completion_notice(connection, notice).await? else { return Ok(None) };
    let CompletionNotice { notice, is_of_account } = completion;
    let content = Content::DeletionDone { is_of_account, at: mail.created_at };
    Ok(Some(Draft { to: notice.email, language: notice.language, content, notified: None }))
}

async fn email_changed(
    connection: &mut Connection,
    secret: &SecretKey,
    change: EmailChangeId,
    links: Links<'_>,
    now: DateTime<Utc>,
) -> Result<Option<Draft>> {
    let Some(notice) = undo_notice(connection, secret, change, now).await? else { return Ok(None) };
    let link = links.undo_email(notice.token.expose_secret());
    let content = Content::EmailChanged { at: notice.confirmation.at, link, until: notice.until };
    Ok(Some(Draft { to: notice.confirmation.old.into(), language: notice.language, content, notified: None }))
}

async fn reply(
    connection: &mut Connection,
    comment: CommentId,
    ticket: TicketId,
    links: Links<'_>,
) -> Result<Option<Draft>> {
    let comment = read_comment(connection, ticket, comment).await?;
    let content = |ticket: Ticket| Content::TicketReply {
        title: ticket.content.subject,
        reply: comment.body,
        at: comment.created_at,
        link: links.ticket(ticket.id),
        ticket: ticket.id.to_string(),
    };
    to_requester(connection, ticket, content).await
}

/// Returns the recipient of mail about an order: the address that the order names, or the user who placed it, or
/// an owner of the account if that user has left it.
async fn to_customer(connection: &mut Connection, order: &Order, content: Content) -> Result<Option<Draft>> {
    let contact = match &order.confirmation_email {
        Some(email) => {
            // The owner of the address may be a user, whose language applies.
            let address = EmailAddress::find(email).ok();
            let user = match &address {
                Some(address) => user::by_email(connection, address).await?,
                None => None,
            };
            let language = user.map(|(user, _)| user.language).unwrap_or_default();
            Some(Contact { email: email.clone(), language })
        }
        None => user::contact_or_owner(connection, order.placed_by, order.account).await?,
    };
    Ok(contact.map(|contact| Draft::to(contact, content)))
}

/// Returns the recipient of mail about a subscription: the user who subscribed or, if that user has left the account, an owner.
async fn to_subscriber(
    connection: &mut Connection,
    id: SubscriptionId,
    content: impl FnOnce(Subscription) -> Content + Send,
) -> Result<Option<Draft>> {
    let subscription = read_subscription(connection, Visibility::All, id).await?;
    let contact = user::contact_or_owner(connection, subscription.subscribed_by, subscription.account).await?;
    Ok(contact.map(|contact| Draft::to(contact, content(subscription))))
}

/// Returns the recipient of mail about a ticket: its requester, if that is a user of the account.
async fn to_requester(
    connection: &mut Connection,
    id: TicketId,
    content: impl FnOnce(Ticket) -> Content + Send,
) -> Result<Option<Draft>> {
    let ticket = read_ticket(connection, Visibility::All, id, false).await?;
    let Some(requester) = ticket.requester else { return Ok(None) };
    let contact = user::contact(connection, requester.0, ticket.account).await?;
    let draft = |contact| Draft { notified: Some(requester), ..Draft::to(contact, content(ticket)) };
    Ok(contact.map(draft))
}
