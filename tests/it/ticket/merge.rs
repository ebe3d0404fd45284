//! Merges: final, recorded on both sides, and safe when several are made at once.

use serde_json::{Value, json};

use crate::{
    cases::{Scene, file::upload, ticket::with_files},
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp},
};

async fn merge(scene: &Scene, ticket: &str, target: &str) -> Response {
    let request = json!({ "ticketId": ticket, "targetId": target });
    scene.cast.agent.call(Protocol::Grpc, "TicketService.MergeTicket", request).await
}

async fn get(scene: &Scene, id: &str) -> Value {
    let get = json!({ "ticketId": id });
    scene.cast.customer.rest("TicketService.GetTicket", get).await.success().data().clone()
}

async fn history(scene: &Scene, id: &str) -> Vec<(Value, Value)> {
    let list = json!({ "ticketId": id });
    let list = scene.cast.customer.rest("ActivityService.ListActivities", list).await.success();
    let entries = list.data().as_array().expect("a list");
    entries.iter().map(|entry| (entry["kind"].clone(), entry["detail"].clone())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_resolves_one_ticket_and_is_recorded_on_both() {
    let (_app, scene) = Scene::start().await;
    for protocol in PROTOCOLS {
        let (ticket, target) = (scene.ticket().await, scene.ticket().await);
        let comment = scene.comment(&ticket).await;
        let request = json!({ "ticketId": ticket, "targetId": target });
        for _ in 0..2 {
            // The second time, nothing changes.
            let merged = scene.cast.agent.call(protocol, "TicketService.MergeTicket", request.clone()).await.success();
            assert_eq!(merged.data()["mergedIntoId"], json!(target), "{protocol:?}");
            assert_eq!(merged.data()["status"], "TICKET_STATUS_RESOLVED", "{protocol:?}");
            assert_eq!(merged.header("etag"), Some("\"2\""), "{protocol:?}");
        }
        assert_eq!(get(&scene, &ticket).await["mergedIntoId"], json!(target), "{protocol:?}");
        let stays = get(&scene, &target).await;
        assert_eq!((&stays["version"], &stays["status"]), (&json!("1"), &json!("TICKET_STATUS_OPEN")), "{protocol:?}");
        assert!(stays.get("mergedIntoId").is_none(), "{stays}");
        let last = |entries: Vec<(Value, Value)>| entries.last().cloned().expect("an entry");
        let into = (json!("ACTIVITY_KIND_MERGED_INTO"), json!(target));
        assert_eq!(last(history(&scene, &ticket).await), into, "{protocol:?}");
        let of_target = history(&scene, &target).await;
        assert_eq!(of_target.len(), 2, "{protocol:?}: a repetition is not recorded");
        assert_eq!(last(of_target), (json!("ACTIVITY_KIND_MERGED"), json!(ticket)), "{protocol:?}");
        // Its comments stay readable.
        let read = json!({ "ticketId": ticket, "commentId": comment });
        scene.cast.customer.call(protocol, "CommentService.GetComment", read).await.success();
        let refused = json!({ "ticketId": ticket, "body": "Hello?" });
        let refused = scene.cast.customer.call(protocol, "CommentService.CreateComment", refused).await;
        refused.failure("TICKET_MERGED");
    }
}

/// Staff reads the target. A patch to the present values changes nothing, and a comment can be removed.
#[tokio::test(flavor = "multi_thread")]
async fn a_merged_ticket_takes_no_change() {
    let (_app, scene) = Scene::start().await;
    let (ticket, target) = (scene.ticket().await, scene.ticket().await);
    let comment = scene.comment(&ticket).await;
    let file = upload(&scene.cast.customer).await;
    merge(&scene, &ticket, &target).await.success();
    let before = get(&scene, &ticket).await;
    let files = with_files(json!({}), std::slice::from_ref(&file));
    for protocol in PROTOCOLS {
        let update = async |who: &Actor, patch: Value| {
            who.call(protocol, "TicketService.UpdateTicket", json!({ "ticketId": ticket, "ticket": patch })).await
        };
        for patch in [json!({ "body": "More smoke." }), json!({ "priority": "TICKET_PRIORITY_URGENT" }), files.clone()]
        {
            update(&scene.cast.customer, patch).await.failure("TICKET_MERGED");
        }
        update(&scene.cast.agent, json!({ "tags": ["fire"] })).await.failure("TICKET_MERGED");
        update(&scene.cast.customer, json!({ "subject": before["subject"] })).await.success();
        for patch in [json!({ "body": "More smoke." }), files.clone()] {
            let edit = json!({ "ticketId": ticket, "commentId": comment, "comment": patch });
            let edited = scene.cast.customer.call(protocol, "CommentService.UpdateComment", edit).await;
            edited.failure("TICKET_MERGED");
        }
    }
    assert_eq!(get(&scene, &ticket).await, before);
    let delete = json!({ "fileId": file });
    scene.cast.customer.rest("FileService.DeleteFile", delete).await.success();
    let delete = json!({ "ticketId": ticket, "commentId": comment });
    scene.cast.customer.rest("CommentService.DeleteComment", delete).await.success();
}

/// Mail about a ticket goes to its requester, if that user belongs to the account.
#[tokio::test(flavor = "multi_thread")]
async fn a_target_without_a_requester_of_the_account_takes_that_of_the_ticket() {
    let (_app, scene) = Scene::start().await;
    let cast = &scene.cast;
    let open_for = async |who: &Actor| {
        let draft = json!({ "subject": "By phone", "body": "Text", "accountId": scene.account() });
        who.rest("TicketService.CreateTicket", draft).await.success().id()
    };
    let requester = async |ticket: &str| {
        let ticket = get(&scene, ticket).await;
        (ticket["requesterId"].clone(), ticket["version"].clone())
    };
    let [customer, colleague, agent] =
        [&cast.customer, &cast.colleague, &cast.agent].map(|who| json!(who.as_user().id.to_string()));
    for opener in [&cast.agent, &cast.service] {
        let target = open_for(opener).await;
        merge(&scene, &scene.ticket().await, &target).await.success();
        assert_eq!(requester(&target).await, (customer.clone(), json!("2")));
        // The first one stays.
        merge(&scene, &open_for(&cast.colleague).await, &target).await.success();
        assert_eq!(requester(&target).await, (customer.clone(), json!("2")));
    }
    let target = open_for(&cast.colleague).await;
    merge(&scene, &scene.ticket().await, &target).await.success();
    assert_eq!(requester(&target).await, (colleague, json!("1")));
    let target = open_for(&cast.agent).await;
    merge(&scene, &open_for(&cast.admin).await, &target).await.success();
    assert_eq!(requester(&target).await, (agent, json!("1")));
}

/// A merged ticket no longer counts against the customer's limit, and its pointer outlives the target.
#[tokio::test(flavor = "multi_thread")]
async fn a_merge_frees_a_place_and_outlives_its_target() {
    let (_app, scene) = Scene::start_with(TestApp::builder().set("OPEN_TICKET_LIMIT", "2")).await;
    let (ticket, target) = scene.merged_ticket().await;
    scene.ticket().await;
    let delete = json!({ "ticketId": target });
    scene.cast.admin.rest("TicketService.DeleteTicket", delete).await.success();
    assert_eq!(get(&scene, &ticket).await["mergedIntoId"], json!(target));
    let reopen = json!({ "ticketId": ticket });
    scene.cast.admin.rest("TicketService.ReopenTicket", reopen).await.failure("TICKET_MERGED");
}

/// Pairs in opposite directions, each over connections of its own: one of each pair succeeds, and none waits forever.
#[tokio::test(flavor = "multi_thread")]
async fn opposite_merges_at_once_form_no_circle() {
    let (_app, scene) = Scene::start().await;
    for _ in 0..4 {
        let (one, other) = (scene.ticket().await, scene.ticket().await);
        let (there, back) = tokio::join!(merge(&scene, &one, &other), merge(&scene, &other, &one));
        let mut reasons = [there.reason, back.reason];
        reasons.sort_unstable();
        assert_eq!(reasons, ["", "TICKET_MERGED"]);
    }
}

/// Each of three into the next: at least one is refused, and no ticket leads back to itself.
#[tokio::test(flavor = "multi_thread")]
async fn three_merges_at_once_form_no_circle() {
    let (app, scene) = Scene::start().await;
    for _ in 0..3 {
        let [a, b, c] = [scene.ticket().await, scene.ticket().await, scene.ticket().await];
        let answers = tokio::join!(merge(&scene, &a, &b), merge(&scene, &b, &c), merge(&scene, &c, &a));
        for answer in [answers.0, answers.1, answers.2] {
            assert!(answer.reason.is_empty() || answer.reason == "TICKET_MERGED", "{answer:?}");
        }
        let circles = "WITH RECURSIVE chain (first, next) AS (
                SELECT id, merged_into_id FROM tickets WHERE merged_into_id IS NOT NULL
                UNION SELECT first, merged_into_id FROM chain JOIN tickets ON id = next WHERE merged_into_id IS NOT NULL)
            SELECT count(*) FROM chain WHERE first = next";
        assert_eq!(app.database.number(circles).await, 0);
        app.database.sql("UPDATE tickets SET status = 3, resolved_at = now() WHERE resolved_at IS NULL").await;
    }
}

/// A second connection holds the ticket with the higher id, so that both transactions want both locks: with one order of
/// locks, neither is the victim of a deadlock.
#[tokio::test(flavor = "multi_thread")]
async fn merges_lock_in_one_order() {
    let (app, scene) = Scene::start().await;
    let (low, high) = (scene.ticket().await, scene.ticket().await);
    assert!(low < high, "ids are ordered by time");
    let holder = crate::support::database::connect(&app.database.url).await;
    holder.batch_execute(&format!("BEGIN; SELECT FROM tickets WHERE id = '{high}' FOR UPDATE")).await.expect("a lock");
    let both = async { tokio::join!(merge(&scene, &low, &high), merge(&scene, &high, &low)) };
    let release = async {
        let waiting =
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        crate::support::eventually("both wait", async || app.database.number(waiting).await == 2).await;
        holder.batch_execute("COMMIT").await.expect("released");
    };
    let ((there, back), ()) = tokio::join!(both, release);
    let mut reasons = [there.reason, back.reason];
    reasons.sort_unstable();
    assert_eq!(reasons, ["", "TICKET_MERGED"]);
}
