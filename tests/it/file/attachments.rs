//! Files that are attached to tickets and comments: they are visible with their parents, and removed with them.

use serde_json::{Value, json};

use crate::{
    cases::{
        draft,
        file::{announce, image, small, upload, upload_request},
        join,
        post::post_with_image,
        ticket::with_files,
    },
    session::caller,
    support::{Actor, PROTOCOLS, Protocol, Response, TestApp, people::Cast},
};

async fn send(who: &Actor, method: &str, request: Value) -> Response {
    who.rest(method, request).await
}

async fn ticket_with(who: &Actor, files: &[String]) -> String {
    send(who, "TicketService.CreateTicket", with_files(draft(), files)).await.success().id()
}

async fn comment_with(who: &Actor, ticket: &str, files: &[String]) -> String {
    let request = json!({ "ticketId": ticket, "body": "See the photo." });
    send(who, "CommentService.CreateComment", with_files(request, files)).await.success().id()
}

async fn file(who: &Actor, id: &str) -> Response {
    send(who, "FileService.DownloadFile", json!({ "fileId": id })).await
}

/// Uploads a file of the agent's own account, which is not visible to customers.
async fn of_staff(cast: &Cast) -> String {
    let id = upload(&cast.agent).await;
    file(&cast.customer, &id).await.failure("NOT_FOUND");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readers_of_a_ticket_see_its_files() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (own, answer) = (upload(&cast.customer).await, of_staff(&cast).await);
    let ticket = ticket_with(&cast.customer, std::slice::from_ref(&own)).await;
    let comment = comment_with(&cast.agent, &ticket, std::slice::from_ref(&answer)).await;
    for protocol in PROTOCOLS {
        for who in [&cast.customer, &cast.colleague, &cast.agent] {
            let response = who.call(protocol, "TicketService.GetTicket", json!({ "ticketId": ticket })).await.success();
            assert_eq!(response.data()["attachmentIds"], json!([own]), "{protocol:?}");
            let request = json!({ "ticketId": ticket, "commentId": comment });
            let response = who.call(protocol, "CommentService.GetComment", request).await.success();
            assert_eq!(response.data()["attachmentIds"], json!([answer]), "{protocol:?}");
            for id in [&own, &answer] {
                who.call(protocol, "FileService.DownloadFile", json!({ "fileId": id })).await.success();
            }
            let listed = who.call(protocol, "FileService.ListFiles", json!({ "parentId": comment })).await.success();
            assert_eq!(listed.data()[0]["id"], json!(answer), "{protocol:?}");
        }
        for id in [&own, &answer] {
            let request = json!({ "fileId": id });
            cast.stranger.call(protocol, "FileService.DownloadFile", request).await.failure("NOT_FOUND");
        }
        let listed =
            cast.stranger.call(protocol, "FileService.ListFiles", json!({ "parentId": comment })).await.success();
        assert_eq!(*listed.data(), json!([]), "{protocol:?}");
    }
    // Visibility of a file does not include permission to manage it.
    send(&cast.customer, "FileService.DeleteFile", json!({ "fileId": answer })).await.failure("NOT_FOUND");
    send(&cast.agent, "FileService.DeleteFile", json!({ "fileId": answer })).await.failure("FILE_IN_USE");
}

#[tokio::test]
async fn a_file_that_one_sees_can_be_attached_again() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let answer = of_staff(&cast).await;
    send(&cast.customer, "TicketService.CreateTicket", with_files(draft(), std::slice::from_ref(&answer)))
        .await
        .failure("NOT_FOUND");
    let ticket = ticket_with(&cast.customer, &[]).await;
    comment_with(&cast.agent, &ticket, std::slice::from_ref(&answer)).await;
    let other = ticket_with(&cast.colleague, std::slice::from_ref(&answer)).await;
    // The file stays while one of its two parents exists.
    send(&cast.admin, "TicketService.DeleteTicket", json!({ "ticketId": ticket })).await.success();
    file(&cast.customer, &answer).await.success();
    send(&cast.admin, "TicketService.DeleteTicket", json!({ "ticketId": other })).await.success();
    file(&cast.agent, &answer).await.failure("NOT_FOUND");
}

