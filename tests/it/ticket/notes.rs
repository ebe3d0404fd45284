//! Internal notes: customers see no trace of them, on any path.

use mainstay_kernel::contract::policy::Role;
use serde_json::{Value, json};

use crate::{
    cases::{
        Scene,
        file::{small, upload},
        ticket::with_files,
    },
    support::{Actor, PROTOCOLS, Protocol, TestApp, actor::User, people::users, receiver::Receiver},
    watch::{Reader, TICKETS, change_of},
    webhook::create_endpoint,
};

/// A word of the note and of nothing else.
const SECRET: &str = "quicksilver";

/// The name of a path, the method, and the request about a ticket.
type Path = (&'static str, &'static str, fn(&str) -> Value);

/// What a customer can ask about a ticket.
const PATHS: [Path; 13] = [
    ("the ticket", "TicketService.GetTicket", |id| json!({ "ticketId": id })),
    (
        "what it includes",
        "TicketService.GetTicket",
        |id| json!({ "ticketId": id, "include": "comments,activities,requester" }),
    ),
    ("a batch", "TicketService.BatchGetTickets", |id| json!({ "ids": [id] })),
    ("the list", "TicketService.ListTickets", |_| json!({})),
    (
        "the list by time of update",
        "TicketService.ListTickets",
        |_| json!({ "order": "TICKET_ORDER_UPDATE_TIME_DESC" }),
    ),
    ("what the list includes", "TicketService.ListTickets", |_| json!({ "include": "comments,activities" })),
    ("the search", "TicketService.ListTickets", |_| json!({ "query": SECRET })),
    ("the comments and their total", "CommentService.ListComments", |id| json!({ "ticketId": id })),
    ("a page of comments", "CommentService.ListComments", |id| json!({ "ticketId": id, "pageSize": 2 })),
    ("the history and its total", "ActivityService.ListActivities", |id| json!({ "ticketId": id })),
    ("the export", "TicketService.ExportTickets", |_| json!({})),
    ("the export as CSV", "TicketService.ExportTicketsCsv", |_| json!({})),
    ("the files", "FileService.ListFiles", |_| json!({})),
];

/// The answers to all of these, with the headers that depend on the content; page tokens are sealed anew each time.
async fn look(who: &Actor, ticket: &str) -> Vec<(String, Value)> {
    let mut answers = Vec::new();
    for protocol in PROTOCOLS {
        for (name, method, request) in PATHS {
            let answer = who.call(protocol, method, request(ticket)).await.success();
            let headers = ["etag", "last-modified", "content-length"].map(|header| answer.header(header));
            answers.push((format!("{name} over {protocol:?}"), json!([without_tokens(answer.body.clone()), headers])));
        }
    }
    answers
}

fn without_tokens(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| name != "nextPageToken");
            Value::Object(fields.map(|(name, value)| (name, without_tokens(value))).collect())
        }
        Value::Array(items) => items.into_iter().map(without_tokens).collect(),
        other => other,
    }
}

async fn note(scene: &Scene, ticket: &str, files: &[String]) -> String {
    let request = json!({ "ticketId": ticket, "body": format!("Strictly {SECRET}."), "internal": true });
    let request = with_files(request, files);
    let answer = scene.cast.agent.rest("CommentService.CreateComment", request).await.success();
    assert_eq!(answer.data()["internal"], json!(true));
    answer.id()
}

async fn edit(scene: &Scene, ticket: &str, note: &str) {
    let edit = json!({ "ticketId": ticket, "commentId": note, "comment": { "body": format!("More {SECRET}.") } });
    let edited = scene.cast.agent.call(Protocol::Grpc, "CommentService.UpdateComment", edit).await.success();
    assert_eq!(edited.data()["internal"], json!(true), "it stays internal");
}

