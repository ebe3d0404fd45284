//! Tickets with their related resources, in one request.

use serde_json::{Value, json};

use crate::{
    cases::{Scene, draft},
    support::{PROTOCOLS, Protocol},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_includes_what_was_asked_for_and_nothing_else() {
    let (_app, scene) = Scene::start().await;
    let (ticket, customer) = (scene.ticket().await, &scene.cast.customer);
    let comment = scene.comment(&ticket).await;
    for protocol in PROTOCOLS {
        let get = async |more: Value| {
            let mut request = json!({ "ticketId": ticket });
            request.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
            customer.call(protocol, "TicketService.GetTicket", request).await.success()
        };
        let all = get(json!({ "include": "comments,activities,requester" })).await;
        let included = &all.data()["included"];
        let listed = json!({ "ticketId": ticket });
        let listed = customer.call(protocol, "CommentService.ListComments", listed).await.success();
        assert_eq!(included["comments"]["data"], *listed.data(), "{protocol:?}");
        let kinds: Vec<_> =
            included["activities"]["data"].as_array().expect("some").iter().map(|a| &a["kind"]).collect();
        assert_eq!(kinds, ["ACTIVITY_KIND_CREATED", "ACTIVITY_KIND_COMMENTED"], "{protocol:?}");
        assert_eq!(included["requester"], json!({ "id": customer.as_user().id.to_string(), "name": "Somebody" }));
        assert_eq!((all.header("etag"), all.header("last-modified")), (None, None), "{protocol:?}");
        let some = get(json!({ "include": "comments", "readMask": "id" })).await;
        assert_eq!(some.data()["id"], json!(ticket));
        assert_eq!(some.data()["included"]["comments"]["data"][0]["id"], json!(comment), "{protocol:?}");
        assert!(some.data()["included"].get("activities").is_none() && some.data().get("subject").is_none());
        assert_eq!(get(json!({ "include": "*" })).await.data(), all.data(), "{protocol:?}");
        let plain = get(json!({})).await;
        assert!(plain.data().get("included").is_none() && plain.header("etag").is_some(), "{protocol:?}");
    }
    let request = json!({ "ticketId": ticket, "include": "comments" });
    scene.cast.stranger.rest("TicketService.GetTicket", request).await.failure("NOT_FOUND");
}

#[tokio::test]
async fn more_than_is_included_is_on_the_next_page_of_its_own_list() {
    let (_app, scene) = Scene::start().await;
    let (ticket, customer) = (scene.ticket().await, &scene.cast.customer);
    let mut comments = Vec::new();
    for _ in 0..7 {
        comments.push(scene.comment(&ticket).await);
    }
    let other = customer.rest("TicketService.CreateTicket", draft()).await.success().id();
    let list = customer.rest("TicketService.ListTickets", json!({ "include": "comments" })).await.success();
    let ids = |page: &Value| -> Vec<Value> {
        page.as_array().expect("a list").iter().map(|item| item["id"].clone()).collect()
    };
    assert_eq!(ids(list.data()), [json!(other), json!(ticket)]);
    let large = json!({ "include": "comments", "pageSize": 100 });
    let large = customer.call(Protocol::Grpc, "TicketService.ListTickets", large).await.success();
    assert_eq!(large.body["meta"]["pageSize"], json!(20), "a page with comments is smaller");
    assert_eq!(list.data()[0]["included"]["comments"]["data"], json!([]));
    let first = &list.data()[1]["included"]["comments"];
    assert_eq!(ids(&first["data"]), comments[..5]);
    let next = json!({ "ticketId": ticket, "pageToken": first["meta"]["nextPageToken"] });
    let next = customer.rest("CommentService.ListComments", next).await.success();
    assert_eq!(ids(next.data()), comments[5..]);
}
