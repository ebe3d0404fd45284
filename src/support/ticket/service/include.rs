//! Tickets with included resources.

use mainstay_kernel::{
    app::App,
    contract::{Method, proto::common::v1::PageMeta},
    grpc::{Call, page::Pager},
    page::Key,
};
use prost::Message;

use crate::{
    proto::support::v1 as pb,
    support::{
        comment::{
            model::{Activity, Comment},
            service::{activity, comment},
        },
        ticket::{
            model::Ticket,
            ops::{IncludedResources, Includes},
            service::convert,
        },
    },
};

/// Reads the inclusions of a request, with at most `limit` comments and activities per ticket.
pub(super) fn includes<M>(call: &Call<M>, limit: i64) -> Includes {
    Includes {
        comments: call.includes("comments"),
        activities: call.includes("activities"),
        requester: call.includes("requester"),
        limit,
    }
}

/// Renders tickets with their included resources.
pub(super) fn tickets(
    app: &App,
    method: &Method,
    includes: Includes,
    tickets: Vec<Ticket>,
    mut included: IncludedResources,
) -> Vec<pb::Ticket> {
    let one = |ticket: Ticket| {
        let (id, requester) = (ticket.id, ticket.requester);
        let message = convert::ticket(ticket);
        if includes.is_empty() {
            return message;
        }
        let ticket_id = id.to_string();
        let comments = includes.comments.then(|| {
            let request = pb::ListCommentsRequest { ticket_id: ticket_id.clone(), ..Default::default() };
            let rows = included.comments.remove(&id).unwrap_or_default();
            let (rows, meta) = page(app, method, "ListComments", &request, includes.limit, rows, Comment::key);
            pb::TicketComments { data: rows.into_iter().map(comment).collect(), meta }
        });
        let activities = includes.activities.then(|| {
            let request = pb::ListActivitiesRequest { ticket_id: ticket_id.clone(), ..Default::default() };
            let rows = included.activities.remove(&id).unwrap_or_default();
            let (rows, meta) = page(app, method, "ListActivities", &request, includes.limit, rows, Activity::key);
            pb::TicketActivities { data: rows.into_iter().map(activity).collect(), meta }
        });
        let requester = requester.and_then(|id| {
            let name = included.requesters.get(&id)?.clone();
            Some(pb::TicketRequester { id: id.to_string(), name })
        });
        pb::Ticket { included: Some(pb::TicketIncluded { comments, activities, requester }), ..message }
    };
    tickets.into_iter().map(one).collect()
}

/// Describes the first page of another list of the module. That list's method returns the next pages.
fn page<T, R: Message>(
    app: &App,
    method: &Method,
    list: &str,
    request: &R,
    size: i64,
    mut rows: Vec<T>,
    key: impl Fn(&T) -> Key,
) -> (Vec<T>, Option<PageMeta>) {
    let package = method.descriptor.parent_file().package_name().to_owned();
    let services = method.descriptor.parent_pool().services().collect::<Vec<_>>();
    let services = services.iter().filter(|service| service.package_name() == package);
    let method = services.flat_map(|service| service.methods()).find(|method| method.name() == list);
    let meta = method.map(|method| Pager::first(&method, request, size).meta(&app.page_tokens, &mut rows, None, key));
    (rows, meta)
}
