//! Mail about orders: its content, its recipient, and how often it is sent.

use mainstay::mail::{id::MailId, ops};
use serde_json::{Value, json};

use super::{FAILED, SENT, count_in_state, give_up, header, process, start, start_without_jobs, text, wait_for_mails};
use crate::{
    cases::{Scene, order::order},
    support::{Actor, PROTOCOLS, Protocol, TestDatabase, mail::MailProvider, unique},
};

const CREATE: &str = "OrderService.CreateOrder";

async fn product(scene: &Scene, name: &str, price_minor: i64, currency: &str) -> String {
    let request = json!({ "name": name, "price": { "amountMinor": price_minor, "currencyCode": currency } });
    scene.cast.admin.rest("ProductService.CreateProduct", request).await.success().id()
}

async fn one_thing(scene: &Scene) -> Value {
    json!([{ "productId": product(scene, "A thing", 150, "EUR").await, "quantity": 3 }])
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_confirmed_once_with_what_was_ordered() {
    let (provider, app, scene) = start().await;
    let desk = product(&scene, "Grüße <b>&</b> 🔥", 39_900, "EUR").await;
    let lamp = product(&scene, "Lamp", 5, "EUR").await;
    let items = json!([{ "productId": desk, "quantity": 2 }, { "productId": lamp, "quantity": 10 }]);
    let order = scene.cast.customer.call(Protocol::Grpc, CREATE, json!({ "items": items })).await.success();
    let number = order.text("/data/number").to_owned();
    wait_for_mails(&app.database, SENT, 1).await;
    let mails = provider.mails();
    let [mail] = mails.as_slice() else { panic!("{mails:#?}") };
    let email = &scene.cast.customer.as_user().email;
    assert_eq!((&mail["from"], &mail["to"]), (&json!("no-reply@shop.example"), &json!([email])));
    assert_eq!(mail["defects"], json!([]), "as the RFCs have it: {mail:#}");
    let message_id = text(&app.database, "SELECT '<' || id || '@shop.example>' FROM mails").await;
    assert_eq!(header(mail, "message-id"), message_id);
    assert_eq!(header(mail, "subject"), format!("Your order {number}"));
    assert_eq!((header(mail, "from"), header(mail, "to")), ("Mainstay <no-reply@shop.example>", email.as_str()));
    assert_eq!(header(mail, "auto-submitted"), "auto-generated");
    assert!(mail["headers"].get("date").is_some(), "{mail:#}");
    let (plain, html) = (mail["text"].as_str().expect("text"), mail["html"].as_str().expect("HTML"));
    for expected in [
        "Grüße <b>&</b> 🔥\n    2 x EUR 399.00 = EUR 798.00",
        "Lamp\n    10 x EUR 0.05 = EUR 0.50",
        "Total: EUR 798.50",
        &number,
    ] {
        assert!(plain.contains(expected), "{expected}: {plain}");
    }
    for expected in ["Grüße &lt;b&gt;&amp;&lt;&#x2f;b&gt; 🔥", "EUR 399.00", "EUR 0.50", "EUR 798.50", &number] {
        assert!(html.contains(expected), "{expected}: {html}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payment_is_confirmed_once() {
    let (provider, app, scene) = start().await;
    let item = json!([{ "productId": product(&scene, "A thing", 1500, "JPY").await, "quantity": 1 }]);
    let order = scene.cast.customer.rest(CREATE, json!({ "items": item })).await.success();
    let (id, number) = (order.id(), order.text("/data/number").to_owned());
    let charge = |method: &str| json!({ "orderId": id, "paymentMethod": method });
    let customer = &scene.cast.customer;
    customer.keyed(Protocol::Rest, "PaymentService.ChargePayment", charge("pm_card_visa_chargeDeclined"), "no").await;
    let key = unique();
    for _ in 0..3 {
        customer.keyed(Protocol::Rest, "PaymentService.ChargePayment", charge("pm_card_visa"), &key).await.success();
    }
    wait_for_mails(&app.database, SENT, 2).await;
    let mails = provider.mails();
    assert_eq!(mails.len(), 2, "one for the order, one for the payment that came to something: {mails:#?}");
    let receipt = mails.iter().find(|mail| header(mail, "subject").starts_with("Payment received")).expect("a receipt");
    let text = receipt["text"].as_str().expect("text");
    assert!(text.contains("your payment of JPY 1500.") && text.contains(&number), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn many_duplicates_of_a_create_are_confirmed_once() {
    let (provider, app, scene) = start().await;
    let request = json!({ "items": one_thing(&scene).await });
    let create = |number: usize| scene.cast.customer.keyed(PROTOCOLS[number % 2], CREATE, request.clone(), "once");
    let answers = futures_util::future::join_all((0..64).map(create)).await;
    assert!(answers.iter().any(|answer| answer.reason.is_empty()), "{answers:#?}");
    scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), "once").await.success();
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_is_not_placed_is_not_confirmed() {
    let (provider, database) = (MailProvider::start().await, std::sync::Arc::new(TestDatabase::new().await));
    let server = process(&database, &provider, &[("MAINSTAY_FAULTS", "effect.after=error")]).await;
    let scene = Scene::at(&server, &database).await;
    let request = json!({ "items": one_thing(&scene).await });
    scene.cast.customer.keyed(Protocol::Rest, CREATE, request.clone(), "rolled-back").await.failure("INTERNAL_ERROR");
    let query = "SELECT (SELECT count(*) FROM orders) + (SELECT count(*) FROM mails)";
    assert_eq!(database.number(query).await, 0, "neither order nor mail");
    // A request without a key does not pass this fault point, so its mail is sent, and it is the only one.
    scene.cast.customer.rest(CREATE, request).await.success();
    wait_for_mails(&database, SENT, 1).await;
    assert_eq!(provider.mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn staff_name_the_recipient_of_the_confirmation() {
    let (provider, app, scene) = start().await;
    let (items, account) = (one_thing(&scene).await, scene.account());
    let with = |email: Option<&str>| match email {
        Some(email) => json!({ "items": items, "accountId": account, "confirmationEmail": email }),
        None => json!({ "items": items, "accountId": account }),
    };
    for protocol in PROTOCOLS {
        for who in [&scene.cast.agent, &scene.cast.service, &scene.cast.admin] {
            let order = who.call(protocol, CREATE, with(None)).await.success();
            assert_eq!(order.data().get("confirmationEmail"), None);
        }
        scene.cast.customer.call(protocol, CREATE, with(Some("b@other.example"))).await.failure("VALIDATION_FAILED");
        for wrong in ["nobody", "a@b.example\r\nBcc: c@d.example", "a@b.example, c@d.example", ""] {
            scene.cast.agent.call(protocol, CREATE, with(Some(wrong))).await.failure("VALIDATION_FAILED");
        }
    }
    wait_for_mails(&app.database, FAILED, 9).await;
    let failures = "SELECT string_agg(DISTINCT failure, ', ') FROM mails";
    assert_eq!(text(&app.database, failures).await, "there is no recipient");
    assert_eq!(provider.attempts(), 0);
    let named = scene.cast.service.call(Protocol::Grpc, CREATE, with(Some("buyer@other.example"))).await.success();
    assert_eq!(named.text("/data/confirmationEmail"), "buyer@other.example");
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails()[0]["to"], json!(["buyer@other.example"]));
}

/// A key has no address, and the account pays.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_of_the_order_of_a_key_of_the_account() {
    let (provider, app, scene) = start().await;
    let (items, owner) = (one_thing(&scene).await, &scene.cast.customer);
    let draft = json!({ "name": "Shop", "scopes": ["orders.write"] });
    let key = owner.rest("ServiceKeyService.CreateServiceKey", draft).await.success();
    let key = Actor::bearer(&app.endpoint, key.text("/secret"));
    key.rest(CREATE, json!({ "items": items })).await.success();
    wait_for_mails(&app.database, SENT, 1).await;
    assert_eq!(provider.mails()[0]["to"], json!([owner.as_user().email]));
}

/// Mail about money must reach somebody: another owner, or else the deactivated user.
#[tokio::test(flavor = "multi_thread")]
async fn an_owner_is_told_of_the_order_of_a_deactivated_user() {
    let (provider, app, scene) = start_without_jobs().await;
    let (customer, colleague) = (&scene.cast.customer, &scene.cast.colleague);
    for _ in 0..2 {
        order(&scene).await;
    }
    let mails = app.database.sql("SELECT id FROM mails").await;
    for (mail, [deactivated, recipient]) in mails.iter().zip([[customer, colleague], [colleague, customer]]) {
        let deactivate = "UPDATE users SET deactivated_at = now(), deactivation_reason = 'Left' WHERE id";
        app.database.sql(&format!("{deactivate} = '{}'", deactivated.as_user().id)).await;
        let id = mail[0].as_deref().expect("an id");
        ops::deliver(&app.app, MailId::parse(id).expect("an id")).await.expect("sent");
        let to = provider.mails().last().map(|mail| mail["to"].clone());
        assert_eq!(to, Some(json!([recipient.as_user().email])));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mail_that_was_given_up_is_removed_after_a_month() {
    let (app, scene) = Scene::start().await;
    order(&scene).await;
    let ran = async |task| app.run_task(task).await.expect("done");
    assert_eq!(count_in_state(&app.database, super::PENDING).await, 1);
    give_up(&app).await;
    assert_eq!(ran("forget_mails").await, 0);
    app.app.clock.advance(chrono::TimeDelta::days(31));
    assert_eq!(ran("forget_mails").await, 1);
    assert_eq!(app.database.number("SELECT count(*) FROM mails").await, 0);
}
