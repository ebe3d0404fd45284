//! Canned answers, and a link between two tickets.

use chrono::TimeDelta;
use mainstay_kernel::{error::Result, page::Page, unit_of_work::Work};

use super::Writer;
use crate::{
    sample::model::{ANSWERS, MARK, timeline::BUSY},
    support::{
        answer::ops as answer,
        link::{model::LinkKind, ops as link},
        ticket::{
            model::{Filter, Order},
            ops as ticket,
        },
    },
};

/// Writes the canned answers, and links the two latest tickets of a busy customer.
pub(super) async fn write(writer: &Writer) -> Result<()> {
    let agent = &writer.cast.agents[0];
    let account = writer.cast.customers[BUSY[0]].account()?;
    let begin = writer.now - TimeDelta::days(60);
    let transaction = writer.app.database.transaction(async move |work: &mut Work| {
        work.act_as(agent.permit("support.v1.CannedAnswerService/CreateCannedAnswer")?, begin).await?;
        for (name, body) in ANSWERS {
            answer::create(work, format!("{name}{MARK}"), body.to_owned()).await?;
        }
        let permit = agent.permit("support.v1.TicketService/ListTickets")?;
        let filter = Filter { account: Some(account), ..Filter::default() };
        let order = Order::CreateTimeDesc;
        let (tickets, _) = ticket::list(work.connection().await?, permit, filter, order, Page::first(1), false).await?;
        if let [latest, before, ..] = tickets.as_slice() {
            work.act_as(agent.permit("support.v1.TicketLinkService/CreateTicketLink")?, latest.updated_at).await?;
            link::create(work, [latest.id, before.id], LinkKind::Related).await?;
        }
        Ok(())
    });
    transaction.await
}
