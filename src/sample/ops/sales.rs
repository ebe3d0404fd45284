//! Products, and orders with their payments and refunds.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    money::{Currency, Money},
    unit_of_work::Work,
};
use uuid::Uuid;

use super::{Writer, cast::Actor};
use crate::{
    orders::{
        id::{OrderId, ProductId},
        order::{model::Line, ops as order},
        product::ops as product,
    },
    payments::{
        payment::{model::Payment, ops as payment},
        refund::ops as refund,
        settlement::ops::{GatewayRequest, IntentContext, run_detached},
    },
    sample::model::{
        ARTICLES, Article, DAYS, EXPORTS, MARK, PLANS,
        timeline::{Story, index, minutes, pick},
    },
};

/// The ids of the products, in the order of the model.
#[derive(Debug)]
pub(super) struct Catalog {
    articles: Vec<ProductId>,
    exports: Vec<ProductId>,
    pub(super) plans: Vec<ProductId>,
}

impl Catalog {
    /// Creates the products.
    pub(super) async fn create(app: &App, admin: &Actor, now: DateTime<Utc>) -> Result<Self> {
        let at = now - TimeDelta::days(DAYS + 10);
        let create = async |articles: &[Article]| {
            let mut ids = Vec::new();
            for article in articles {
                ids.push(create_product(app, admin, article, at).await?);
            }
            Ok::<_, Error>(ids)
        };
        Ok(Self { articles: create(&ARTICLES).await?, exports: create(&EXPORTS).await?, plans: create(&PLANS).await? })
    }
}

async fn create_product(app: &App, admin: &Actor, article: &Article, at: DateTime<Utc>) -> Result<ProductId> {
    let permit = admin.permit("orders.v1.ProductService/CreateProduct")?;
    let currency = Currency::parse(article.currency).ok_or_else(|| Error::field("currency", "is unknown"))?;
    let (name, price, interval) =
        (format!("{}{MARK}", article.name), Money::new(article.price_minor, currency)?, article.interval);
    let create = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        product::create(work, name, price, interval).await
    });
    create.await.map(|product| product.id)
}

/// Writes an order and its consequences until now; returns the ids of the order, its payments and its refunds.
pub(super) async fn write(writer: &Writer, story: Story) -> Result<Vec<Uuid>> {
    let (customer, seed) = (&writer.cast.customers[story.customer], story.number);
    let (lines, at) = (lines(&writer.catalog, seed), story.at);
    let permit = customer.permit("orders.v1.OrderService/CreateOrder")?;
    let placed = writer.app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        order::create(work, order::Draft { account: None, lines, confirmation_email: None }).await
    });
    let placed: Result<_> = placed.await;
    let id = placed?.order.id;
    let mut ids = vec![id.0];
    match seed % 15 {
        4 => cancel(writer, customer, id, at + minutes(seed, 20, 300)).await?,
        9 => {}
        _ => ids.extend(pay(writer, customer, id, at, seed).await?),
    }
    Ok(ids)
}

fn lines(catalog: &Catalog, seed: u64) -> Vec<Line> {
    let products = if seed % 9 == 3 { &catalog.exports } else { &catalog.articles };
    let first = index(seed + 2, products.len());
    let count = 1 + index(seed + 4, products.len().min(3));
    let line = |number: usize| Line {
        product: products[(first + number) % products.len()],
        quantity: 1 + i32::try_from(pick(seed * 7 + number as u64, 5)).unwrap_or(0),
    };
    (0..count).map(line).collect()
}

async fn cancel(writer: &Writer, customer: &Actor, id: OrderId, at: DateTime<Utc>) -> Result<()> {
    if at >= writer.now {
        return Ok(());
    }
    let permit = customer.permit("orders.v1.OrderService/CancelOrder")?;
    let cancelled = writer.app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        order::cancel(work, id, None).await
    });
    cancelled.await.map(drop)
}

/// Charges an order, in some cases only with the second card, and refunds some of the orders.
async fn pay(writer: &Writer, customer: &Actor, id: OrderId, at: DateTime<Utc>, seed: u64) -> Result<Vec<Uuid>> {
    let mut ids = Vec::new();
    let mut at = at + minutes(seed + 1, 1, 9);
    if seed % 11 == 6 {
        let declined = ["pm_card_visa_chargeDeclinedInsufficientFunds", "pm_card_chargeDeclinedExpiredCard"];
        ids.push(charge(writer, customer, id, declined[index(seed, declined.len())], at).await?.id.0);
        at += minutes(seed + 2, 2, 30);
    }
    if at >= writer.now {
        return Ok(ids);
    }
    let card = if seed.is_multiple_of(3) { "pm_card_mastercard" } else { "pm_card_visa" };
    let payment = charge(writer, customer, id, card, at).await?;
    ids.push(payment.id.0);
    let amount = match seed % 13 {
        5 => Some(None),
        11 => Some(Some(Money::new(payment.amount.minor() / 4, payment.amount.currency())?)),
        _ => None,
    };
    let at = at + TimeDelta::days(2) + minutes(seed + 3, 0, 900);
    if let Some(amount) = amount.filter(|_| at < writer.now) {
        ids.push(give_back(writer, &payment, amount, at).await?);
    }
    Ok(ids)
}

async fn charge(writer: &Writer, customer: &Actor, id: OrderId, card: &str, at: DateTime<Utc>) -> Result<Payment> {
    let app = writer.at(at)?;
    let permit = customer.permit("payments.v1.PaymentService/ChargePayment")?;
    let (context, card) = (IntentContext::new(&app), card.to_owned());
    let begin = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        payment::begin(work, context, id, card).await
    });
    let intent: Result<_> = begin.await;
    settle(&app, intent?).await
}

/// Refunds an amount, or the whole payment; returns the id of the refund.
async fn give_back(writer: &Writer, payment: &Payment, amount: Option<Money>, at: DateTime<Utc>) -> Result<Uuid> {
    let (app, id) = (writer.at(at)?, payment.id);
    let permit = writer.cast.admin.permit("payments.v1.RefundService/CreateRefund")?;
    let context = IntentContext::new(&app);
    let begin = app.database.transaction(async move |work: &mut Work| {
        work.act_as(permit, at).await?;
        refund::begin(work, context, id, amount).await
    });
    let intent: Result<_> = begin.await;
    Ok(settle(&app, intent?).await?.id.0)
}

/// Carries out a committed intent at the sandbox gateway.
pub(super) async fn settle<R: GatewayRequest>(app: &App, request: R) -> Result<R::View> {
    let id = request.facts().id;
    let view = run_detached(app, request).await;
    view.ok_or_else(|| Error::unavailable(anyhow::anyhow!("{id} is not settled")))
}
