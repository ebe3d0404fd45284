//! Sign-in on the pages of this server, by forms alone.

mod attacks;

use mainstay_dev_servers::{Redis, RedisOptions};
use serde_json::json;
use url::form_urlencoded;

use super::mail_login::{code, send};
use crate::{
    mail::pages::get,
    second_factor::add_to,
    support::{
        TestApp,
        oidc::{Browser, Page},
        people::User,
    },
};

const SIGN_IN: &str = "/session/sign-in";
const SECOND_FACTOR: &str = "/session/sign-in/second-factor";
const CODE: &str = "/session/sign-in/code";
const PLACE: &str = "/console/tickets?q=a";
/// The place as the parameter of a page.
const RETURN: &str = "?return=%2Fconsole%2Ftickets%3Fq%3Da";

fn form(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// Submits a form of a page that leads to the place.
async fn submit(browser: &mut Browser, path: &str, pairs: &[(&str, &str)]) -> Page {
    let pairs = [&[("return", PLACE)][..], pairs].concat();
    browser.submit(path, &form(&pairs)).await
}

async fn prove(browser: &mut Browser, user: &User) -> Page {
    submit(browser, SIGN_IN, &[("email", &user.email), ("password", &user.password)]).await
}

/// Checks that the browser has signed in, and was led to the place.
async fn assert_arrived(browser: &mut Browser, page: &Page) {
    assert_eq!((page.status, page.location.as_str()), (303, PLACE), "{page:#?}");
    assert!(!browser.cookies.keys().any(|name| name.contains("challenge") || name.contains("mail")), "{browser:#?}");
    browser.access_token().await;
}

/// Checks that a field has the failure.
#[track_caller]
fn assert_faulty(page: &Page, field: &str) {
    let begins = page.set_cookies.iter().any(|line| line.contains("session="));
    assert!(!begins && page.html.contains("role=\"alert\" id=\"problem\""), "{page:#?}");
    let (_, rest) = page.html.split_once(&format!("<input id=\"{field}\"")).unwrap_or_else(|| panic!("{page:#?}"));
    let (input, _) = rest.split_once('>').expect("the end of the field");
    assert!(input.contains("aria-invalid=\"true\" aria-describedby=\"problem\""), "{input}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_signs_in_and_a_wrong_one_is_told() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    let page = browser.open(&format!("{SIGN_IN}{RETURN}")).await;
    assert_eq!(page.status, 200, "{page:#?}");
    assert!(page.html.contains("name=\"return\" value=\"&#x2f;console&#x2f;tickets?q=a\""), "{}", page.html);
    for link in ["href=\"/reset-password\"", "href=\"/register\""] {
        assert!(page.html.contains(link), "{link}: {}", page.html);
    }
    let wrong = submit(&mut browser, SIGN_IN, &[("email", &user.email), ("password", "not this one")]).await;
    assert_eq!(wrong.status, 422, "{wrong:#?}");
    assert_faulty(&wrong, "password");
    assert!(wrong.html.contains(&user.email) && !wrong.html.contains("not this one"), "{}", wrong.html);
    assert!(wrong.html.contains("value=\"&#x2f;console&#x2f;tickets?q=a\""), "the place is kept: {}", wrong.html);
    let nobody = submit(&mut browser, SIGN_IN, &[("email", "nobody"), ("password", "x")]).await;
    assert_faulty(&nobody, "email");
    let page = prove(&mut browser, user).await;
    assert_arrived(&mut browser, &page).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_a_device_remembered() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    let challenged = prove(&mut browser, user).await;
    let asked = format!("{SECOND_FACTOR}{RETURN}");
    assert_eq!((challenged.status, &challenged.location), (303, &asked), "{challenged:#?}");
    assert!(!browser.cookies.keys().any(|name| name.contains("session")), "{browser:#?}");
    let page = browser.open(&asked).await;
    assert!(
        page.html.contains("autocomplete=\"one-time-code\"") && page.html.contains("name=\"remember\""),
        "{page:#?}"
    );
    for wrong in [factor.wrong(&app).as_str(), "12", ""] {
        let page = submit(&mut browser, SECOND_FACTOR, &[("code", wrong)]).await;
        assert_eq!(page.status, 422, "{page:#?}");
        assert_faulty(&page, "code");
        assert!(page.html.contains("name=\"remember\""), "{}", page.html);
    }
    let answer = factor.code(&app);
    let page = submit(&mut browser, SECOND_FACTOR, &[("code", &answer), ("remember", "true")]).await;
    assert_arrived(&mut browser, &page).await;
    let page = prove(&mut browser, user).await;
    assert_arrived(&mut browser, &page).await;
    // Without a challenge, the sign-in begins again.
    let mut other = Browser::new(&app.endpoint);
    let expired = format!("{SIGN_IN}{RETURN}&sign_in_error=INVALID_TOKEN");
    for page in [other.open(&asked).await, submit(&mut other, SECOND_FACTOR, &[("code", &answer)]).await] {
        assert_eq!((page.status, &page.location), (303, &expired), "{page:#?}");
    }
    assert!(other.open(&expired).await.html.contains("It took too long"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_code_takes_the_place_of_the_app_once() {
    let (app, cast) = TestApp::start_with_cast().await;
    let factor = add_to(&app, &cast.customer).await;
    let user = cast.customer.as_user();
    let (mut first, mut second) = (Browser::new(&app.endpoint), Browser::new(&app.endpoint));
    for browser in [&mut first, &mut second] {
        assert_eq!(prove(browser, user).await.status, 303);
    }
    let typed = [("code", ""), ("recovery", factor.recovery[0].as_str())];
    let page = submit(&mut first, SECOND_FACTOR, &typed).await;
    assert_arrived(&mut first, &page).await;
    let again = submit(&mut second, SECOND_FACTOR, &typed).await;
    assert_eq!(again.status, 422, "{again:#?}");
    assert_faulty(&again, "recovery");
    assert!(again.html.contains("<details open>"), "{}", again.html);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_signs_in_by_the_code_and_by_the_link() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    let nobody = submit(&mut browser, "/session/sign-in/mail", &[("email", "")]).await;
    assert_faulty(&nobody, "email");
    let asked = format!("{CODE}{RETURN}");
    for email in ["unknown@example.com", user.email.as_str()] {
        let page = submit(&mut browser, "/session/sign-in/mail", &[("email", email), ("password", "")]).await;
        assert_eq!((page.status, &page.location), (303, &asked), "{page:#?}");
    }
    assert!(browser.open(&asked).await.html.contains("inputmode=\"numeric\""));
    send(&app.database, &user.email).await;
    let right = code(&app, &user.email).await;
    let wrong = if right == "00000000" { "00000001" } else { "00000000" };
    for wrong in [wrong, "12"] {
        let page = submit(&mut browser, CODE, &[("code", wrong)]).await;
        assert_eq!(page.status, 422, "{page:#?}");
        assert_faulty(&page, "code");
    }
    let page = submit(&mut browser, CODE, &[("code", &right)]).await;
    assert_arrived(&mut browser, &page).await;
    let again = submit(&mut browser, CODE, &[("code", &right)]).await;
    assert_eq!(again.location, format!("{SIGN_IN}{RETURN}&sign_in_error=INVALID_TOKEN"), "{again:#?}");
}

/// The form of the link has no place, which a cookie keeps.
#[tokio::test(flavor = "multi_thread")]
async fn the_link_of_a_mail_leads_to_the_page_that_waits() {
    let (app, cast) = TestApp::start_with_cast().await;
    let user = cast.customer.as_user();
    let mut browser = Browser::new(&app.endpoint);
    submit(&mut browser, "/session/sign-in/mail", &[("email", &user.email)]).await;
    // The configuration says that links in mail come without TLS, and so does the page here.
    assert!(browser.cookies.contains_key("mainstay_place"), "{browser:#?}");
    let token = send(&app.database, &user.email).await;
    let page = browser.submit("/session/mail/link", &form(&[("token", &token)])).await;
    assert_arrived(&mut browser, &page).await;
    assert!(!browser.cookies.contains_key("mainstay_place"), "{browser:#?}");
}

/// The pages of a reset and of a registration lead back to the first page without a place, which a cookie keeps.
#[tokio::test(flavor = "multi_thread")]
async fn a_reset_and_a_registration_lead_back_to_the_page_that_waits() {
    let (app, cast) = TestApp::start_with_cast().await;
    let mut browser = Browser::new(&app.endpoint);
    browser.open(&format!("{SIGN_IN}{RETURN}")).await;
    for path in ["/reset-password", "/register"] {
        let page = browser.open(path).await;
        assert!(page.html.contains("href=\"&#x2f;session&#x2f;sign-in\""), "{path}: {}", page.html);
    }
    let page = browser.open(SIGN_IN).await;
    assert!(page.html.contains("name=\"return\" value=\"&#x2f;console&#x2f;tickets?q=a\""), "{}", page.html);
    let page = prove(&mut browser, cast.customer.as_user()).await;
    assert_arrived(&mut browser, &page).await;
    assert!(!browser.cookies.contains_key("mainstay_place"), "{browser:#?}");
    let page = browser.open(SIGN_IN).await;
    assert!(!page.html.contains("tickets"), "{}", page.html);
    // A script signs in, as with a passkey.
    browser.open(&format!("{SIGN_IN}{RETURN}")).await;
    let user = cast.customer.as_user();
    browser.post("/session", &json!({ "email": user.email, "password": user.password })).await;
    assert!(!browser.cookies.contains_key("mainstay_place"), "{browser:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn too_many_wrong_passwords_are_refused_with_the_time() {
    let redis = Redis::start(RedisOptions::default()).await.expect("a Redis");
    let (app, cast) =
        TestApp::builder().set("REDIS_URL", redis.url()).set("RATE_LIMIT_LOGIN", "2/10m").start_with_cast().await;
    let unknown = User { email: "unknown@example.com".to_owned(), ..cast.customer.as_user().clone() };
    for user in [cast.customer.as_user(), &unknown] {
        let mut browser = Browser::new(&app.endpoint);
        for _ in 0..2 {
            let wrong = submit(&mut browser, SIGN_IN, &[("email", &user.email), ("password", "wrong")]).await;
            assert_eq!(wrong.status, 422, "{wrong:#?}");
        }
        let refused = prove(&mut browser, user).await;
        assert!(refused.status == 429 && refused.set_cookies.is_empty(), "{refused:#?}");
        let told = refused.html.contains("Too many attempts.") && refused.html.contains(" min.");
        assert!(told && refused.html.contains("Or reset the password."), "{}", refused.html);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_are_german_and_have_the_appearance_of_the_configuration() {
    let app = TestApp::builder()
        .set("APP_NAME", "Laden")
        .set("APP_COLOR", "#ffee00")
        .set("APP_LOGO_URL", "https://cdn.example/logo.svg?a;b")
        .start()
        .await;
    for (path, text) in [
        (SIGN_IN.to_owned(), "Bei Laden anmelden"),
        (format!("{SIGN_IN}?sign_in_error=INVALID_TOKEN"), "Es hat zu lange gedauert."),
        ("/reset-password".to_owned(), "Passwort zurücksetzen"),
    ] {
        let page = app.endpoint.get(&path).await;
        let policy = page.header("content-security-policy").expect("a policy");
        assert!(policy.contains("; img-src https://cdn.example;"), "{policy}");
        let page = get(&app, &path).await;
        assert!(page.html.contains(text) && page.html.contains("alt=\"Laden\""), "{path}: {}", page.html);
    }
    let page = get(&app, SIGN_IN).await;
    assert!(page.html.contains("lang=\"de\"") && page.html.contains(">Anmelden<"), "{}", page.html);
    assert!(!page.html.contains("background: #ffee00"), "white text would be unreadable on it: {}", page.html);
    assert_eq!(app.endpoint.get("/session/sign-in/passkey.js").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_way_that_is_off_is_not_offered() {
    let app = TestApp::builder().set("MAIL_SIGN_IN", "false").start().await;
    let mut browser = Browser::new(&app.endpoint);
    let page = browser.open(SIGN_IN).await;
    assert!(!page.html.contains("Sign in by mail") && page.html.contains("Sign in with your company"), "{}", page.html);
    let refused = submit(&mut browser, "/session/sign-in/mail", &[("email", "ada@example.com")]).await;
    assert!(refused.status == 422 && refused.html.contains("role=\"alert\""), "{refused:#?}");
    let unknown = submit(&mut browser, "/session/sign-in/company", &[("email", "ada@unknown.example")]).await;
    assert_eq!(unknown.status, 404, "{unknown:#?}");
    assert_faulty(&unknown, "email");
    // A failure leaves the address of the form in the browser.
    for path in ["/session/sign-in/mail", "/session/sign-in/company"] {
        let page = browser.open(path).await;
        assert_eq!((page.status, page.location.as_str()), (303, SIGN_IN), "{page:#?}");
    }
}
