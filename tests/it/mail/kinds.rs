//! Each kind of mail reaches its recipient, in the recipient's language.

use std::collections::BTreeSet;

use chrono::TimeDelta;
use serde_json::{Value, json};

use super::{SENT, header, start, start_with, wait_for_at_least, wait_for_mails};
use crate::{
    cases::{
        order::{create_recurring_product, product},
        payment::pay,
        subscription::create_subscription,
    },
    support::{Protocol, euro, unique},
};

fn body_text(mail: &Value) -> &str {
    mail["text"].as_str().expect("text")
}

fn mail_with_subject<'m>(mails: &'m [Value], prefix: &str) -> &'m Value {
    let mail = mails.iter().find(|mail| header(mail, "subject").starts_with(prefix));
    mail.unwrap_or_else(|| panic!("no {prefix}: {mails:#?}"))
}

/// Sets the customer's mail language to German.
async fn use_german(scene: &crate::cases::Scene) {
    let id = scene.cast.customer.as_user().id.to_string();
    for (tag, expected) in [("DE-at", "de-AT"), ("de", "de")] {
        let patch = json!({ "userId": id, "user": { "language": tag } });
        let user = scene.cast.customer.rest("UserService.UpdateUser", patch).await.success();
        assert_eq!(user.text("/data/language"), expected);
    }
    let wrong = json!({ "userId": id, "user": { "language": "german!" } });
    scene.cast.customer.call(Protocol::Grpc, "UserService.UpdateUser", wrong).await.failure("VALIDATION_FAILED");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_paid_and_refunded_in_german() {
    let (provider, app, scene) = start().await;
    use_german(&scene).await;
    let payment = pay(&scene).await.success();
    let refund = json!({ "paymentId": payment.id(), "amount": euro(150) });
    scene.cast.admin.keyed(Protocol::Rest, "RefundService.CreateRefund", refund, &unique()).await.success();
    wait_for_mails(&app.database, SENT, 3).await;
    let mails = provider.mails();
    let numbers: BTreeSet<_> = mails
        .iter()
        .flat_map(|mail| header(mail, "subject").split(' ').filter(|word| word.parse::<u64>().is_ok()))
        .collect();
    assert_eq!(numbers.len(), 1, "one order: {mails:#?}");
    assert!(body_text(mail_with_subject(&mails, "Ihre Bestellung")).contains("Summe: "));
    assert!(body_text(mail_with_subject(&mails, "Zahlung für Ihre Bestellung")).contains("Bezahlt am: "));
    assert!(body_text(mail_with_subject(&mails, "Erstattung für Ihre Bestellung")).contains("Betrag: 1,50 EUR"));
    assert!(mails.iter().all(|mail| mail["html"].as_str().is_some_and(|html| html.contains("<html lang=\"de\">"))));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_told_of_each_payment_and_of_one_that_failed() {
    let (provider, app, scene) = start().await;
    create_subscription(&scene).await.success();
    let failing = json!({
        "productId": create_recurring_product(&scene, "BILLING_INTERVAL_MONTH").await, "paymentMethod": "pm_sandbox_renewal_declined",
    });
    scene
        .cast
        .customer
        .keyed(Protocol::Rest, "SubscriptionService.CreateSubscription", failing, &unique())
        .await
        .success();
    wait_for_mails(&app.database, SENT, 2).await;
    app.app.clock.advance(TimeDelta::days(32));
    app.run_task("ask_about_subscriptions").await.expect("done");
    // The provider has all of them; the table drops the month-old ones.
    provider.wait_for(4).await;
    // Repeating the request changes nothing, so no further mail is sent.
    app.app.clock.advance(TimeDelta::hours(2));
    app.run_task("ask_about_subscriptions").await.expect("done");
    let idle = "SELECT (NOT EXISTS (SELECT FROM jobs) AND NOT EXISTS (SELECT FROM mails WHERE state = 1))::int";
    wait_for_at_least(&app.database, idle, 1).await;
    let mails = provider.mails();
    assert_eq!(mails.len(), 4, "{mails:#?}");
    let receipts = mails.iter().filter(|mail| header(mail, "subject").starts_with("Receipt for ")).count();
    assert_eq!(receipts, 3, "two first periods and a second one: {mails:#?}");
    let unpaid = body_text(mail_with_subject(&mails, "Your payment for "));
    assert!(unpaid.contains("could not collect"), "{unpaid}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_is_told_that_a_ticket_arrived_and_what_staff_answered() {
    let (provider, app, scene) = start().await;
    let draft = json!({ "subject": "Smoke <b> & fire\u{2003}!", "body": "Secret text" });
    let ticket = scene.cast.customer.rest("TicketService.CreateTicket", draft).await.success().id();
    let comment = async |who: &crate::support::Actor, body: &str| {
        let request = json!({ "ticketId": ticket, "body": body });
        who.call(Protocol::Grpc, "CommentService.CreateComment", request).await.success().id()
    };
    comment(&scene.cast.customer, "More smoke").await;
    comment(&scene.cast.agent, "Leave <i>now</i>.\n\nPlease.").await;
    wait_for_mails(&app.database, SENT, 2).await;
    let mails = provider.mails();
    let mail = mail_with_subject(&mails, "We received your request: Smoke <b> & fire !");
    assert!(!body_text(mail).contains("Secret text") && body_text(mail).contains(&ticket));
    let reply = mail_with_subject(&mails, "Re: Smoke");
    assert!(body_text(reply).contains("> Leave <i>now</i>.\n>\n> Please."), "{}", body_text(reply));
    assert!(reply["html"].as_str().is_some_and(|html| html.contains("Leave &lt;i&gt;now")));
    assert_eq!(reply["to"], json!([scene.cast.customer.as_user().email]));

    // An agent's own ticket for a customer has no requester in the account, so no mail is sent.
    let draft = json!({ "subject": "By phone", "body": "Text", "accountId": scene.account() });
    scene.cast.agent.rest("TicketService.CreateTicket", draft).await.success();
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 3", 1).await;
    assert_eq!(provider.mails().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_customer_whose_ticket_was_merged_is_told_the_answers() {
    let (provider, app, scene) = start().await;
    let draft = json!({ "subject": "By phone", "body": "Text", "accountId": scene.account() });
    let target = scene.cast.agent.rest("TicketService.CreateTicket", draft).await.success().id();
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 3", 1).await;
    let request = json!({ "ticketId": scene.ticket().await, "targetId": target });
    scene.cast.agent.rest("TicketService.MergeTicket", request).await.success();
    let request = json!({ "ticketId": target, "body": "Leave now." });
    scene.cast.agent.rest("CommentService.CreateComment", request).await.success();
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 2", 2).await;
    let mails = provider.mails();
    let reply = mail_with_subject(&mails, "Re: By phone");
    assert_eq!(reply["to"], json!([scene.cast.customer.as_user().email]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sign_in_from_a_new_place_is_reported_once() {
    let (provider, app, scene) = start_with(&[("TRUSTED_PROXY_HOPS", "1")]).await;
    let user = scene.cast.customer.as_user();
    let sign_in = async |address: &str, agent: &str| {
        let request = json!({ "email": user.email, "password": user.password });
        let url = format!("{}/api/v1/auth/login", app.endpoint.base());
        let headers = [("x-forwarded-for", address), ("user-agent", agent)];
        let mut post = app.endpoint.http.post(url).json(&request);
        for (name, value) in headers {
            post = post.header(name, value);
        }
        assert_eq!(post.send().await.expect("an answer").status(), 200);
    };
    let agent = "Mozilla/5.0 (X11; Linux x86_64; visit evil.example) Firefox/140.0";
    sign_in("203.0.113.7", agent).await;
    app.app.clock.advance(TimeDelta::days(2));
    sign_in("203.0.113.7", agent).await;
    assert_eq!(app.database.number("SELECT count(*) FROM mails").await, 0, "the first place is no news");
    sign_in("198.51.100.9", agent).await;
    sign_in("198.51.100.9", agent).await;
    wait_for_mails(&app.database, SENT, 1).await;
    let mails = provider.mails();
    let text = body_text(mail_with_subject(&mails, "New sign-in"));
    assert!(text.contains("Address: 198.51.100.9") && text.contains("Device: Firefox, Linux"), "{text}");
    assert!(!text.contains("evil") && text.contains("/reset-password\n"), "{text}");
}

/// An order may name any address.
#[tokio::test(flavor = "multi_thread")]
async fn a_recipient_of_many_mails_gets_the_rest_later() {
    // The limits use the app's clock, which the test advances.
    let alone = [("REDIS_URL", ""), ("SINGLE_INSTANCE", "true")];
    let (provider, app, scene) = start_with(&alone).await;
    let victim = scene.cast.stranger.as_user().email.clone();
    let product = product(&scene, 1, "EUR").await;
    for _ in 0..14 {
        let items = json!([{ "productId": product, "quantity": 1 }]);
        let order = json!({ "accountId": scene.account(), "items": items, "confirmationEmail": victim });
        scene.cast.agent.rest("OrderService.CreateOrder", order).await.success();
    }
    let waiting = "SELECT count(*) FROM mails WHERE state = 1 AND failure = 'the recipient has had many mails lately'";
    wait_for_at_least(&app.database, waiting, 4).await;
    // No provider was asked, so that the back-off of real attempts begins later.
    assert_eq!(app.database.number(&format!("{waiting} AND attempts > 0")).await, 0);
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 2", 10).await;
    assert_eq!(provider.mails().len(), 10);
    // These mails delay neither urgent mail nor mail to another recipient.
    let reset = json!({ "email": victim });
    scene.cast.anonymous.rest("AuthService.RequestPasswordReset", reset).await.success();
    crate::cases::order::order(&scene).await;
    wait_for_at_least(&app.database, "SELECT count(*) FROM mails WHERE state = 2", 12).await;
    app.app.clock.advance(TimeDelta::minutes(11));
    // The clock of Postgres determines when a mail is due.
    app.database.sql("UPDATE mails SET due_at = now() WHERE state = 1").await;
    wait_for_mails(&app.database, SENT, 16).await;
    assert_eq!(provider.mails().len(), 16);
}
