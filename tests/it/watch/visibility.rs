//! Visibility of changes, the same as of GetTicket and ListTickets.

use serde_json::json;

use super::{Reader, TICKETS, change_of};
use crate::{
    cases::ticket,
    support::{PROTOCOLS, TestApp},
};

/// Returns the next two changes of a reader, in the order of their ids.
async fn two(reader: &mut Reader) -> [(String, Option<String>); 2] {
    let mut two = [change_of(&reader.item().await), change_of(&reader.item().await)];
    two.sort_unstable();
    two
}

/// Each customer sees the visible tickets and no trace of others: the first reported change after foreign ones is the
/// customer's own.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_sees_the_tickets_of_its_own_account() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let mut colleague = Reader::open(&cast.colleague, protocol, TICKETS, "").await;
        let mut stranger = Reader::open(&cast.stranger, protocol, TICKETS, "").await;
        let mut agent = Reader::open(&cast.agent, protocol, TICKETS, "").await;
        let mut service = Reader::open(&cast.service, protocol, TICKETS, "").await;
        let (foreign, own) = (ticket(&cast.stranger).await, ticket(&cast.customer).await);
        for version in [Some("1"), None] {
            let change = |id: &String| (id.clone(), version.map(str::to_owned));
            assert_eq!(change_of(&colleague.item().await), change(&own), "{protocol:?}");
            assert_eq!(change_of(&stranger.item().await), change(&foreign), "{protocol:?}");
            let mut both = [change(&own), change(&foreign)];
            both.sort_unstable();
            assert_eq!(two(&mut agent).await, both, "{protocol:?}");
            assert_eq!(two(&mut service).await, both, "{protocol:?}");
            if version.is_some() {
                for id in [&foreign, &own] {
                    let delete = json!({ "ticketId": id });
                    cast.admin.call(protocol, "TicketService.DeleteTicket", delete).await.success();
                }
            }
        }
    }
}
