//! Support: tickets, comments, links between tickets, canned answers, and imports and exports of tickets.

pub mod answer;
pub mod comment;
pub mod config;
pub mod events;
mod examples;
mod formula;
pub mod id;
pub mod import;
mod jobs;
pub mod link;
mod mails;
#[cfg(test)]
mod tests;
pub mod ticket;

use std::time::Duration;

use crate::{mail::ops::SendsMail as _, operations::ops::CarriesOut as _};
use mainstay_kernel::{
    config::Retention,
    module::{Module, Process, Purpose},
    partitions::PartitionedTable,
    personal::{ANONYMOUS, Personal},
    schedule::MINUTE,
};

use self::{
    answer::service::CannedAnswers,
    comment::service::Comments,
    config::{ACTIVITIES, SupportConfig},
    import::{command::Import, job::ImportTickets},
    link::service::TicketLinks,
    ticket::{
        job::{ChangeTickets, DeleteTickets, UndoBulkChange},
        service::Tickets,
    },
};
use crate::proto::{
    DESCRIPTOR_SET,
    support::v1::{
        activity_service_server::ActivityServiceServer, canned_answer_service_server::CannedAnswerServiceServer,
        comment_service_server::CommentServiceServer, ticket_link_service_server::TicketLinkServiceServer,
        ticket_service_server::TicketServiceServer,
    },
};

/// The tables with data about people and accounts. A ticket belongs to an account, whose colleagues continue it.
const PERSONAL: [Personal; 13] = [
    Personal::of_account("comments", "ticket_id")
        .matching("ticket_id IN (SELECT id FROM tickets WHERE account_id = $1)")
        .exported_if("NOT is_internal")
        .kept("They are removed with their tickets."),
    Personal::of_account("changed_tickets", "ticket_id")
        .matching("ticket_id IN (SELECT id FROM tickets WHERE account_id = $1)")
        .anonymized("queue = '', tags = '{}'", "queue <> '' OR tags <> '{}'")
        .not_exported(),
    Personal::of_account("tickets", "account_id")
        .erased_by(|connection, account, now| Box::pin(ticket::ops::erase_some(connection, account, now))),
    Personal::of_account("ticket_counts", "account_id").erased().not_exported(),
    Personal::of_account("imported_rows", "account_id").erased().not_exported(),
    Personal::of_user("tickets", "requester_id").kept(ANONYMOUS),
    Personal::of_user("tickets", "assignee_id")
        .anonymized(
            "assignee_id = NULL, status = CASE status WHEN 2 THEN 1 ELSE status END, version = version + 1",
            "assignee_id IS NOT NULL AND status <> 3",
        )
        .not_exported(),
    Personal::of_user("ticket_counts", "assignee_id").kept("It counts the tickets of the user.").not_exported(),
    Personal::of_user("changed_tickets", "assignee_id")
        .kept("A bulk change can be undone for 24 hours.")
        .not_exported(),
    Personal::of_user("comments", "author_id").exported_if("NOT is_internal").kept(ANONYMOUS),
    Personal::of_user("activities", "actor_id").kept(ANONYMOUS),
    Personal::of_user("ticket_links", "author_id").kept(ANONYMOUS).not_exported(),
    Personal::of_user("canned_answers", "author_id").kept(ANONYMOUS).not_exported(),
];

const RETENTIONS: [Retention; 6] = [
    ACTIVITIES,
    Retention::without_age(&["tickets", "comments", "ticket_links"], "until the ticket is deleted"),
    Retention::without_age(&["canned_answers"], "until the answer is deleted"),
    Retention::without_age(&["changed_tickets"], "24 hours after the end of the bulk change"),
    Retention::without_age(&["upload_chunks"], "until the import ends"),
    Retention::without_age(
        &["ticket_counts", "imported_rows"],
        "until the erasure of the account: a row of a file is imported once",
    ),
];

pub(crate) fn module() -> Module {
    Module::new("support", DESCRIPTOR_SET)
        .personal(PERSONAL)
        .retention(RETENTIONS)
        .needs(&["identity", "operations", "files"])
        .config::<SupportConfig>()
        .service(|app| TicketServiceServer::new(Tickets { app: app.clone() }))
        .service(|app| CommentServiceServer::new(Comments { app: app.clone() }))
        .service(|app| ActivityServiceServer::new(Comments { app: app.clone() }))
        .service(|app| TicketLinkServiceServer::new(TicketLinks { app: app.clone() }))
        .service(|app| CannedAnswerServiceServer::new(CannedAnswers { app: app.clone() }))
        .start(|process| {
            suggest_commands(process);
            Box::pin(async { Ok(()) })
        })
        .operation::<ImportTickets>()
        .operation::<ChangeTickets>()
        .operation::<DeleteTickets>()
        .operation::<UndoBulkChange>()
        .command::<Import>()
        .every(
            Duration::from_secs(5),
            "fold_ticket_counts",
            "Merges the ticket counters of individual writers",
            jobs::fold_ticket_counts,
        )
        .partitioned(PartitionedTable::by_month("activities").retention(|config| ACTIVITIES.kept(config)))
        .every(MINUTE, "forget_uploads", "Removes the files of imports that have ended", jobs::forget_uploads)
        .every(
            MINUTE,
            "forget_changed_tickets",
            "Removes the tickets of bulk changes that can't be undone any more",
            jobs::forget_changed_tickets,
        )
        .every(MINUTE, "return_tickets", "Unassigns the tickets of people who left the staff", jobs::return_tickets)
        .mail::<mails::TicketReceived>()
        .mail::<mails::TicketReply>()
        .examples(examples::by_name)
}

/// Suggests to list the tickets, over REST and over gRPC.
fn suggest_commands(process: &mut Process) {
    let Purpose::Server { url, .. } = process.purpose.clone() else { return };
    let prior = if url.starts_with("https") { "" } else { "--http2-prior-knowledge " };
    process.suggest(format!("curl -s {url}/api/v1/tickets -H \"Authorization: Bearer $TOKEN\""));
    process.suggest(format!(
        "buf curl --protocol grpc {prior}-H \"Authorization: Bearer $TOKEN\" \\\n  \
         {url}/mainstay.support.v1.TicketService/ListTickets -d '{{}}'"
    ));
}
