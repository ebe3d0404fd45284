//! Runs every list and lookup of products, orders, payments, refunds and subscriptions, among two hundred thousand
//! orders.

use mainstay::{
    orders::id::{OrderId, ProductId},
    payments::id::RefundId,
    subscriptions::id::SubscriptionId,
};
use mainstay::{
    orders::{
        order::{
            model::{self as orders, Status},
            store as order,
        },
        product::store as product,
    },
    payments::{
        gateway::sandbox::store as sandbox,
        payment::{model as payments, store as payment},
        refund::store as refund,
        settlement::model as effect,
    },
    subscriptions::{model as subscriptions, store as subscription},
};
use mainstay_kernel::{
    caller::Visibility,
    page::{Key, Start},
    unit_of_work::Work,
};

use crate::server::{Server, plain};

/// The same number as in `lists`: enough for a generic plan.
const ROUNDS: usize = 7;

pub(crate) async fn run(server: &Server) -> anyhow::Result<()> {
    server.client.batch_execute(SEED).await?;
    server.client.batch_execute("VACUUM ANALYZE").await?;
    let sql = "SELECT orders.id, product_id, refunds.id FROM refunds JOIN payments ON payments.id = payment_id
               JOIN orders ON orders.payment_id = payments.id JOIN order_items ON orders.id = order_items.order_id
               OFFSET 500 LIMIT 1";
    let row = server.client.query_one(sql, &[]).await?;
    let ids = (OrderId(row.get(0)), ProductId(row.get(1)), RefundId(row.get(2)));
    let row = server.client.query_one("SELECT id FROM subscriptions WHERE status = 2 OFFSET 500 LIMIT 1", &[]).await?;
    for _ in 0..ROUNDS {
        look_up(server, ids).await?;
        look_up_subscriptions(server, SubscriptionId(row.get(0))).await?;
    }
    Ok(())
}

fn starts(key: Key) -> [Start; 3] {
    [Start::Offset(0), Start::Offset(2_000), Start::After(key)]
}

async fn look_up(server: &Server, (id, offered, refund): (OrderId, ProductId, RefundId)) -> anyhow::Result<()> {
    let transaction = server.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let current = order::lock(connection, Visibility::All, id).await?;
        let copy = order::get(connection, Visibility::Account(current.account), id).await?;
        order::items(connection, &copy).await?;
        let price = product::lock(connection, offered).await?;
        product::find_all(connection, &[offered]).await?;
        product::get(connection, offered).await?;
        for start in starts(Key::new(price.created_at, price.id.0)) {
            product::list(connection, start.page(21)).await?;
        }
        let back = refund::lock(connection, refund).await?;
        refund::get(connection, Visibility::Account(back.account), refund).await?;
        let paid = payment::lock(connection, Visibility::All, back.payment).await?;
        payment::get(connection, Visibility::Account(paid.account), paid.id).await?;
        for start in starts(Key::new(back.created_at, back.id.0)) {
            refund::list(connection, paid.id, start.page(21)).await?;
        }
        refund::given_back(connection, paid.id).await?;
        sandbox::find(connection, 1, paid.id.0).await?;
        let there = [("re_1".to_owned(), paid.state.gateway_id().unwrap_or("pi_1").to_owned())];
        refund::out_of_line(connection, "stripe", &there, &there).await?;
        for visibility in [Visibility::All, Visibility::Account(current.account)] {
            for account in [None, Some(current.account)] {
                for statuses in [vec![], vec![Status::Open], vec![Status::Open, Status::Paid]] {
                    let filter = orders::Filter { statuses, account, number: None };
                    for start in starts(Key::new(current.created_at, id.0)) {
                        order::list(connection, visibility, &filter, start.page(21)).await?;
                    }
                }
                for order in [None, Some(id)] {
                    for statuses in [vec![], vec![effect::Status::Pending], vec![effect::Status::Succeeded]] {
                        let filter = payments::Filter { statuses, account, order };
                        for start in starts(Key::new(paid.created_at, paid.id.0)) {
                            payment::list(connection, visibility, &filter, start.page(21)).await?;
                        }
                    }
                }
            }
        }
        Ok::<_, mainstay_kernel::error::Error>(())
    });
    transaction.await.map_err(plain)
}

