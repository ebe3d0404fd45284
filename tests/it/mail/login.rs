//! Sign-ins by mail.

use serde_json::json;

use super::{FAILED, SENT, start, text, wait_for_mails};
use crate::support::{PROTOCOLS, mail::token, unique};

const BEGIN: &str = "AuthService.BeginMailLogin";
const LOGIN: &str = "AuthService.LoginWithMail";

#[tokio::test(flavor = "multi_thread")]
async fn the_link_and_the_code_of_the_mail_sign_in() {
    let (provider, app, scene) = start().await;
    let email = scene.cast.customer.as_user().email.clone();
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        // Addresses are case-insensitive.
        let begun =
            scene.cast.anonymous.call(protocol, BEGIN, json!({ "email": email.to_uppercase() })).await.success();
        let binding = begun.text("/data/binding");
        let mails = provider.wait_for(number + 1).await;
        let mail = mails.last().expect("one more");
        assert_eq!((&mail["to"], mail["defects"].clone()), (&json!([email]), json!([])));
        let (token, body) = (token(mail), mail["text"].as_str().expect("text"));
        assert!(token.starts_with("mml_") && body.contains("https://api.shop.example/sign-in?"), "{body}");
        assert!(!mail.to_string().contains(&binding), "the browser alone has the binding");
        let (_, code) = body.split_once("Code: ").expect("a code");
        let code = code.lines().next().expect("a code").trim();
        let subject = mail["headers"]["subject"].to_string();
        assert!(!subject.contains(&code[..4]), "a locked screen shows the subject: {subject}");
        let answer = if number == 0 { json!({ "token": token }) } else { json!({ "code": code }) };
        let mut request = answer;
        request["binding"] = binding.into();
        scene.cast.anonymous.call(protocol, LOGIN, request.clone()).await.success();
        scene.cast.anonymous.call(protocol, LOGIN, request).await.failure("INVALID_TOKEN");
    }
    wait_for_mails(&app.database, SENT, 3).await;
}

/// An unknown address, and that of a deactivated user, get a mail without a recipient.
#[tokio::test(flavor = "multi_thread")]
async fn only_active_users_get_a_mail() {
    let (provider, app, scene) = start().await;
    let gone = scene.cast.customer.as_user();
    let request = json!({ "userId": gone.id.to_string(), "reason": "Left the company" });
    scene.cast.admin.rest("UserService.DeactivateUser", request).await.success();
    for email in [format!("{}@example.com", unique()), gone.email.clone()] {
        scene.cast.anonymous.rest(BEGIN, json!({ "email": email })).await.success();
    }
    wait_for_mails(&app.database, FAILED, 2).await;
    assert_eq!(text(&app.database, "SELECT DISTINCT failure FROM mails").await, "there is no recipient");
    assert_eq!(provider.attempts(), 0);
    assert_eq!(app.database.number("SELECT count(*) FROM mail_logins WHERE token_hash IS NOT NULL").await, 0);
}
