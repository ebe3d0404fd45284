//! Members and invitations of the scene's accounts, written to the database.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    cases::scene::Scene,
    support::{Actor, TestDatabase, unique},
};

pub(crate) fn new_address() -> String {
    format!("{}@example.com", unique())
}

/// The id of a user's membership in the user's first account.
pub(crate) async fn member_of(database: &TestDatabase, who: &Actor) -> String {
    let user = who.as_user();
    let query = format!("SELECT id FROM members WHERE user_id = '{}' AND account_id = '{}'", user.id, user.account);
    database.sql(&query).await[0][0].clone().expect("an id")
}

/// Gives a user another role in the user's first account, before the first sign-in.
pub(crate) async fn grant(database: &TestDatabase, who: &Actor, role: i16) {
    let user = who.as_user();
    let (id, account) = (user.id, user.account);
    database
        .sql(&format!("UPDATE members SET role = {role} WHERE user_id = '{id}' AND account_id = '{account}'"))
        .await;
}

/// Makes a user a member of the account of another user, with a built-in role; returns the id of the membership.
pub(crate) async fn join(database: &TestDatabase, who: &Actor, account_of: &Actor, role: i16) -> String {
    let (user, account) = (who.as_user().id, account_of.as_user().account);
    let insert = format!(
        "INSERT INTO members (id, account_id, user_id, role, created_at, updated_at)
         VALUES (gen_random_uuid(), '{account}', '{user}', {role}, clock_timestamp(), clock_timestamp()) RETURNING id"
    );
    database.sql(&insert).await[0][0].clone().expect("an id")
}

/// Invites a new address to the customer's account; returns the id of the invitation.
pub(crate) async fn create_invitation(scene: &Scene) -> String {
    let request = json!({ "email": new_address(), "role": "MEMBER_ROLE_MEMBER" });
    scene.cast.customer.rest("InvitationService.CreateInvitation", request).await.success().id()
}

/// Creates the token that the mail of the customer's invitation would contain, without sending a mail.
pub(crate) async fn create_token(scene: &Scene, email: &str) -> String {
    let user = scene.cast.customer.as_user();
    let token = format!("miv_{}", BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(unique())));
    let statement = format!(
        "INSERT INTO invitations (id, account_id, email, role, invited_by, token_hash, created_at, updated_at, expires_at)
         VALUES (gen_random_uuid(), '{}', '{email}', 3, '{}', sha256('{token}'), now(), now(), now() + interval '7 days')",
        user.account, user.id
    );
    scene.database.sql(&statement).await;
    token
}