async fn look_up_subscriptions(server: &Server, id: SubscriptionId) -> anyhow::Result<()> {
    let transaction = server.database.transaction(async move |work: &mut Work| {
        let connection = work.connection().await?;
        let subscription = subscription::lock(connection, Visibility::All, id).await?;
        subscription::get(connection, Visibility::Account(subscription.account), id).await?;
        subscription::find(connection, "stripe", Some(id), None).await?;
        subscription::find(connection, "stripe", None, subscription.state.gateway_id()).await?;
        for start in [Start::Offset(0), Start::After(Key::new(subscription.created_at, id.0))] {
            subscription::due(connection, subscription.created_at, start.page(500)).await?;
        }
        sandbox::subscription::find(connection, id.0).await?;
        sandbox::subscription::invoices(connection, id.0).await?;
        for visibility in [Visibility::All, Visibility::Account(subscription.account)] {
            for account in [None, Some(subscription.account)] {
                for statuses in [vec![], vec![subscriptions::Status::Pending], vec![subscriptions::Status::Active]] {
                    let filter = subscriptions::Filter { statuses, account };
                    for start in starts(Key::new(subscription.created_at, id.0)) {
                        subscription::list(connection, visibility, &filter, start.page(21)).await?;
                    }
                }
            }
        }
        Ok::<_, mainstay_kernel::error::Error>(())
    });
    transaction.await.map_err(plain)
}

/// Nine in ten orders are paid, one in a thousand is being paid, and one payment in ten was refunded. Triggers are
/// disabled meanwhile: the sums are correct.
const SEED: &str = "
    SET session_replication_role = replica;
    INSERT INTO products
    SELECT gen_random_uuid(), 'Product ' || n, 'EUR', n, CASE WHEN n % 2 = 0 THEN now() END, 1,
        now() - n * interval '1 second', now() FROM generate_series(1, 20000) AS n;
    CREATE TEMP TABLE buyers AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM accounts;
    CREATE TEMP TABLE offered AS SELECT id, row_number() OVER (ORDER BY id) - 1 AS n FROM products;
    CREATE TEMP TABLE placed AS
    SELECT gen_random_uuid() AS id, gen_random_uuid() AS payment, buyers.id AS account, offered.id AS product,
        now() - series.n * interval '1 minute' AS at,
        CASE WHEN series.n % 1000 = 0 THEN 2 WHEN series.n % 20 = 1 THEN 1 WHEN series.n % 33 = 2 THEN 4
            WHEN series.n % 50 = 3 THEN 5 ELSE 3 END AS status
    FROM generate_series(1, 200000) AS series (n)
    JOIN buyers ON buyers.n = series.n % (SELECT count(*) FROM buyers) JOIN offered ON offered.n = series.n % 20000;
    INSERT INTO payments (id, account_id, order_id, charged_by, gateway, method, currency, amount_minor, status, gateway_id,
        due_at, attempt_since, created_at, updated_at)
    SELECT payment, account, id, account, 'stripe', 'pm_card_visa', 'EUR', 450, CASE WHEN status = 2 THEN 1 ELSE 2 END,
        CASE WHEN status <> 2 THEN 'pi_' || payment END, CASE WHEN status = 2 THEN at END, at, at, at
    FROM placed WHERE status IN (2, 3, 5);
    INSERT INTO orders (id, account_id, placed_by, currency, total_minor, status, payment_id, paid_at, ended_at, created_at,
        updated_at)
    SELECT id, account, account, 'EUR', 450, status, CASE WHEN status IN (2, 3, 5) THEN payment END,
        CASE WHEN status IN (3, 5) THEN at END, CASE WHEN status IN (4, 5) THEN at END, at, at FROM placed;
    INSERT INTO order_items SELECT id, 0, product, 'A thing', 3, 150 FROM placed;
    INSERT INTO refunds (id, payment_id, account_id, refunded_by, currency, amount_minor, status, gateway_id, attempt_since,
        created_at, updated_at)
    SELECT gen_random_uuid(), payment, account, account, 'EUR', 45, 2, 're_' || payment, at, at, at
    FROM placed WHERE status IN (3, 5) AND abs(hashtext(payment::text)) % 10 = 0;
    INSERT INTO sandbox_movements
    SELECT payment || '-charge-1', 1, payment, 'sandbox_pi_' || payment, 'EUR', 450, NULL, at FROM placed WHERE status = 3;
    INSERT INTO subscriptions (id, account_id, product_id, product_name, currency, price_minor, billing_interval,
        subscribed_by, gateway, method, status, gateway_id, period_start, period_end, cancelled_at, last_query, last_answer,
        next_sync_at, attempt_since, created_at, updated_at)
    SELECT id, account, product, 'A thing', 'EUR', 450, 1, account, 'stripe', 'pm_card_visa', kind,
        CASE WHEN kind > 1 THEN 'sub_' || id END, CASE WHEN kind > 1 THEN at END, CASE WHEN kind > 1 THEN at END,
        CASE WHEN kind = 4 THEN at END, 1, 0, CASE WHEN kind IN (2, 3) THEN at END, at, at, at
    FROM (SELECT *, CASE status WHEN 2 THEN 1 WHEN 3 THEN 2 WHEN 1 THEN 3 ELSE 4 END AS kind FROM placed) AS placed;
    INSERT INTO sandbox_subscriptions
    SELECT id || '-subscription-1', 'sandbox_sub_' || id, id, 'pm_card_visa', 'EUR', 450, 1, at, 1, false, false, NULL
    FROM placed;
    SET session_replication_role = origin;
";
