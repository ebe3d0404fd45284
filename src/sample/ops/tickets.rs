//! Tickets with their comments, and an import of tickets.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    error::Result,
    unit_of_work::Work,
    upload::{Spool, Upload},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Writer, cast::Actor};
use crate::{
    operations::ops::{self as operation, RunOperation},
    sample::model::{
        IMPORT, NOTE,
        texts::Conversation,
        timeline::{BUSY, Story, index, minutes, pick},
    },
    support::{
        comment::{model::Draft as CommentDraft, ops as comment},
        id::TicketId,
        import::{
            job::ImportTickets,
            model::{Format, ReadOptions},
            ops as import,
        },
        ticket::{
            model::{Content, Draft},
            ops::{self as ticket, Target},
        },
    },
};

/// The maximum number of open tickets of one customer: the default of `OPEN_TICKET_LIMIT`.
const OPEN_LIMIT: i64 = 10;

/// The outcome of some tickets; all others are resolved.
const STAYS_OPEN: u64 = 0;
const STAYS_IN_PROGRESS: u64 = 1;
/// One ticket in so many has a rare outcome.
const RARITY: u64 = 14;
/// One ticket in so many has an internal note.
const NOTED: u64 = 6;

/// A ticket that is being written, in one transaction.
struct Scene<'a> {
    requester: &'a Actor,
    agent: &'a Actor,
    conversation: &'a Conversation,
    seed: u64,
    now: DateTime<Utc>,
}

/// Writes a ticket and its consequences until now; returns the ids of the ticket and of its comments.
pub(super) async fn write(writer: &Writer, story: Story) -> Result<Vec<Uuid>> {
    let (requester, seed) = (&writer.cast.customers[story.customer], story.number);
    let conversations = writer.texts.conversations(requester.language.as_str());
    let conversation = &conversations[usize::try_from(seed).unwrap_or(0) % conversations.len()];
    let agent = &writer.cast.agents[index(seed + 5, writer.cast.agents.len())];
    let scene = Scene { requester, agent, conversation, seed, now: writer.now };
    let transaction = writer.app.database.transaction(async move |work: &mut Work| scene.play(work, story.at).await);
    transaction.await
}

impl Scene<'_> {
    async fn play(&self, work: &mut Work, at: DateTime<Utc>) -> Result<Vec<Uuid>> {
        work.act_as(self.requester.permit("support.v1.TicketService/CreateTicket")?, at).await?;
        let ticket = ticket::create(work, self.draft(), OPEN_LIMIT).await?;
        let (fate, mut ids) = (pick(self.seed + 11, RARITY), vec![ticket.id.0]);
        let mut at = at + minutes(self.seed + 1, 6, 150);
        if at >= self.now || fate == STAYS_OPEN {
            return Ok(ids);
        }
        let target = || Target { id: ticket.id, expected: None };
        work.act_as(self.agent.permit("support.v1.TicketService/AssignTicket")?, at).await?;
        ticket::assign(work, target(), Some(self.agent.user.id)).await?;
        if self.seed.is_multiple_of(NOTED) {
            work.act_as(self.agent.permit("support.v1.CommentService/CreateComment")?, at).await?;
            ids.push(write_comment(work, ticket.id, NOTE, true).await?);
        }
        for (turn, body) in (0..).zip(&self.conversation.comments) {
            at += minutes(self.seed * 5 + turn, 9, 240);
            if at >= self.now {
                return Ok(ids);
            }
            let author = if turn % 2 == 0 { self.agent } else { self.requester };
            work.act_as(author.permit("support.v1.CommentService/CreateComment")?, at).await?;
            ids.push(write_comment(work, ticket.id, body, false).await?);
        }
        at += minutes(self.seed + 3, 15, 600);
        if at < self.now && fate != STAYS_IN_PROGRESS {
            work.act_as(self.agent.permit("support.v1.TicketService/ResolveTicket")?, at).await?;
            ticket::resolve(work, target()).await?;
        }
        Ok(ids)
    }

    fn draft(&self) -> Draft {
        let Conversation { subject, body, kind, priority, queue, tags, .. } = self.conversation.clone();
        let language = self.requester.language.clone();
        let content = Content { subject, body, kind, priority, queue, language, tags, attachments: Vec::new() };
        Draft { account: None, content }
    }
}

/// Writes a comment by the caller that the work acts for; returns its id.
async fn write_comment(work: &mut Work, ticket: TicketId, body: &str, is_internal: bool) -> Result<Uuid> {
    let draft = CommentDraft { body: body.to_owned(), attachments: Vec::new(), is_internal };
    Ok(comment::create(work, ticket, draft).await?.id.0)
}

/// Imports a file of tickets, some days ago.
pub(super) async fn import(writer: &Writer) -> Result<()> {
    let app = writer.at(writer.now - TimeDelta::days(5))?;
    let agent = &writer.cast.agents[0];
    let mut file = Upload::begin(app.part::<Spool>(), agent.user.id.0, IMPORT.len()).await?;
    file.push(IMPORT.as_bytes()).await?;
    let permit = agent.permit("support.v1.TicketService/ImportTickets")?;
    let (role, account, now) =
        (permit.caller().role() as i16, writer.cast.customers[BUSY[0]].account()?, app.clock.now());
    let begin = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, now).await?;
        import::begin(work, account, (Format::Csv, ReadOptions::default()), file).await
    });
    let operation: Result<_> = begin.await;
    let operation = operation?.id;
    let job = RunOperation { operation, request: ImportTickets { role, options: ReadOptions::default() } };
    operation::run(&app, &job, &CancellationToken::new()).await.map(drop)
}
