//! A file that a customer attaches to a comment.

use chrono::TimeDelta;
use mainstay_kernel::{
    error::Result,
    page::Page,
    unit_of_work::Work,
    upload::{Spool, Upload},
};

use super::Writer;
use crate::{
    files::{
        file::{
            model::{Draft as FileDraft, Purpose},
            ops::{self as file, Limits},
        },
        id::FileId,
    },
    sample::model::{ATTACHMENT, timeline::BUSY},
    support::{
        comment::{model::Draft as CommentDraft, ops as comment},
        ticket::{
            model::{Filter, Order},
            ops as ticket,
        },
    },
};

const TEXT: &str = "text/plain";

/// Adds a comment with the file to the latest ticket of a busy customer. Comments of customers cause no mail.
pub(super) async fn write(writer: &Writer) -> Result<()> {
    let (app, customer) = (&writer.app, &writer.cast.customers[BUSY[0]]);
    let (name, text, body) = ATTACHMENT;
    let mut upload = Upload::begin(app.part::<Spool>(), customer.user.id.0, text.len()).await?;
    upload.push(text.as_bytes()).await?;
    let id = FileId::generate(app.clock.now());
    let content = file::store_upload(app, id, &mut upload, TEXT, Purpose::Attachment).await?;
    let draft = FileDraft {
        account: None,
        name: name.to_owned(),
        content_type: TEXT.to_owned(),
        size_bytes: i64::try_from(text.len()).unwrap_or(i64::MAX),
        sha256: None,
        purpose: Purpose::Attachment,
    };
    // After all that the latest ticket has.
    let (at, limits, account) = (writer.now - TimeDelta::minutes(1), Limits::new(app), customer.account()?);
    let [uploads, lists, comments] = [
        customer.permit("files.v1.FileService/UploadFile")?,
        customer.permit("support.v1.TicketService/ListTickets")?,
        customer.permit("support.v1.CommentService/CreateComment")?,
    ];
    let attach = app.database.transaction(async move |work: &mut Work| {
        work.act_as(uploads, at).await?;
        file::create(work, id, draft, content, limits).await?;
        let filter = Filter { account: Some(account), ..Filter::default() };
        let order = Order::CreateTimeDesc;
        let (tickets, _) = ticket::list(work.connection().await?, lists, filter, order, Page::first(1), false).await?;
        if let Some(latest) = tickets.first() {
            work.act_as(comments, at).await?;
            let draft = CommentDraft { body: body.to_owned(), attachments: vec![id], is_internal: false };
            comment::create(work, latest.id, draft).await?;
        }
        Ok(())
    });
    attach.await
}
