//! Sample items: created, read, listed, changed and deleted, and invisible to other accounts.

use mainstay_test_kit::Client;
use my_module::proto::my_module::v1::{WatchSampleItemsRequest, sample_item_service_client::SampleItemServiceClient};
use serde_json::{Value, json};

use crate::start;

pub(crate) const COLLECTION: &str = "/api/v1/sample-items";

/// Returns the values of a new sample item.
async fn values({{ "caller" if has_required_reference else "_" }}: &Client) -> Value {
    json!({
{% for field in settable %}
        "{{ field.json }}": {{ field.first }},
{% endfor %}
    })
}

/// Returns other values for all fields.
async fn other_values({{ "caller" if references else "_" }}: &Client) -> Value {
    json!({
{% for field in settable %}
        "{{ field.json }}": {{ field.second }},
{% endfor %}
    })
}

pub(crate) async fn create(caller: &Client) -> Value {
    caller.post(COLLECTION, values(caller).await).await.data()
}

fn path(sample_item: &Value) -> String {
    format!("{COLLECTION}/{}", sample_item["id"].as_str().expect("an id"))
}

/// Checks that a sample item has values.
#[track_caller]
fn check(sample_item: &Value, values: &Value) {
    for (field, value) in values.as_object().expect("an object") {
        assert_eq!(&sample_item[field], value, "{field}");
    }
}

#[tokio::test]
async fn it_can_be_created_read_changed_and_deleted() {
    let server = start().await;
    let customer = server.customer().await;

    let values = values(&customer).await;
    let response = customer.post(COLLECTION, values.clone()).await.success();
    assert_eq!((response.status, response.header("etag")), (201, "\"1\""));
    let sample_item = response.data();
    check(&sample_item, &values);
    let path = path(&sample_item);
    assert_eq!(response.header("location"), path);
    assert_eq!(customer.get(&path).await.data(), sample_item);

    let values = other_values(&customer).await;
    let latest = customer.patch(&path, values.clone()).await.data();
    check(&latest, &values);
    assert_eq!(latest["version"], "2");

    assert_eq!(customer.delete(&path).await.status, 204);
    customer.get(&path).await.failure(404, "NOT_FOUND");
}

{% if uses.cleared %}
#[tokio::test]
async fn required_fields_can_not_be_cleared() {
    let server = start().await;
    let customer = server.customer().await;
    let path = path(&create(&customer).await);
    let required = [{% for field in settable if field.is_required %}"{{ field.json }}"{{ ", " if not loop.last }}{% endfor %}];
    for field in required {
        let refusal = customer.patch(&format!("{path}?updateMask={field}"), json!({})).await;
        refusal.failure(422, "VALIDATION_FAILED");
        assert_eq!(refusal.body["error"]["fields"][format!("sampleItem.{field}")], "can't be cleared");
    }
}

{% endif %}
{% if uses.clearable %}
#[tokio::test]
async fn the_other_fields_can_be_cleared() {
    let server = start().await;
    let customer = server.customer().await;
    let path = path(&create(&customer).await);
    customer.patch(&path, other_values(&customer).await).await.success();
{% for field in settable if not field.is_required %}
    let cleared = customer.patch(&format!("{path}?updateMask={{ field.json }}"), json!({})).await.data();
    assert_eq!(cleared["{{ field.json }}"], {{ field.cleared }});
{% endfor %}
}

{% endif %}
{% if uses.checked %}
#[tokio::test]
async fn a_missing_value_is_refused_by_its_name() {
    let server = start().await;
    let refusal = server.customer().await.post(COLLECTION, json!({})).await;
    refusal.failure(422, "VALIDATION_FAILED");
    let faults = refusal.body["error"]["fields"].as_object().expect("an object");
    let missing = [{% for field in settable if field.is_checked %}"{{ field.json }}"{{ ", " if not loop.last }}{% endfor %}];
    for field in missing {
        assert!(faults.contains_key(field), "{field}: {faults:?}");
    }
}

{% endif %}
{% if output %}
#[tokio::test]
async fn callers_can_not_set_the_fields_of_the_server() {
    let server = start().await;
    let customer = server.customer().await;
    let path = path(&create(&customer).await);
{% for field in output %}
    let mut body = values(&customer).await;
    body["{{ field.json }}"] = json!({{ field.second }});
    customer.post(COLLECTION, body.clone()).await.failure(400, "MALFORMED_REQUEST");
    customer.patch(&path, body).await.failure(400, "MALFORMED_REQUEST");
    customer.patch(&format!("{path}?updateMask={{ field.json }}"), json!({})).await.failure(422, "VALIDATION_FAILED");
{% endfor %}
}

{% endif %}
{% for resource in referenced %}
#[tokio::test]
async fn {{ resource.article }}_of_another_account_is_unknown() {
    let server = start().await;
    let (customer, stranger) = (server.customer().await, server.customer().await);
{% for field in references if field.reference.name == resource.name %}
    let mut body = values(&customer).await;
    body["{{ field.json }}"] = crate::{{ resource.plural }}::create(&stranger).await["id"].clone();
    customer.post(COLLECTION, body).await.failure(404, "NOT_FOUND");
{% if loop.first %}
    let path = path(&create(&customer).await);
    let patch = json!({ "{{ field.json }}": crate::{{ resource.plural }}::create(&stranger).await["id"] });
    customer.patch(&path, patch).await.failure(404, "NOT_FOUND");
{% endif %}
{% endfor %}
}

