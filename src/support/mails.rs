//! Mail about tickets.

use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Serialize;

use super::{
    comment::ops::read_for_customer as read_comment,
    events::TicketCreated,
    id::{CommentId, TicketId},
    ticket::ops::read as read_ticket,
};
use crate::mail::ops::{Compose, Draft, Links, Locale, MailKind, Template, one_line, template};
use mainstay_kernel::{caller::Visibility, error::Result, events::EventKind as _};

/// The maximum length of a reply that a mail quotes, in characters.
const MAX_REPLY_CHARS: usize = 5_000;
const SAMPLE_TITLE: &str = "The printer is on fire";

/// A customer created a ticket. The recipient is the requester, if that is a user of the account.
pub(crate) struct TicketReceived {
    title: String,
    at: DateTime<Utc>,
    ticket: String,
    link: Option<String>,
}

impl MailKind for TicketReceived {
    const NAME: &'static str = "ticket_received";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "ticket_received", ["de", "en"])];
    const IS_NOTIFICATION: bool = true;
    const EVENT: Option<&'static str> = Some(TicketCreated::NAME);

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let ticket = read_ticket(connection, Visibility::All, TicketId(mail.topic.id), false).await?;
        let Some(requester) = ticket.requester else { return Ok(None) };
        let content = Self {
            title: ticket.content.subject,
            at: ticket.created_at,
            ticket: ticket.id.to_string(),
            link: links.app("tickets", ticket.id),
        };
        Draft::to_member(connection, requester, ticket.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let (ticket, link) = (Links::SAMPLE_ID.to_string(), links.app("tickets", Links::SAMPLE_ID));
        vec![Self { title: SAMPLE_TITLE.to_owned(), at: now, ticket, link }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let Self { title, at, ticket, link } = self;
        context! { title => one_line(title), at => locale.time(*at), ticket, link }
    }
}

/// Staff answered a ticket. The cause is the comment, and the parent the ticket.
pub(crate) struct TicketReply {
    title: String,
    reply: String,
    at: DateTime<Utc>,
    ticket: String,
    link: Option<String>,
}

impl MailKind for TicketReply {
    const NAME: &'static str = "ticket_reply";
    const TEMPLATES: &'static [Template] = &[template!("../mail/templates", "ticket_reply", ["de", "en"])];
    const IS_NOTIFICATION: bool = true;

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let id = TicketId(mail.topic.parent()?);
        let comment = read_comment(connection, id, CommentId(mail.topic.id)).await?;
        let ticket = read_ticket(connection, Visibility::All, id, false).await?;
        let Some(requester) = ticket.requester else { return Ok(None) };
        let content = Self {
            title: ticket.content.subject,
            reply: comment.body,
            at: comment.created_at,
            ticket: id.to_string(),
            link: links.app("tickets", id),
        };
        Draft::to_member(connection, requester, ticket.account, content).await
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        vec![Self {
            title: SAMPLE_TITLE.to_owned(),
            reply: "Please leave the room, and close the door.\n\nThen call us: <b>we</b> are on our way.".to_owned(),
            at: now,
            ticket: Links::SAMPLE_ID.to_string(),
            link: links.app("tickets", Links::SAMPLE_ID),
        }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        context! {
            title => one_line(&self.title), at => locale.time(self.at), ticket => self.ticket, link => self.link,
            reply => self.reply.chars().take(MAX_REPLY_CHARS).collect::<String>(),
        }
    }
}
