//! Support: tickets, comments, and imports and exports of tickets.

pub mod comment;
pub mod config;
pub mod events;
mod examples;
pub mod id;
pub mod import;
mod jobs;
pub mod seed;
pub mod ticket;

use std::{sync::Arc, time::Duration};

use mainstay_kernel::{module::Module, queue::Lane, schedule::MINUTE};
use tokio::sync::Semaphore;

use self::{comment::service::Comments, config::SupportConfig, import::job::ImportTickets, ticket::service::Tickets};
use crate::proto::{
    DESCRIPTOR_SET,
    support::v1::{
        activity_service_server::ActivityServiceServer, comment_service_server::CommentServiceServer,
        ticket_service_server::TicketServiceServer,
    },
};

/// The slots of imports, whose duration depends on the size of the file.
pub(crate) const IMPORTS: Lane = Lane::new("imports", |config| config.section::<SupportConfig>().imports);

/// Slots for file uploads; each upload may use as much memory as the largest file.
pub(crate) struct Uploads(pub(crate) Arc<Semaphore>);

pub(crate) fn module() -> Module {
    Module::new("support", DESCRIPTOR_SET)
        .config::<SupportConfig>()
        .part(|app| Ok(Uploads(Arc::new(Semaphore::new(app.config.section::<SupportConfig>().max_uploads)))))
        .service(|app| TicketServiceServer::new(Tickets { app: app.clone() }))
        .service(|app| CommentServiceServer::new(Comments { app: app.clone() }))
        .service(|app| ActivityServiceServer::new(Comments { app: app.clone() }))
        .queue::<ImportTickets>()
        .every(
            Duration::from_secs(5),
            "fold_ticket_counts",
            "Merges the ticket counters of individual writers",
            jobs::fold_ticket_counts,
        )
        .every(MINUTE, "end_operations", "Ends operations that have no job", jobs::end_operations)
        .examples(examples::by_name)
}
