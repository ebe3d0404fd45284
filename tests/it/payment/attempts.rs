//! An answer to an attempt that was superseded.

use serde_json::json;

use super::{CHARGE, REFUND, WITHOUT_RETRIES, charge_of, pay, start_configured};
use crate::support::{Protocol, TestApp, unique};

/// From now on, a second attempt begins as soon as the first is stored, as if the first worker had been too slow.
async fn overtake(app: &TestApp, table: &str) {
    let sql = format!(
        "CREATE FUNCTION overtake() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            UPDATE {table} SET attempt = 2 WHERE id = NEW.id; RETURN NULL; END $$;
         CREATE TRIGGER overtake AFTER INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION overtake()"
    );
    app.database.sql(&sql).await;
}

/// The second attempt may still charge the card.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_decline_does_not_fail_the_next_attempt_to_charge() {
    let (_gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    overtake(&app, "payments").await;
    let mut request = charge_of(&scene).await;
    request["paymentMethod"] = json!("pm_card_visa_chargeDeclined");
    let charge = scene.cast.customer.keyed(Protocol::Rest, CHARGE, request, &unique()).await.success();
    assert_eq!((charge.status, charge.text("/data/status").as_str()), (202, "PAYMENT_STATUS_PENDING"));
    assert_eq!(app.database.number("SELECT status FROM payments").await, 1);
}

/// The second attempt may still refund.
#[tokio::test(flavor = "multi_thread")]
async fn a_late_rejection_does_not_fail_the_next_attempt_to_refund() {
    let (gateway, app, scene) = start_configured(&WITHOUT_RETRIES).await;
    let payment = pay(&scene).await.id();
    overtake(&app, "refunds").await;
    assert!(gateway.refund_at_console(&payment, 100).await);
    let request = json!({ "paymentId": payment });
    let refund = scene.cast.admin.keyed(Protocol::Rest, REFUND, request, &unique()).await.success();
    assert_eq!((refund.status, refund.text("/data/status").as_str()), (202, "REFUND_STATUS_PENDING"));
    assert_eq!(app.database.number("SELECT status FROM refunds").await, 1);
}
