//! Password resets by mail.

use serde_json::json;

use super::{FAILED, SENT, start, text, wait_for_mails};
use crate::support::{PROTOCOLS, mail::token, unique};

const REQUEST: &str = "AuthService.RequestPasswordReset";

#[tokio::test(flavor = "multi_thread")]
async fn the_token_of_the_mail_sets_the_password() {
    let (provider, app, scene) = start().await;
    let email = scene.cast.customer.as_user().email.clone();
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        // Addresses are case-insensitive.
        let request = json!({ "email": email.to_uppercase() });
        scene.cast.anonymous.call(protocol, REQUEST, request).await.success();
        let mails = provider.wait_for(number + 1).await;
        let mail = mails.last().expect("one more");
        assert_eq!((&mail["to"], mail["defects"].clone()), (&json!([email]), json!([])));
        let (token, password) = (token(mail), format!("brand new {}", unique()));
        assert!(
            token.starts_with("mpr_")
                && mail["text"].as_str().is_some_and(|text| text.contains("https://api.shop.example/reset-password?"))
        );
        assert!(mail["html"].as_str().is_some_and(|html| html.contains(&token)));
        let confirm = json!({ "token": token, "password": password });
        scene.cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm.clone()).await.success();
        scene.cast.anonymous.call(protocol, "AuthService.ConfirmPasswordReset", confirm).await.failure("INVALID_TOKEN");
        let sign_in = json!({ "email": email, "password": password });
        scene.cast.anonymous.call(protocol, "AuthService.Login", sign_in).await.success();
    }
    wait_for_mails(&app.database, SENT, 3).await;
    assert_eq!(provider.mails().len(), 3);
}

/// An unknown address gets a mail without a recipient, so the request does the same work.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_gets_no_mail() {
    let (provider, app, scene) = start().await;
    let unknown = json!({ "email": format!("{}@example.com", unique()) });
    scene.cast.anonymous.rest(REQUEST, unknown).await.success();
    wait_for_mails(&app.database, FAILED, 1).await;
    assert_eq!(text(&app.database, "SELECT failure FROM mails").await, "there is no recipient");
    assert_eq!(provider.attempts(), 0);
    assert_eq!(app.database.number("SELECT count(*) FROM password_resets").await, 0);
}
