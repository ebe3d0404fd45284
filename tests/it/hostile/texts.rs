//! Invisible texts, and line breaks and control characters in texts of one line, are rejected.

use serde_json::{Value, json};

use crate::{
    cases::Scene,
    session,
    support::{Actor, PROTOCOLS, TestApp, unique},
};

const BLANK: [&str; 9] =
    ["   ", "\u{200b}", "\u{a0}", "\u{3164}", "\u{2060}\u{feff}", "\u{ad}", "\u{2800}", "\u{fffc}", "\u{1d159}"];
const CONTROLS: [&str; 5] = ["Ada\u{1b}[31m", "Ada\u{8}\u{8}", "A\u{9b}31m", "A\u{7f}", "A\u{ffff}"];
const LINES: [&str; 7] = ["a\nb", "a\r\nb", "a\u{2028}b", "a\u{2029}b", "a\u{85}b", "a\u{b}b", "a\u{c}b"];

/// Returns the single-line fields, each with a request that is valid once a text replaces `null`.
async fn lines(scene: &Scene) -> Vec<(&'static str, &'static str, Actor, Value)> {
    let cast = &scene.cast;
    let (customer, agent, admin) = (&cast.customer, &cast.agent, &cast.admin);
    let ticket = scene.ticket().await;
    let me = customer.as_user().id.to_string();
    let token = session::registration::create_token(&scene.database, &format!("{}@example.com", unique())).await;
    let price = json!({ "amountMinor": 1, "currencyCode": "EUR" });
    let draft = json!({ "subject": null, "body": "b", "accountId": scene.account() });
    let file =
        json!({ "name": null, "contentType": "text/plain", "sizeBytes": 1, "purpose": "FILE_PURPOSE_ATTACHMENT" });
    let key = json!({ "name": null, "scopes": ["support.tickets.read"] });
    let password = "a brand new password";
    vec![
        ("TicketService.CreateTicket", "subject", customer.clone(), json!({ "subject": null, "body": "b" })),
        (
            "TicketService.CreateTicket",
            "queue",
            customer.clone(),
            json!({ "subject": "s", "body": "b", "queue": null }),
        ),
        (
            "TicketService.CreateTicket",
            "tags[0]",
            customer.clone(),
            json!({ "subject": "s", "body": "b", "tags": [null] }),
        ),
        ("TicketService.BatchCreateTickets", "tickets[0].subject", agent.clone(), json!({ "tickets": [draft] })),
        (
            "TicketService.UpdateTicket",
            "ticket.subject",
            customer.clone(),
            json!({ "ticketId": ticket, "ticket": { "subject": null } }),
        ),
        ("UserService.UpdateUser", "user.name", customer.clone(), json!({ "userId": me, "user": { "name": null } })),
        (
            "AuthService.ConfirmRegistration",
            "name",
            cast.anonymous.clone(),
            json!({ "token": token, "password": password, "name": null }),
        ),
        (
            "AuthService.ConfirmRegistration",
            "accountName",
            cast.anonymous.clone(),
            json!({ "token": token, "password": password, "name": "A", "accountName": null }),
        ),
        ("PostService.CreatePost", "title", agent.clone(), json!({ "title": null, "body": "b" })),
        ("ProductService.CreateProduct", "name", admin.clone(), json!({ "name": null, "price": price })),
        ("ServiceKeyService.CreateServiceKey", "name", admin.clone(), key),
        ("FileService.CreateUpload", "name", customer.clone(), file),
    ]
}

