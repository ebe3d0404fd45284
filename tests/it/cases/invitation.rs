//! Invitations to accounts.

use serde_json::json;

use super::{
    Case,
    Expected::{Reason, Status},
    call, cases,
    membership::{create_invitation, create_token, grant, new_address},
};
use crate::support::people::PASSWORD;

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "InvitationService.CreateInvitation" {
            "a new address" => Status(201), |scene| call(&scene.cast.customer, json!({
                "accountId": scene.account(), "email": new_address(), "role": "MEMBER_ROLE_MEMBER",
            }));
            "the address of a user" => Status(201), |scene| call(&scene.cast.customer, json!({
                "email": scene.cast.stranger.as_user().email, "role": "MEMBER_ROLE_VIEWER",
            }));
            "the address of a member" => Reason("ALREADY_EXISTS"), |scene| call(&scene.cast.customer, json!({
                "email": scene.cast.colleague.as_user().email, "role": "MEMBER_ROLE_VIEWER",
            }));
            "more than the caller has" => Reason("PERMISSION_DENIED"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({ "email": new_address(), "role": "MEMBER_ROLE_OWNER" }))
            };
            "beyond the limit" => Reason("INVITATION_LIMIT_REACHED"), |scene| {
                let user = scene.cast.customer.as_user();
                scene.database.sql(&format!(
                    "INSERT INTO invitations (id, account_id, email, role, invited_by, created_at, updated_at, expires_at)
                     SELECT gen_random_uuid(), '{}', n || '@example.com', 3, '{}', now(), now(), now() + interval '1 day'
                     FROM generate_series(1, 100) AS n", user.account, user.id
                )).await;
                call(&scene.cast.customer, json!({ "email": new_address(), "role": "MEMBER_ROLE_MEMBER" }))
            };
            "without an account" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.admin, json!({ "email": new_address(), "role": "MEMBER_ROLE_MEMBER" }))
            };
        }
        "InvitationService.ListInvitations" {
            "of the account" => Status(200), |scene| call(&scene.cast.customer, json!({ "accountId": scene.account() }));
        }
        "InvitationService.GetInvitation" {
            "one of the account" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "invitationId": create_invitation(&scene).await }))
            };
            "one of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.stranger, json!({ "invitationId": create_invitation(&scene).await }))
            };
        }
        "InvitationService.ResendInvitation" {
            "one of the account" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "invitationId": create_invitation(&scene).await }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "invitationId": create_invitation(&scene).await }))
                    .header("if-match", "\"9\"")
            };
        }
        "InvitationService.RevokeInvitation" {
            "one of the account" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "invitationId": create_invitation(&scene).await }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "invitationId": create_invitation(&scene).await }))
                    .header("if-match", "\"9\"")
            };
        }
        "InvitationService.PreviewInvitation" {
            "a valid token" => Status(200), |scene| {
                call(&scene.cast.anonymous, json!({ "token": create_token(&scene, &new_address()).await }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.anonymous, json!({ "token": "nonsense" }));
        }
        "InvitationService.AcceptInvitation" {
            "the caller's own" => Status(201), |scene| {
                // An agent is a person like any other here.
                let token = create_token(&scene, &scene.cast.agent.as_user().email).await;
                call(&scene.cast.agent, json!({ "token": token }))
            };
            "that of another address" => Reason("INVITATION_FOR_ANOTHER_ADDRESS"), |scene| {
                let token = create_token(&scene, &scene.cast.agent.as_user().email).await;
                call(&scene.cast.stranger, json!({ "token": token }))
            };
            "a member" => Reason("ALREADY_EXISTS"), |scene| {
                let token = create_token(&scene, &scene.cast.colleague.as_user().email).await;
                call(&scene.cast.colleague, json!({ "token": token }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| call(&scene.cast.customer, json!({ "token": "nonsense" }));
        }
        "InvitationService.AcceptInvitationAsNewUser" {
            "a new user" => Status(201), |scene| {
                let token = create_token(&scene, &new_address()).await;
                call(&scene.cast.anonymous, json!({ "token": token, "password": PASSWORD, "name": "Zoë" }))
            };
            "an address that has a user" => Reason("ALREADY_EXISTS"), |scene| {
                let token = create_token(&scene, &scene.cast.stranger.as_user().email).await;
                call(&scene.cast.anonymous, json!({ "token": token, "password": PASSWORD, "name": "Zoë" }))
            };
            "an invalid token" => Reason("INVALID_TOKEN"), |scene| {
                call(&scene.cast.anonymous, json!({ "token": "nonsense", "password": PASSWORD, "name": "Zoë" }))
            };
            "a common password" => Reason("VALIDATION_FAILED"), |scene| {
                let token = create_token(&scene, &new_address()).await;
                call(&scene.cast.anonymous, json!({ "token": token, "password": "password1234", "name": "Zoë" }))
            };
        }
    }
}
