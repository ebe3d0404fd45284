//! The mails about a changed password and a changed address.

use serde_json::{Value, json};

use super::{SENT, header, pages, start, wait_for_mails};
use crate::{
    session::email_change::new_address,
    support::{PROTOCOLS, Protocol, mail::token, people::PASSWORD, unique},
};

const REQUEST: &str = "AuthService.RequestEmailChange";
const CONFIRM: &str = "AuthService.ConfirmEmailChange";
const UNDO: &str = "AuthService.UndoEmailChange";

fn text(mail: &Value) -> &str {
    mail["text"].as_str().expect("text")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_at_the_new_one_and_restored_from_the_old_one() {
    let (provider, app, scene) = start().await;
    let cast = &scene.cast;
    let mut count = 0;
    for (who, protocol) in [&cast.customer, &cast.agent, &cast.admin].into_iter().zip(PROTOCOLS) {
        let (old, new) = (who.as_user().email.clone(), new_address());
        let request = json!({ "currentPassword": PASSWORD, "email": new.to_uppercase() });
        who.call(protocol, REQUEST, request).await.success();
        let mails = provider.wait_for(count + 1).await;
        let mail = mails.last().expect("one more");
        assert_eq!((&mail["to"], mail["defects"].clone()), (&json!([new]), json!([])));
        let confirm = token(mail);
        assert!(confirm.starts_with("mec_") && text(mail).contains("https://api.shop.example/confirm-email?token="));
        let me = who.call(protocol, "UserService.GetMe", json!({})).await.success();
        assert_eq!(me.text("/data/email"), old, "it waits for the confirmation");
        cast.anonymous.call(protocol, CONFIRM, json!({ "token": confirm })).await.success();
        cast.anonymous.call(protocol, CONFIRM, json!({ "token": confirm })).await.failure("INVALID_TOKEN");

        let mails = provider.wait_for(count + 2).await;
        let mail = mails.last().expect("one more");
        assert_eq!(mail["to"], json!([old]));
        let undo = token(mail);
        assert!(undo.starts_with("meu_") && text(mail).contains("https://api.shop.example/undo-email-change?token="));
        assert!(!mail.to_string().contains(&new), "the old address does not learn the new one");
        cast.anonymous.call(protocol, UNDO, json!({ "token": undo })).await.success();
        cast.anonymous.call(protocol, UNDO, json!({ "token": undo })).await.failure("INVALID_TOKEN");
        who.call(protocol, "UserService.GetMe", json!({})).await.failure("SESSION_REVOKED");

        let mails = provider.wait_for(count + 3).await;
        let mail = mails.last().expect("one more");
        assert_eq!(mail["to"], json!([old]));
        let password = format!("brand new {}", unique());
        let reset = json!({ "token": token(mail), "password": password });
        cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", reset).await.success();
        let sign_in = json!({ "email": old, "password": password });
        cast.anonymous.call(protocol, "AuthService.Login", sign_in).await.success();
        count += 3;
    }
    wait_for_mails(&app.database, SENT, 9).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_mail_to_an_address_in_use_has_no_token() {
    let (provider, app, scene) = start().await;
    let cast = &scene.cast;
    let german = json!({ "userId": cast.stranger.as_user().id.to_string(), "user": { "language": "de" } });
    cast.stranger.rest("UserService.UpdateUser", german).await.success();
    let taken = cast.stranger.as_user().email.clone();
    let request = json!({ "currentPassword": PASSWORD, "email": taken });
    cast.customer.rest(REQUEST, request).await.success();
    let mails = provider.wait_for(1).await;
    assert_eq!(mails[0]["to"], json!([taken]));
    assert!(text(&mails[0]).contains("wird schon verwendet") && !mails[0].to_string().contains("mec_"), "{mails:#?}");
    assert!(!mails[0].to_string().contains(&cast.customer.as_user().email));
    assert_eq!(app.database.number("SELECT count(*) FROM email_changes WHERE token_hash IS NOT NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_is_told_of_a_changed_password() {
    let (provider, app, scene) = start().await;
    let who = &scene.cast.customer;
    let request = json!({ "currentPassword": PASSWORD, "password": format!("brand new {}", unique()) });
    who.call(Protocol::Grpc, "AuthService.ChangePassword", request).await.success();
    let mails = provider.wait_for(1).await;
    assert_eq!(mails[0]["to"], json!([who.as_user().email]));
    assert_eq!(header(&mails[0], "subject"), "Your password was changed");
    assert!(text(&mails[0]).contains("https://api.shop.example/reset-password\n"), "{mails:#?}");
    wait_for_mails(&app.database, SENT, 1).await;
}

/// The pages that the links open when no front end serves them.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_confirmed_and_restored_without_a_script() {
    let (provider, app, scene) = start().await;
    let who = &scene.cast.customer;
    let new = new_address();
    who.rest(REQUEST, json!({ "currentPassword": PASSWORD, "email": new })).await.success();
    let steps = [
        ("/confirm-email", new.as_str(), "has this address now"),
        ("/undo-email-change", &who.as_user().email, "has this address back"),
    ];
    for (number, (path, email, told)) in steps.into_iter().enumerate() {
        let token = token(&provider.wait_for(number + 1).await[number]);
        let form = pages::get(&app, &format!("{path}?token={token}")).await;
        assert!(form.status == 200 && form.html.contains(&format!("value=\"{token}\"")), "{}", form.html);
        assert!(form.html.contains(&format!("action=\"{path}\"")) && !form.html.contains("<script"), "{}", form.html);
        assert_eq!(pages::post(&app, path, &[("token", &token)], "cross-site").await.status, 403);
        let users = format!("SELECT count(*) FROM users WHERE email = '{email}'");
        assert_eq!(app.database.number(&users).await, 0, "viewing a page changes nothing");
        let page = pages::post(&app, path, &[("token", &token)], "same-origin").await;
        assert!(page.status == 200 && page.html.contains(told), "{}", page.html);
        assert_eq!(app.database.number(&users).await, 1);
        let again = pages::post(&app, path, &[("token", &token)], "same-origin").await;
        assert!(again.status == 410 && !again.html.contains(&token) && !again.html.contains("<form"), "{}", again.html);
    }
}