fn filled(value: &Value, text: &str) -> Value {
    match value {
        Value::Null => text.into(),
        Value::Array(items) => items.iter().map(|item| filled(item, text)).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(name, field)| (name.clone(), filled(field, text))).collect())
        }
        other => other.clone(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_is_one_line_that_can_be_seen() {
    let (_app, scene) = Scene::start().await;
    for (method, field, who, request) in lines(&scene).await {
        let faults = [
            ("must have a visible character", &BLANK[..]),
            ("must be one line", &LINES[..]),
            ("must not have control characters", &CONTROLS[..]),
        ];
        let texts = faults.into_iter().flat_map(|(fault, texts)| texts.iter().map(move |text| (fault, *text)));
        for (number, (expected, text)) in texts.enumerate() {
            let answer = who.call(PROTOCOLS[number % 3], method, filled(&request, text)).await;
            let answer = answer.failure("VALIDATION_FAILED");
            let fault = answer.text(&format!("/error/fields/{field}"));
            assert_eq!(fault, expected, "{method} with {text:?}: {answer:#?}");
        }
    }
    // A multi-line text may contain line breaks, but must have a visible character.
    let ticket = |body: &str| json!({ "subject": "s", "body": body });
    scene.cast.customer.rest("TicketService.CreateTicket", ticket("a\n\u{2028}b")).await.success();
    let blank = scene.cast.customer.rest("TicketService.CreateTicket", ticket(" \n\u{200b}")).await;
    blank.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_every_script_are_good() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let id = cast.customer.as_user().id.to_string();
    let names = ["José", "\u{200f}\u{5d0}\u{5d1}", "नीलिमा", "山田", "👩\u{200d}🔬", "O'Neil"].map(|name| (name, name));
    let normalized = [(" \u{202e}Ada\tB ", "Ada B"), ("Zoe\u{308}", "Zoë")];
    for (name, kept) in names.into_iter().chain(normalized) {
        let patch = json!({ "userId": id, "user": { "name": name } });
        let user = cast.customer.rest("UserService.UpdateUser", patch).await.success();
        assert_eq!(user.text("/data/name"), kept);
    }
    let tags = json!({ "subject": "s", "body": "b", "tags": [" a", "a"] });
    let twice = cast.customer.rest("TicketService.CreateTicket", tags).await;
    assert_eq!(twice.failure("VALIDATION_FAILED").text("/error/fields/tags"), "must not have the same item twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_to_which_no_mail_can_be_sent_is_refused() {
    let (app, scene) = Scene::start().await;
    let product = crate::cases::order::product(&scene, 1, "EUR").await;
    let long = format!("{}@example.com", "a".repeat(65));
    for protocol in PROTOCOLS {
        for address in ["a..b@example.com", "a.@example.com", &long, "ada@192.0.2.1", "ada@gmail", "ada@xn--a.example"]
        {
            let request = json!({ "email": address });
            scene
                .cast
                .anonymous
                .call(protocol, "AuthService.Register", request.clone())
                .await
                .failure("VALIDATION_FAILED");
            if address.ends_with("@example.com") {
                let reset = scene.cast.anonymous.call(protocol, "AuthService.RequestPasswordReset", request).await;
                reset.failure("VALIDATION_FAILED");
            }
            let order = json!({ "items": [{ "productId": product, "quantity": 1 }], "confirmationEmail": address });
            scene.cast.customer.call(protocol, "OrderService.CreateOrder", order).await.failure("VALIDATION_FAILED");
        }
    }
    assert_eq!(app.database.number("SELECT count(*) FROM mails").await, 0);
    // An earlier version accepted these addresses; their owners can still sign in, and reset the password if mail can be
    // sent, as within a network whose mail server has a name without a dot.
    let request = json!({ "email": "ada@intranet" });
    scene.cast.anonymous.rest("AuthService.RequestPasswordReset", request).await.success();
    let user = scene.cast.customer.as_user();
    app.database.sql(&format!("UPDATE users SET email = 'a..b@example.com' WHERE id = '{}'", user.id)).await;
    let request = json!({ "email": "A..b@example.com", "password": user.password });
    scene.cast.anonymous.rest("AuthService.Login", request).await.success();
    let me = scene.cast.customer.rest("UserService.GetMe", json!({})).await.success();
    assert_eq!(me.text("/data/email"), "a..b@example.com");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_one_user_however_it_is_written() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let address = format!("ada+{}@xn--bcher-kva.example", unique());
    app.database.sql(&format!("UPDATE users SET email = '{address}' WHERE id = '{}'", user.id)).await;
    let unicode = address.replace("xn--bcher-kva", "Bücher");
    for (protocol, spelling) in
        PROTOCOLS.into_iter().zip([format!("{address} "), format!("\t{unicode}"), unicode.clone()])
    {
        let login = json!({ "email": spelling, "password": user.password });
        cast.anonymous.call(protocol, "AuthService.Login", login).await.success();
        for method in ["AuthService.Register", "AuthService.RequestPasswordReset"] {
            cast.anonymous.call(protocol, method, json!({ "email": spelling })).await.success();
        }
        let found = cast.admin.call(protocol, "UserService.ListUsers", json!({ "email": spelling })).await.success();
        assert_eq!(found.text("/data/0/id"), user.id.to_string());
    }
    let registered = format!("SELECT count(*) FROM registrations WHERE email = '{address}'");
    assert_eq!(app.database.number(&registered).await, 3);
    // In a query, a plus that is not encoded is a space.
    let url = format!("{}/api/v1/users?email={address}", app.endpoint.base());
    let request = app.endpoint.http.get(url).bearer_auth(cast.admin.token().await.expect("a token"));
    let found: Value = request.send().await.expect("an answer").json().await.expect("JSON");
    assert_eq!(found["data"][0]["id"], user.id.to_string(), "{found:#?}");
}