async fn delete(scene: &Scene, ticket: &str, note: &str) {
    let delete = json!({ "ticketId": ticket, "commentId": note });
    scene.cast.agent.rest("CommentService.DeleteComment", delete).await.success();
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_to_a_customer_is_the_same_with_and_without_a_note() {
    let (_app, scene) = Scene::start().await;
    let (ticket, customer) = (scene.ticket().await, &scene.cast.customer);
    scene.comment(&ticket).await;
    let second = json!({ "ticketId": ticket, "body": "We are looking into it." });
    scene.cast.agent.rest("CommentService.CreateComment", second).await.success();
    let before = look(customer, &ticket).await;
    let file = upload(&scene.cast.agent).await;
    let id = note(&scene, &ticket, std::slice::from_ref(&file)).await;
    let same = async |step: &str| {
        for (before, after) in before.iter().zip(look(customer, &ticket).await) {
            assert_eq!(before, &after, "{step}");
        }
    };
    same("added").await;
    edit(&scene, &ticket, &id).await;
    same("edited").await;
    for protocol in PROTOCOLS {
        let one = json!({ "ticketId": ticket, "commentId": id });
        for who in [customer, &scene.cast.colleague, &scene.cast.stranger] {
            who.call(protocol, "CommentService.GetComment", one.clone()).await.failure("NOT_FOUND");
            who.call(protocol, "FileService.GetFile", json!({ "fileId": file })).await.failure("NOT_FOUND");
            who.call(protocol, "FileService.DownloadFile", json!({ "fileId": file })).await.failure("NOT_FOUND");
            let files = who.call(protocol, "FileService.ListFiles", json!({ "parentId": id })).await.success();
            assert_eq!(*files.data(), json!([]), "{protocol:?}");
        }
        for who in [&scene.cast.agent, &scene.cast.admin, &scene.cast.service] {
            let got = who.call(protocol, "CommentService.GetComment", one.clone()).await.success();
            assert_eq!(got.data()["internal"], json!(true), "{protocol:?}");
            let files = who.call(protocol, "FileService.ListFiles", json!({ "parentId": id })).await.success();
            assert_eq!(files.data()[0]["id"], json!(file), "{protocol:?}");
        }
    }
    delete(&scene, &ticket, &id).await;
    same("deleted").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_sees_notes_and_their_history_in_order() {
    let (app, scene) = Scene::start().await;
    let ticket = scene.ticket().await;
    scene.comment(&ticket).await;
    let id = note(&scene, &ticket, &[]).await;
    scene.comment(&ticket).await;
    edit(&scene, &ticket, &id).await;
    for protocol in PROTOCOLS {
        for who in [&scene.cast.agent, &scene.cast.admin, &scene.cast.service] {
            let of = json!({ "ticketId": ticket });
            let comments = who.call(protocol, "CommentService.ListComments", of.clone()).await.success();
            let marks: Vec<_> =
                comments.data().as_array().expect("a list").iter().map(|comment| &comment["internal"]).collect();
            assert_eq!(marks, [false, true, false], "{protocol:?}");
            assert_eq!(comments.body["meta"]["total"], "3", "{protocol:?}");
            let history = who.call(protocol, "ActivityService.ListActivities", of).await.success();
            let kinds: Vec<_> =
                history.data().as_array().expect("a list").iter().map(|activity| &activity["kind"]).collect();
            let [created, commented] = ["ACTIVITY_KIND_CREATED", "ACTIVITY_KIND_COMMENTED"];
            let [added, edited] = ["ACTIVITY_KIND_NOTE_ADDED", "ACTIVITY_KIND_NOTE_EDITED"];
            assert_eq!(kinds, [created, commented, added, commented, edited], "{protocol:?}");
            let include = json!({ "ticketId": ticket, "include": "comments,activities" });
            let got = who.call(protocol, "TicketService.GetTicket", include).await.success();
            let included = &got.data()["included"];
            assert_eq!(included["comments"]["data"], *comments.data(), "{protocol:?}");
            assert_eq!(included["activities"]["data"], *history.data(), "{protocol:?}");
        }
    }
    delete(&scene, &ticket, &id).await;
    let last = "SELECT kind FROM activities ORDER BY id DESC LIMIT 1";
    assert_eq!(app.database.sql(last).await[0][0].as_deref(), Some("14"), "the deletion of a note");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_note_sends_no_mail_and_no_webhook() {
    let (app, scene) = Scene::start_with(TestApp::builder().set("WEBHOOK_ALLOW_PRIVATE", "true")).await;
    let receiver = Receiver::answering(&[204]).await;
    create_endpoint(&scene, &receiver, &[]).await;
    let ticket = scene.ticket().await;
    let sent = async || {
        let count = "SELECT (SELECT count(*) FROM mails) * 100 + (SELECT count(*) FROM webhook_deliveries)";
        app.database.number(count).await
    };
    let before = sent().await;
    let id = note(&scene, &ticket, &[]).await;
    edit(&scene, &ticket, &id).await;
    delete(&scene, &ticket, &id).await;
    assert_eq!(sent().await, before);
    let answer = json!({ "ticketId": ticket, "body": "We are looking into it." });
    scene.cast.agent.rest("CommentService.CreateComment", answer).await.success();
    assert_eq!(sent().await, before + 100, "a mail about an answer");
    scene.cast.agent.rest("TicketService.ResolveTicket", json!({ "ticketId": ticket })).await.success();
    assert_eq!(sent().await, before + 101, "a webhook about the ticket");
}

/// Uploads a small file for the account of another caller.
async fn upload_for(who: &Actor, owner: &Actor) -> String {
    let mut request = small();
    request["accountId"] = owner.as_user().account.to_string().into();
    who.rest("FileService.UploadFile", request).await.success().id()
}

/// A customer could not delete such a file, and would lose it with the note.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_takes_no_file_that_any_customer_sees() {
    let (app, scene) = Scene::start().await;
    let (ticket, cast) = (scene.ticket().await, &scene.cast);
    let empty = note(&scene, &ticket, &[]).await;
    let refused = async |file: &String| {
        let files = std::slice::from_ref(file);
        let request = json!({ "ticketId": ticket, "body": SECRET, "internal": true });
        let created = cast.agent.rest("CommentService.CreateComment", with_files(request, files)).await;
        created.failure("VALIDATION_FAILED");
        let edit = json!({ "ticketId": ticket, "commentId": empty, "comment": with_files(json!({}), files) });
        cast.agent.call(Protocol::Grpc, "CommentService.UpdateComment", edit).await.failure("VALIDATION_FAILED");
    };
    for file in [upload(&cast.stranger).await, upload_for(&cast.agent, &cast.stranger).await] {
        refused(&file).await;
        let delete = json!({ "fileId": file });
        cast.stranger.rest("FileService.DeleteFile", delete).await.success();
    }
    for file in [upload_for(&cast.service, &cast.admin).await, upload(&cast.agent).await] {
        note(&scene, &ticket, &[file]).await;
    }
    // Once the account of the agent has a customer, its files are visible to that customer.
    let own = upload(&cast.agent).await;
    users(&app.database, &[(Role::Customer, Some(cast.agent.as_user().account))]).await;
    refused(&own).await;
}

/// What the customer is told of first, after the note, is the change of another ticket.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_is_a_change_for_the_watches_of_staff_alone() {
    let (_app, scene) = Scene::start().await;
    for protocol in PROTOCOLS {
        let (noted, other) = (scene.ticket().await, scene.ticket().await);
        let mut customer = Reader::open(&scene.cast.customer, protocol, TICKETS, "").await;
        let mut agent = Reader::open(&scene.cast.agent, protocol, TICKETS, "").await;
        // A watch may begin shortly before it is opened: what was created until now has passed when this one is seen.
        let last = scene.ticket().await;
        for reader in [&mut customer, &mut agent] {
            while change_of(&reader.item().await).0 != last {}
        }
        let id = note(&scene, &noted, &[]).await;
        let change = (noted.clone(), Some("1".to_owned()));
        assert_eq!(change_of(&agent.item().await), change, "{protocol:?}: added");
        edit(&scene, &noted, &id).await;
        assert_eq!(change_of(&agent.item().await), change, "{protocol:?}: edited");
        delete(&scene, &noted, &id).await;
        assert_eq!(change_of(&agent.item().await), change, "{protocol:?}: deleted");
        scene.comment(&other).await;
        assert_eq!(change_of(&customer.item().await).0, other, "{protocol:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replay_of_a_note_is_for_staff_alone() {
    let (_app, scene) = Scene::start().await;
    let ticket = scene.ticket().await;
    let request = json!({ "ticketId": ticket, "body": SECRET, "internal": true });
    let send = async |who: &Actor, request: &Value| {
        who.keyed(Protocol::Rest, "CommentService.CreateComment", request.clone(), "one-note").await
    };
    let first = send(&scene.cast.agent, &request).await.success();
    let again = send(&scene.cast.agent, &request).await.success();
    assert!(again.is_replayed() && again.data() == first.data(), "{again:?}");
    let public = json!({ "ticketId": ticket, "body": SECRET });
    send(&scene.cast.agent, &public).await.failure("IDEMPOTENCY_KEY_REUSED");
    // The agent becomes a customer.
    let user = scene.cast.agent.as_user().clone();
    let demote = json!({ "userId": user.id.to_string(), "role": "ROLE_CUSTOMER" });
    scene.cast.admin.rest("UserService.SetUserRole", demote).await.success();
    let former = Actor::user(&scene.endpoint, User { role: Role::Customer, ..user });
    let refused = send(&former, &request).await.failure("NOT_FOUND");
    assert!(!refused.body.to_string().contains(SECRET));
}
