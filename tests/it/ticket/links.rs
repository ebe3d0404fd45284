//! Links between tickets: one row, seen from both sides.

use serde_json::{Value, json};

use crate::{
    cases::Scene,
    support::{Actor, PROTOCOLS, Protocol},
    watch::{Reader, TICKETS, change_of},
};

async fn links(who: &Actor, protocol: Protocol, ticket: &str) -> Vec<Value> {
    let list = who.call(protocol, "TicketLinkService.ListTicketLinks", json!({ "ticketId": ticket })).await.success();
    assert_eq!(list.body["meta"]["total"], json!(list.data().as_array().expect("a list").len().to_string()));
    list.data().as_array().expect("a list").clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_seen_and_deleted_from_both_sides() {
    let (_app, scene) = Scene::start().await;
    for protocol in PROTOCOLS {
        for (kind, inverse) in [
            ("RELATED", "RELATED"),
            ("BLOCKS", "BLOCKED_BY"),
            ("BLOCKED_BY", "BLOCKS"),
            ("DUPLICATE_OF", "DUPLICATED_BY"),
            ("DUPLICATED_BY", "DUPLICATE_OF"),
        ] {
            let (ticket, other) = (scene.ticket().await, scene.ticket().await);
            let kind = format!("TICKET_LINK_KIND_{kind}");
            let create = json!({ "ticketId": ticket, "otherId": other, "kind": kind });
            let created = scene.cast.agent.call(protocol, "TicketLinkService.CreateTicketLink", create).await.success();
            assert_eq!(created.data()["kind"], json!(kind), "{protocol:?}");
            let seen = links(&scene.cast.colleague, protocol, &other).await;
            assert_eq!(seen.len(), 1, "{protocol:?}");
            assert_eq!(seen[0]["kind"], json!(format!("TICKET_LINK_KIND_{inverse}")), "{protocol:?}");
            assert_eq!((&seen[0]["ticketId"], &seen[0]["otherId"]), (&json!(other), &json!(ticket)));
            let delete = json!({ "ticketId": other, "linkId": created.id() });
            scene.cast.agent.call(protocol, "TicketLinkService.DeleteTicketLink", delete.clone()).await.success();
            scene.cast.agent.call(protocol, "TicketLinkService.DeleteTicketLink", delete).await.failure("NOT_FOUND");
            assert_eq!(links(&scene.cast.customer, protocol, &ticket).await, Vec::<Value>::new(), "{protocol:?}");
            let history = json!({ "ticketId": other });
            let history = scene.cast.customer.call(protocol, "ActivityService.ListActivities", history).await.success();
            let entries = history.data().as_array().expect("a list");
            let kinds: Vec<_> = entries.iter().map(|entry| (&entry["kind"], &entry["detail"])).skip(1).collect();
            let [linked, unlinked] = [json!("ACTIVITY_KIND_LINKED"), json!("ACTIVITY_KIND_UNLINKED")];
            assert_eq!(kinds, [(&linked, &json!(ticket)), (&unlinked, &json!(ticket))], "{protocol:?}");
            let resolve =
                async |id: &str| scene.cast.agent.rest("TicketService.ResolveTicket", json!({ "ticketId": id })).await;
            resolve(&ticket).await.success();
            resolve(&other).await.success();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn links_are_listed_in_order_and_go_with_their_tickets() {
    let (_app, scene) = Scene::start().await;
    let ticket = scene.ticket().await;
    let mut others = Vec::new();
    for index in 0..3 {
        let other = scene.ticket().await;
        let kind = "TICKET_LINK_KIND_RELATED";
        let (from, to) = if index == 1 { (&other, &ticket) } else { (&ticket, &other) };
        let create = json!({ "ticketId": from, "otherId": to, "kind": kind });
        scene.cast.agent.rest("TicketLinkService.CreateTicketLink", create).await.success();
        others.push(json!(other));
    }
    let of = |links: &[Value]| links.iter().map(|link| link["otherId"].clone()).collect::<Vec<_>>();
    assert_eq!(of(&links(&scene.cast.customer, Protocol::Grpc, &ticket).await), others);
    let page =
        async |request: Value| scene.cast.customer.rest("TicketLinkService.ListTicketLinks", request).await.success();
    let first = page(json!({ "ticketId": ticket, "pageSize": 2 })).await;
    let next = json!({ "ticketId": ticket, "pageSize": 2, "pageToken": first.text("/meta/nextPageToken") });
    let next = page(next).await;
    assert_eq!(of(next.data().as_array().expect("a list")), others[2..]);
    let delete = json!({ "ticketId": others[0] });
    scene.cast.admin.rest("TicketService.DeleteTicket", delete).await.success();
    assert_eq!(of(&links(&scene.cast.customer, Protocol::Rest, &ticket).await), others[1..]);
}

/// Both of the same pair, from both sides, at once: there is one link, and no deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn a_pair_is_linked_once() {
    let (_app, scene) = Scene::start().await;
    for _ in 0..4 {
        let (one, other) = (scene.ticket().await, scene.ticket().await);
        let create = async |from: &str, to: &str| {
            let request = json!({ "ticketId": from, "otherId": to, "kind": "TICKET_LINK_KIND_BLOCKS" });
            scene.cast.agent.call(Protocol::Grpc, "TicketLinkService.CreateTicketLink", request).await.reason
        };
        let (there, back) = tokio::join!(create(&one, &other), create(&other, &one));
        let mut reasons = [there, back];
        reasons.sort_unstable();
        assert_eq!(reasons, ["", "ALREADY_EXISTS"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_a_change_of_both_tickets() {
    let (_app, scene) = Scene::start().await;
    let (ticket, other) = (scene.ticket().await, scene.ticket().await);
    let mut reader = Reader::open(&scene.cast.customer, Protocol::Rest, TICKETS, "").await;
    let create = json!({ "ticketId": ticket, "otherId": other, "kind": "TICKET_LINK_KIND_RELATED" });
    scene.cast.agent.rest("TicketLinkService.CreateTicketLink", create).await.success();
    let mut changed = [change_of(&reader.item().await).0, change_of(&reader.item().await).0];
    changed.sort_unstable();
    assert_eq!(changed, [ticket, other]);
}