#[tokio::test]
async fn files_are_attached_and_detached_later() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let (first, second) = (upload(&cast.customer).await, of_staff(&cast).await);
    let ticket = ticket_with(&cast.customer, std::slice::from_ref(&first)).await;
    let change = async |who: &Actor, files: &[&String]| {
        let request =
            json!({ "ticketId": ticket, "ticket": { "attachmentIds": files }, "updateMask": "attachmentIds" });
        send(who, "TicketService.UpdateTicket", request).await
    };
    let response = change(&cast.agent, &[&second, &first]).await.success();
    assert_eq!(response.data()["attachmentIds"], json!([second, first]));
    assert_eq!(response.header("etag"), Some("\"2\""));
    file(&cast.customer, &second).await.success();
    // The customer keeps attached files of other accounts; a detached file stays in its account.
    change(&cast.customer, &[&second]).await.success();
    send(&cast.customer, "FileService.DeleteFile", json!({ "fileId": first })).await.success();
    change(&cast.customer, &[]).await.success();
    file(&cast.customer, &second).await.failure("NOT_FOUND");
    file(&cast.agent, &second).await.success();
    change(&cast.customer, &[&second]).await.failure("NOT_FOUND");
    let waiting = announce(&cast.customer).await;
    let response = change(&cast.customer, &[&waiting]).await.failure("VALIDATION_FAILED");
    let field = response.body["error"]["fields"]["ticket.attachmentIds"].as_str().unwrap_or_default().to_owned();
    assert_eq!(field, format!("must be uploaded first: {waiting}"));
}

#[tokio::test]
async fn a_deletion_deletes_the_files() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (of_ticket, of_comment, of_other) =
        (upload(&cast.customer).await, of_staff(&cast).await, upload(&cast.customer).await);
    let ticket = ticket_with(&cast.customer, std::slice::from_ref(&of_ticket)).await;
    comment_with(&cast.agent, &ticket, std::slice::from_ref(&of_comment)).await;
    let other = comment_with(&cast.customer, &ticket, std::slice::from_ref(&of_other)).await;
    let comment = json!({ "ticketId": ticket, "commentId": other });
    send(&cast.customer, "CommentService.DeleteComment", comment).await.success();
    file(&cast.customer, &of_other).await.failure("NOT_FOUND");
    file(&cast.customer, &of_ticket).await.success();
    send(&cast.admin, "TicketService.DeleteTicket", json!({ "ticketId": ticket })).await.success();
    for id in [&of_ticket, &of_comment] {
        file(&cast.agent, id).await.failure("NOT_FOUND");
    }
    let count = async |sql: &str| app.database.number(sql).await;
    assert_eq!(count("SELECT count(*) FROM file_links").await, 0);
    assert_eq!(count("SELECT coalesce(sum(size_bytes), 0)::bigint FROM file_usage").await, 0);
    // The contents are released, so the next run of the scheduled task deletes them.
    assert_eq!(count("SELECT count(*) FROM stored_objects WHERE delete_at IS NULL").await, 0);
}

/// A file is attached and deleted concurrently: either it is attached, or it is gone.
#[tokio::test(flavor = "multi_thread")]
async fn attaching_and_deleting_a_file_at_once_leaves_no_loose_end() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for _ in 0..8 {
        let id = upload(&cast.customer).await;
        let ticket = ticket_with(&cast.customer, &[]).await;
        let attach = json!({ "ticketId": ticket, "ticket": { "attachmentIds": [id] } });
        let (attached, deleted) = tokio::join!(
            cast.customer.call(Protocol::Grpc, "TicketService.UpdateTicket", attach),
            cast.customer.call(Protocol::Grpc, "FileService.DeleteFile", json!({ "fileId": id })),
        );
        match (&*attached.reason, &*deleted.reason) {
            ("", "FILE_IN_USE") | ("NOT_FOUND", "") => {}
            other => panic!("{other:?}"),
        }
    }
}