#[tokio::test]
async fn {{ resource.article }}_in_use_can_not_be_deleted() {
    let server = start().await;
    let customer = server.customer().await;
    let sample_item = customer.post(COLLECTION, other_values(&customer).await).await.data();
{% for field in references if field.reference.name == resource.name %}
{% if loop.first %}
    let used = format!("{}/{}", crate::{{ resource.plural }}::COLLECTION, sample_item["{{ field.json }}"].as_str().expect("an id"));
{% endif %}
{% endfor %}
    customer.delete(&used).await.failure(422, "BUSINESS_RULE_VIOLATION");
    assert_eq!(customer.delete(&path(&sample_item)).await.status, 204);
    assert_eq!(customer.delete(&used).await.status, 204);
}

{% endfor %}
#[tokio::test]
async fn a_change_needs_the_current_version() {
    let server = start().await;
    let customer = server.customer().await;
    let path = path(&create(&customer).await);
    let values = other_values(&customer).await;
    customer.patch(&path, values.clone()).await.success();
    let stale = customer.with("if-match", "\"1\"");
    stale.patch(&path, values).await.failure(412, "ETAG_MISMATCH");
    stale.delete(&path).await.failure(412, "ETAG_MISMATCH");
}

#[tokio::test]
async fn other_accounts_do_not_reach_it() {
    let server = start().await;
    let path = path(&create(&server.customer().await).await);
    let stranger = server.customer().await;
    stranger.get(&path).await.failure(404, "NOT_FOUND");
    stranger.patch(&path, other_values(&stranger).await).await.failure(404, "NOT_FOUND");
    stranger.delete(&path).await.failure(404, "NOT_FOUND");
    assert_eq!(stranger.get(COLLECTION).await.data(), json!([]));
    assert_eq!(server.agent().await.get(&path).await.status, 200, "agents reach every account");
}

#[tokio::test]
async fn a_repeated_request_gets_the_stored_response() {
    let server = start().await;
    let customer = server.customer().await;
    let (values, other) = (values(&customer).await, other_values(&customer).await);
    let customer = customer.with("idempotency-key", "the-same");
    let first = customer.post(COLLECTION, values.clone()).await.success();
    let second = customer.post(COLLECTION, values).await.success();
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, "true"));
    assert_eq!(first.body, second.body);
    customer.post(COLLECTION, other).await.failure(422, "IDEMPOTENCY_KEY_REUSED");
}

#[tokio::test]
async fn lists_have_pages() {
    let server = start().await;
    let customer = server.customer().await;
    let mut newest_first = Vec::new();
    for _ in 0..3 {
        newest_first.insert(0, create(&customer).await);
    }
    let first = customer.get(&format!("{COLLECTION}?pageSize=2")).await.success();
    assert_eq!(first.body["data"], json!(newest_first[..2]));
    assert_eq!(first.body["meta"]["total"], json!("3"));
    let token = first.body["meta"]["nextPageToken"].as_str().expect("a second page");
    let second = customer.get(&format!("{COLLECTION}?pageSize=2&pageToken={token}")).await.success();
    assert_eq!(second.body["data"], json!(newest_first[2..]));
}

#[tokio::test]
async fn changes_are_streamed() {
    let server = start().await;
    let customer = server.customer().await;
    let mut client = SampleItemServiceClient::new(customer.grpc());
    let stream = client.watch_sample_items(WatchSampleItemsRequest::default()).await.expect("a stream");
    let mut stream = stream.into_inner();
    let first = stream.message().await.expect("a message").expect("no end");
    assert!(first.data.is_none() && !first.resume_token.is_empty(), "{first:?}");

    create(&server.customer().await).await;
    let sample_item = create(&customer).await;
    let created = stream.message().await.expect("a message").expect("no end");
    assert_eq!(created.data.and_then(|data| data.id).as_deref(), sample_item["id"].as_str(), "the other is a stranger's");
    customer.delete(&path(&sample_item)).await.success();
    let deleted = stream.message().await.expect("a message").expect("no end");
    assert_eq!(deleted.deleted_id.as_deref(), sample_item["id"].as_str());
}

#[tokio::test]
async fn webhooks_are_notified() {
    let server = start().await;
    let customer = server.customer().await;
    let kinds = ["changed", "created", "deleted"].map(|what| format!("my_module.sample_item.{what}"));
    let endpoint = json!({ "url": "https://example.com/hooks", "eventTypes": kinds, "accountId": customer.account() });
    server.admin().await.post("/api/v1/webhook-endpoints", endpoint).await.success();
    let path = path(&create(&customer).await);
    customer.patch(&path, other_values(&customer).await).await.success();
    customer.delete(&path).await.success();
    assert_eq!(server.database().sql("SELECT kind FROM webhook_deliveries ORDER BY kind").await, kinds);
}
