//! A mask omits fields over every protocol, and adds none.

use serde_json::json;

use crate::{
    cases::{Scene, draft},
    support::{PROTOCOLS, Raw, Response},
};

/// The fields of a resource that is masked in the query, directly and through Envoy.
async fn through_rest(scene: &Scene, path: &str) -> Response {
    let direct = scene.cast.customer.endpoint.address;
    let envoy = scene.endpoint.envoy().await.address();
    let token = scene.cast.customer.token().await.expect("a token");
    let get = Raw::new("GET", path).header("authorization", format!("Bearer {token}"));
    let (direct, envoy) = (get.send(direct).await.success(), get.send(envoy).await.success());
    assert_eq!(direct.body, envoy.body, "{path}");
    direct
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_outside_a_mask_are_absent() {
    let (_app, scene) = Scene::start().await;
    let ticket = scene.ticket().await;
    let comment = scene.comment(&ticket).await;
    for (path, expected) in [
        (format!("tickets/{ticket}?readMask=id"), json!({ "id": ticket })),
        (format!("tickets/{ticket}?readMask=tags"), json!({ "tags": [] })),
        (format!("tickets/{ticket}?read_mask=id,tags"), json!({ "id": ticket, "tags": [] })),
        (format!("tickets/{ticket}?read%4Dask=id"), json!({ "id": ticket })),
        (format!("tickets/{ticket}?readMask.paths=id"), json!({ "id": ticket })),
        ("tickets?readMask=id&pageSize=1".to_owned(), json!([{ "id": ticket }])),
        (format!("tickets/{ticket}/comments/{comment}?readMask=id"), json!({ "id": comment })),
        (format!("tickets/{ticket}/comments?pageSize=5&readMask=attachmentIds"), json!([{ "attachmentIds": [] }])),
    ] {
        assert_eq!(*through_rest(&scene, &format!("/api/v1/{path}")).await.data(), expected, "{path}");
    }
    let list = through_rest(&scene, "/api/v1/tickets?readMask=id").await;
    assert_eq!((&list.body["meta"]["page"], &list.body["meta"]["total"]), (&json!(1), &json!("1")));
    // Without a mask, or with a mask of all fields, nothing is missing.
    let whole = through_rest(&scene, &format!("/api/v1/tickets/{ticket}")).await;
    assert_eq!((&whole.data()["tags"], &whole.data()["subject"]), (&json!([]), &draft()["subject"]));
    assert_eq!(through_rest(&scene, &format!("/api/v1/tickets/{ticket}?readMask=*")).await.body, whole.body);
    for protocol in PROTOCOLS {
        let request = json!({ "ticketId": ticket, "readMask": "createTime" });
        let response = scene.cast.customer.call(protocol, "TicketService.GetTicket", request).await.success();
        assert_eq!(*response.data(), json!({ "createTime": whole.data()["createTime"] }), "{protocol:?}");
    }
}

#[tokio::test]
async fn a_field_that_does_not_exist_is_refused() {
    let (_app, scene) = Scene::start().await;
    let ticket = scene.ticket().await;
    for protocol in PROTOCOLS {
        let request = json!({ "ticketId": ticket, "readMask": "subject,colour" });
        let response = scene.cast.customer.call(protocol, "CommentService.ListComments", request).await;
        let response = response.failure("VALIDATION_FAILED");
        assert_eq!(response.body["error"]["fields"], json!({ "readMask": "has no field \"subject\"" }), "{protocol:?}");
    }
}
