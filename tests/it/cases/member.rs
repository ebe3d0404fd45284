//! Members of accounts.

use serde_json::json;

use super::membership::{grant, member_of};
use super::{
    Case,
    Expected::{Reason, Status},
    call, cases, unknown_id,
};

pub(crate) fn cases() -> Vec<Case> {
    cases! {
        "MemberService.ListMembers" {
            "of the account" => Status(200), |scene| call(&scene.cast.customer, json!({ "accountId": scene.account() }));
            "the owners" => Status(200), |scene| call(&scene.cast.agent, json!({
                "accountId": scene.account(), "roles": ["MEMBER_ROLE_OWNER", "MEMBER_ROLE_CUSTOM"], "pageSize": 1,
            }));
            "of a person" => Status(200), |scene| {
                call(&scene.cast.agent, json!({ "userId": scene.cast.customer.as_user().id.to_string() }))
            };
            "of no role" => Reason("VALIDATION_FAILED"), |scene| {
                call(&scene.cast.customer, json!({ "roles": ["MEMBER_ROLE_UNSPECIFIED"] }))
            };
        }
        "MemberService.GetMember" {
            "a colleague" => Status(200), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await }))
            };
            "of another account" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.stranger).await }))
            };
        }
        "MemberService.UpdateMember" {
            "another role" => Status(200), |scene| call(&scene.cast.customer, json!({
                "memberId": member_of(&scene.database, &scene.cast.colleague).await, "member": { "role": "MEMBER_ROLE_VIEWER" },
            }));
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| call(&scene.cast.customer, json!({
                "memberId": member_of(&scene.database, &scene.cast.colleague).await, "member": { "role": "MEMBER_ROLE_VIEWER" },
            })).header("if-match", "\"9\"");
            "a custom role without its id" => Reason("VALIDATION_FAILED"), |scene| call(&scene.cast.customer, json!({
                "memberId": member_of(&scene.database, &scene.cast.colleague).await, "member": { "role": "MEMBER_ROLE_CUSTOM" },
            }));
            "the last owner" => Reason("LAST_OWNER"), |scene| call(&scene.cast.stranger, json!({
                "memberId": member_of(&scene.database, &scene.cast.stranger).await, "member": { "role": "MEMBER_ROLE_ADMIN" },
            }));
            "more than the caller has" => Reason("PERMISSION_DENIED"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({
                    "memberId": member_of(&scene.database, &scene.cast.customer).await, "member": { "role": "MEMBER_ROLE_OWNER" },
                }))
            };
            "an unknown member" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "memberId": unknown_id(), "member": { "role": "MEMBER_ROLE_VIEWER" } }))
            };
        }
        "MemberService.RemoveMember" {
            "a colleague" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await }))
            };
            "with an old tag" => Reason("ETAG_MISMATCH"), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await }))
                    .header("if-match", "\"9\"")
            };
            "the last owner" => Reason("LAST_OWNER"), |scene| {
                call(&scene.cast.admin, json!({ "memberId": member_of(&scene.database, &scene.cast.stranger).await }))
            };
            "an owner by an admin of the account" => Reason("PERMISSION_DENIED"), |scene| {
                grant(&scene.database, &scene.cast.customer, 2).await;
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await }))
            };
        }
        "MemberService.LeaveAccount" {
            "one of two owners" => Status(204), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.customer).await }))
            };
            "the last owner" => Reason("LAST_OWNER"), |scene| {
                call(&scene.cast.stranger, json!({ "memberId": member_of(&scene.database, &scene.cast.stranger).await }))
            };
            "a colleague" => Reason("NOT_FOUND"), |scene| {
                call(&scene.cast.customer, json!({ "memberId": member_of(&scene.database, &scene.cast.colleague).await }))
            };
        }
    }
}
