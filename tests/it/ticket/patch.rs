//! A patch changes the present fields, or the fields that the mask names.

use serde_json::{Value, json};

use crate::{
    cases::ticket,
    support::{PROTOCOLS, TestApp},
};

#[tokio::test]
async fn a_patch_follows_the_mask_or_changes_the_present_fields() {
    let (_app, cast) = TestApp::start_with_cast().await;
    for protocol in PROTOCOLS {
        let id = ticket(&cast.customer).await;
        let patch = async |patch: Value, mask: Option<&str>| {
            let mut request = json!({ "ticketId": id, "ticket": patch });
            if let Some(mask) = mask {
                request["updateMask"] = mask.into();
            }
            cast.customer.call(protocol, "TicketService.UpdateTicket", request).await
        };
        let response = patch(json!({ "subject": "S", "tags": ["a", "b"] }), None).await.success();
        assert_eq!((&response.data()["subject"], &response.data()["tags"]), (&json!("S"), &json!(["a", "b"])));
        assert_eq!(response.text("/data/version"), "2");
        let masked = patch(json!({ "subject": "T", "body": "not this" }), Some("subject")).await.success();
        assert_eq!((&masked.data()["subject"], &masked.data()["body"]), (&json!("T"), &json!("It burns.")));
        let cleared = patch(json!({}), Some("tags")).await.success();
        assert_eq!(cleared.data()["tags"], json!([]), "clearing needs the mask");
        patch(json!({ "subject": "U" }), Some("nothing")).await.failure("VALIDATION_FAILED");
        patch(json!({}), None).await.failure("VALIDATION_FAILED");
        // A field without a default can't be cleared.
        patch(json!({}), Some("subject")).await.failure("VALIDATION_FAILED");
    }
}
