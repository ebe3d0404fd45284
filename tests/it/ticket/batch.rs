//! Several tickets at once.

use serde_json::{Value, json};

use crate::{
    cases::{ticket, unknown_id},
    support::{PROTOCOLS, TestApp},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_the_order_of_its_ids_and_all_of_them_or_none() {
    let (_app, cast) = TestApp::start_with_cast().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(ticket(&cast.customer).await);
    }
    let foreign = ticket(&cast.stranger).await;
    let sequence = [&ids[2], &ids[0], &ids[1], &ids[0]];
    for protocol in PROTOCOLS {
        let batch = async |ids: Value| {
            cast.customer.call(protocol, "TicketService.BatchGetTickets", json!({ "ids": ids })).await
        };
        let response = batch(json!(sequence)).await.success();
        let result: Vec<_> =
            response.data().as_array().expect("tickets").iter().map(|ticket| ticket["id"].clone()).collect();
        assert_eq!(result, sequence.map(|id| json!(id)), "{protocol:?}");
        let response = batch(json!([ids[0], foreign, ids[1], unknown_id()])).await.failure("NOT_FOUND");
        let expected = json!({ "ids[1]": "there is no such ticket", "ids[3]": "there is no such ticket" });
        assert_eq!(response.body["error"]["fields"], expected, "{protocol:?}");
    }
}
