//! The stream of ticket changes.

use mainstay_kernel::grpc::watch::{self, Event, Topic};

use crate::{
    proto::support::v1::WatchTicketsResponse,
    support::ticket::{model::Ticket, ops, service::convert},
};

pub(crate) type Messages = watch::Messages<WatchTicketsResponse>;

pub(super) static TICKETS: Topic<Ticket> =
    Topic { name: ops::TOPIC, load: ops::load_changed, version: |ticket| (ticket.id.0, ticket.version) };

pub(super) fn message(event: Event<Ticket>, resume_token: String) -> WatchTicketsResponse {
    let (data, deleted_id) = match event {
        Event::Changed(ticket) => (Some(convert::ticket(ticket)), None),
        Event::Deleted(id) => (None, Some(id.to_string())),
        Event::Position => (None, None),
    };
    WatchTicketsResponse { data, deleted_id, resume_token }
}
