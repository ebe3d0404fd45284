//! Addresses and texts of mails reach only the provider.

use std::sync::Arc;

use serde_json::json;

use super::{SENT, process, wait_for_at_least, wait_for_mails};
use crate::{
    cases::{
        Scene,
        order::{order, product},
    },
    support::{Process, Protocol, TestDatabase, mail::MailProvider, mail::well, unique},
};

#[tokio::test(flavor = "multi_thread")]
async fn neither_log_nor_table_reveals_the_mail() {
    let (provider, database) = (MailProvider::start().await, Arc::new(TestDatabase::new().await));
    // The most verbose level, for the SMTP crate too.
    let server = process(&database, &provider, &[("RUST_LOG", "info,mainstay=trace,lettre=trace")]).await;
    let scene = Scene::at(&server, &database).await;
    let email = scene.cast.customer.as_user().email.clone();
    let other = format!("{}@other.example", unique());

    provider.behave(&json!({ "rcpt": format!("450 4.2.0 <{email}> and <{other}> later, {email}") }));
    order(&scene).await;
    let items = json!([{ "productId": product(&scene, 150, "EUR").await, "quantity": 1 }]);
    let named = json!({ "items": items, "accountId": scene.account(), "confirmationEmail": other });
    scene.cast.agent.rest("OrderService.CreateOrder", named.clone()).await.success();
    scene.cast.anonymous.rest("AuthService.RequestPasswordReset", json!({ "email": email })).await.success();
    wait_for_at_least(&database, "SELECT min(attempts) FROM mails", 2).await;
    provider.behave(&well());
    wait_for_mails(&database, SENT, 3).await;
    provider.behave(&json!({ "data": format!("550 5.1.1 {other} is unknown") }));
    scene.cast.agent.call(Protocol::Grpc, "OrderService.CreateOrder", named).await.success();
    wait_for_at_least(&database, "SELECT count(*) FROM mails WHERE state = 3", 1).await;

    let mails = provider.mails();
    assert_eq!(mails.len(), 3);
    let texts = mails.iter().filter_map(|mail| mail["text"].as_str()).collect::<Vec<_>>().join("\n");
    let token = texts.split(['=', '\n']).find(|word| word.starts_with("mpr_")).expect("a token");
    let page = format!("{}/reset-password?token={token}", server.endpoint.base());
    assert_eq!(server.endpoint.http.get(page).send().await.expect("an answer").status(), 200);
    server.wait_for_log("/reset-password").await;
    let log = server.log();
    assert!(log.matches("a mail was sent").count() == 3 && log.contains("a mail will not be sent"), "a log: {log}");
    let rows = database.sql("SELECT mails::text FROM mails").await;
    let rows: String = rows.into_iter().flatten().flatten().collect();
    let (local, other_local) = (email.split('@').next().expect("a part"), other.split('@').next().expect("a part"));
    for secret in [&email, &other, local, other_local, token, "sesame", "Thank you for your order", "A thing"] {
        assert!(!log.contains(secret), "the log has {secret}:\n{log}");
        assert!(!rows.contains(secret), "the table has {secret}:\n{rows}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_transport_logs_no_text() {
    let database = Arc::new(TestDatabase::new().await);
    let server = Process::with(&database, &[("MAIL_TRANSPORT", "log")]).await;
    let scene = Scene::at(&server, &database).await;
    order(&scene).await;
    let email = scene.cast.customer.as_user().email.clone();
    scene.cast.anonymous.rest("AuthService.RequestPasswordReset", json!({ "email": email })).await.success();
    wait_for_mails(&database, SENT, 2).await;
    for expected in ["a mail would be sent", "order_confirmation", "password_reset"] {
        server.wait_for_log(expected).await;
    }
    let log = server.log();
    for secret in [email.as_str(), "mpr_", "Total"] {
        assert!(!log.contains(secret), "{secret}:\n{log}");
    }
}
