//! Canned answers: rendered for a ticket, with values that are never read as placeholders.

use serde_json::{Value, json};

use crate::{
    cases::Scene,
    support::{PROTOCOLS, Response, unique},
};

async fn create(scene: &Scene, body: &str) -> Response {
    let request = json!({ "name": unique(), "body": body });
    scene.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canned_answer_is_rendered_for_a_ticket() {
    let (app, scene) = Scene::start().await;
    app.database
        .sql(&format!(
            "UPDATE users SET name = '{{{{agent.name}}}}' WHERE id = '{}';
             UPDATE users SET name = 'Zoë' WHERE id = '{}';
             UPDATE accounts SET name = 'Ink & Co' WHERE id = '{}'",
            scene.cast.customer.as_user().id,
            scene.cast.agent.as_user().id,
            scene.account()
        ))
        .await;
    let body = "Dear {{customer.name}},\n<{{ticket.title}}> is {{ ticket.subject }} ({{ticket.id}}).\n{{agent.name}}";
    let answer = create(&scene, body).await.success().id();
    let own = json!({ "subject": "<b>{{ticket.id}}</b>", "body": "Text" });
    let own = scene.cast.customer.rest("TicketService.CreateTicket", own).await.success().id();
    let by_phone = json!({ "subject": "Call", "body": "Text", "accountId": scene.account() });
    let by_phone = scene.cast.service.rest("TicketService.CreateTicket", by_phone).await.success().id();
    let by_agent = json!({ "subject": "Visit", "body": "Text", "accountId": scene.account() });
    let by_agent = scene.cast.agent.rest("TicketService.CreateTicket", by_agent).await.success().id();
    for protocol in PROTOCOLS {
        let render = async |who: &crate::support::Actor, ticket: &str| {
            let request = json!({ "cannedAnswerId": answer, "ticketId": ticket });
            who.call(protocol, "CannedAnswerService.RenderCannedAnswer", request).await.success().text("/data/body")
        };
        let subject = "<b>{{ticket.id}}</b>";
        let expected = format!("Dear {{{{agent.name}}}},\n<{subject}> is {subject} ({own}).\nZoë");
        assert_eq!(render(&scene.cast.agent, &own).await, expected, "{protocol:?}");
        let expected = format!("Dear Ink & Co,\n<Call> is Call ({by_phone}).\n");
        assert_eq!(render(&scene.cast.service, &by_phone).await, expected, "{protocol:?}");
        let expected = format!("Dear Ink & Co,\n<Visit> is Visit ({by_agent}).\nZoë");
        assert_eq!(render(&scene.cast.agent, &by_agent).await, expected, "{protocol:?}: an agent is no customer");
    }
}

#[tokio::test]
async fn a_faulty_placeholder_is_refused_with_its_position() {
    let (_app, scene) = Scene::start().await;
    let message = async |body: &str| {
        let refused = create(&scene, body).await.failure("VALIDATION_FAILED");
        refused.body["error"]["fields"]["body"].as_str().unwrap_or_default().to_owned()
    };
    let fault = message("Hello\n{{customer.name}} {{customer.password}}").await;
    let expected =
        "has the unknown placeholder {{customer.password}} at line 2, column 19; known are {{customer.name}}, ";
    assert!(fault.starts_with(expected), "{fault}");
    let fault = message("{{customer.name").await;
    assert!(fault.starts_with("has a placeholder without an end at line 1, column 1; "), "{fault}");
    let answer = create(&scene, "Text").await.success().id();
    let patch = json!({ "cannedAnswerId": answer, "cannedAnswer": { "body": "{{x}}" } });
    let refused = scene.cast.agent.rest("CannedAnswerService.UpdateCannedAnswer", patch).await;
    let fields = refused.failure("VALIDATION_FAILED").body["error"]["fields"].clone();
    assert!(fields.get("cannedAnswer.body").is_some(), "{fields}");
}

#[tokio::test(flavor = "multi_thread")]
async fn canned_answers_are_found_by_a_part_of_their_name() {
    let (_app, scene) = Scene::start().await;
    for name in ["Refund 100% back", "Refund (partly)", "Under_score", "Größe ändern"] {
        let request = json!({ "name": name, "body": "Text" });
        scene.cast.agent.rest("CannedAnswerService.CreateCannedAnswer", request).await.success();
    }
    for protocol in PROTOCOLS {
        let find = async |name: &str| {
            let request = json!({ "name": name, "readMask": "name" });
            let list =
                scene.cast.agent.call(protocol, "CannedAnswerService.ListCannedAnswers", request).await.success();
            let names = list.data().as_array().expect("a list").iter().map(|answer| answer["name"].clone());
            let names: Vec<Value> = names.collect();
            assert_eq!(list.body["meta"]["total"], json!(names.len().to_string()));
            names
        };
        assert_eq!(find("").await.len(), 4, "{protocol:?}");
        assert_eq!(find("rEFUND").await, ["Refund (partly)", "Refund 100% back"], "{protocol:?}: newest first");
        assert_eq!(find("%").await, ["Refund 100% back"], "{protocol:?}");
        assert_eq!(find("_").await, ["Under_score"], "{protocol:?}");
        assert_eq!(find("GRÖSSE").await, Vec::<Value>::new(), "{protocol:?}");
        assert_eq!(find("größe").await, ["Größe ändern"], "{protocol:?}");
    }
}
