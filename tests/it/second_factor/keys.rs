//! The secrets are sealed with a key that rotates.

use base64::{Engine as _, prelude::BASE64_STANDARD as STANDARD};
use chrono::TimeDelta;
use data_encoding::BASE32;
use mainstay::identity::second_factor::ops;

use super::{add_to, sign_in_fully};
use crate::support::{TestApp, servers::SECRET_KEY};

#[tokio::test(flavor = "multi_thread")]
async fn second_factors_outlive_a_rotation_of_the_secret_key() {
    let (app, cast) = TestApp::start_with_cast().await;
    let (factor, user) = (add_to(&app, &cast.customer).await, cast.customer.as_user());
    let plain = BASE32.decode(factor.secret.as_bytes()).expect("Base32");
    let hex: String = plain.iter().map(|byte| format!("{byte:02x}")).collect();
    let found = format!("SELECT count(*) FROM second_factors WHERE encode(secret, 'hex') LIKE '%{hex}%'");
    assert_eq!(app.database.number(&found).await, 0, "the secret is stored in plain");
    let key = STANDARD.encode([7; 32]);
    let both = TestApp::builder().on(&app.database).set("SECRET_KEY", format!("{key},{SECRET_KEY}")).start().await;
    both.app.clock.advance(app.app.clock.now() - both.app.clock.now());
    sign_in_fully(&both, user, &factor).await;
    assert_eq!(ops::reseal(&both.app).await.expect("all can be opened"), 1);
    let new = TestApp::builder().on(&app.database).set("SECRET_KEY", key).start().await;
    // A signing key is replaced once no instance with the former secret can have made it just now.
    new.app.clock.advance(both.app.clock.now() - new.app.clock.now() + TimeDelta::minutes(5));
    sign_in_fully(&new, user, &factor).await;
    ops::reseal(&app.app).await.expect_err("the former key opens nothing any more");
}