/// Makes the stranger a member of the agent's account, in which the stranger then has a session.
async fn join_agent(app: &TestApp, cast: &Cast) -> Actor {
    join(&app.database, &cast.stranger, &cast.agent, 1).await;
    let (user, account) = (cast.stranger.as_user(), cast.agent.as_user().account.to_string());
    let login = json!({ "email": user.email, "password": user.password, "accountId": account });
    caller(app, &send(&cast.anonymous, "AuthService.Login", login).await.success())
}

/// The files of notes and drafts belong to an account of staff, which a customer joins later.
#[tokio::test(flavor = "multi_thread")]
async fn a_customer_who_joins_an_account_of_staff_sees_no_files_of_notes_and_drafts() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (of_note, of_draft, other) = (upload(&cast.agent).await, image(&cast.agent).await, upload(&cast.agent).await);
    let ticket = ticket_with(&cast.customer, &[]).await;
    let note = json!({ "ticketId": ticket, "body": "They pay late.", "internal": true });
    let note = with_files(note, std::slice::from_ref(&of_note));
    let note = send(&cast.agent, "CommentService.CreateComment", note).await.success().id();
    let post = send(&cast.agent, "PostService.CreatePost", post_with_image(&of_draft)).await.success().id();
    let joined = join_agent(&app, &cast).await;
    for protocol in PROTOCOLS {
        let list = async |request: Value| {
            let files = joined.call(protocol, "FileService.ListFiles", request).await.success();
            files.data().as_array().expect("a list").iter().map(|file| file["id"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(list(json!({})).await, [json!(other)], "{protocol:?}");
        assert!(list(json!({ "parentId": note })).await.is_empty(), "{protocol:?}");
        for id in [&of_note, &of_draft] {
            for method in ["FileService.GetFile", "FileService.DownloadFile", "FileService.DeleteFile"] {
                joined.call(protocol, method, json!({ "fileId": id })).await.failure("NOT_FOUND");
            }
        }
        cast.agent.call(protocol, "FileService.DownloadFile", json!({ "fileId": of_note })).await.success();
    }
    // Such a file can't be made visible by attaching it.
    let attach = async |who: &Actor, id: &String| {
        let request = with_files(draft(), std::slice::from_ref(id));
        let account = json!(cast.agent.as_user().account.to_string());
        let request = json!({ "subject": request["subject"], "body": request["body"],
            "attachmentIds": request["attachmentIds"], "accountId": account });
        send(who, "TicketService.CreateTicket", request).await
    };
    attach(&joined, &of_note).await.failure("NOT_FOUND");
    attach(&joined, &other).await.success();
    // Staff shows the file to the account, and publishes the draft.
    attach(&cast.agent, &of_note).await.success();
    file(&joined, &of_note).await.success();
    send(&cast.agent, "PostService.PublishPost", json!({ "postId": post })).await.success();
    file(&joined, &of_draft).await.success();
}

/// The files of an account are visible to its customers, so staff chooses such an account knowingly.
#[tokio::test]
async fn staff_names_the_account_of_a_file_if_customers_share_that_of_the_session() {
    let (app, cast) = TestApp::start_with_cast().await;
    upload(&cast.agent).await;
    join_agent(&app, &cast).await;
    let account = cast.agent.as_user().account.to_string();
    for protocol in PROTOCOLS {
        for (method, mut request) in
            [("FileService.UploadFile", small()), ("FileService.CreateUpload", upload_request())]
        {
            cast.agent.call(protocol, method, request.clone()).await.failure("VALIDATION_FAILED");
            request["accountId"] = json!(account);
            cast.agent.call(protocol, method, request).await.success();
        }
    }
}
