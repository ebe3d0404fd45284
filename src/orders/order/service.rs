//! `mainstay.orders.v1.OrderService`.

use tonic::Request;

use crate::identity::user::model::EmailAddress;
use crate::orders::id::{OrderId, ProductId};
use crate::orders::order::{
    model::{Filter, Item, ItemizedOrder, Line, OrderNumber, Status},
    ops::{self, Draft},
};
use crate::proto::orders::v1::{self as pb, order_service_server::OrderService};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{
        Call, Reply,
        render::{money, time},
    },
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Orders {
    pub app: App,
}

impl Audited for ItemizedOrder {
    type Message = pb::Order;

    fn message(self) -> pb::Order {
        let ItemizedOrder { order, items } = self;
        let state = order.state;
        pb::Order {
            id: Some(order.id.to_string()),
            number: Some(order.number.to_string()),
            account_id: Some(order.account.to_string()),
            placed_by: Some(order.placed_by.to_string()),
            status: Some(state.status().number().into()),
            items: items.into_iter().map(render_item).collect(),
            total: Some(money(order.total)),
            payment_id: state.payment().map(|id| id.to_string()),
            version: Some(order.version),
            create_time: Some(time(order.created_at)),
            update_time: Some(time(order.updated_at)),
            pay_time: state.paid_at().map(time),
            end_time: state.ended_at().map(time),
            confirmation_email: order.confirmation_email,
        }
    }
}

fn render_item(item: Item) -> pb::OrderItem {
    pb::OrderItem {
        product_id: item.product.to_string(),
        // The order's total did not overflow, so the amounts of its items do not overflow either.
        amount: item.amount().ok().map(money),
        name: item.name,
        quantity: item.quantity,
        unit_price: Some(money(item.unit_price)),
    }
}

fn lines(items: &[pb::OrderLine]) -> Result<Vec<Line>> {
    items
        .iter()
        .map(|line| Ok(Line { product: ProductId::parse(&line.product_id)?, quantity: line.quantity }))
        .collect()
}

#[tonic::async_trait]
impl OrderService for Orders {
    async fn create_order(&self, request: Request<pb::CreateOrderRequest>) -> Reply<pb::CreateOrderResponse> {
        let mut call = Call::admit(request)?;
        let lines = lines(&call.message.items)?;
        let account = call.message.account_id.as_deref().map(AccountId::parse).transpose()?;
        let confirmation_email = call.message.confirmation_email.take();
        if let Some(email) = &confirmation_email {
            EmailAddress::parse(email).map_err(|_| Error::field("confirmationEmail", EmailAddress::FAULT))?;
        }
        let draft = Draft { account, lines, confirmation_email };
        call.write(&self.app, async move |work: &mut Work| {
            let order = ops::create(work, draft).await?;
            Ok(pb::CreateOrderResponse { data: Some(order.message()) })
        })
        .await
    }

    async fn get_order(&self, request: Request<pb::GetOrderRequest>) -> Reply<pb::GetOrderResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, OrderId::parse(&call.message.order_id)?);
        let order = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetOrderResponse { data: Some(order.message()) })
    }

    async fn list_orders(&self, request: Request<pb::ListOrdersRequest>) -> Reply<pb::ListOrdersResponse> {
        let call = Call::admit(request)?;
        let pb::ListOrdersRequest { statuses, account_id, number, .. } = &call.message;
        let filter = Filter {
            statuses: statuses.iter().filter_map(|&number| Status::from_number(number)).collect(),
            account: account_id.as_deref().map(AccountId::parse).transpose()?,
            number: number.as_deref().map(OrderNumber::parse).transpose()?,
        };
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, filter, pager.page).await;
        let (orders, meta) =
            call.list(&self.app, pager, list, |row| Key::new(row.order.created_at, row.order.id.0)).await?;
        call.read(pb::ListOrdersResponse { data: orders.into_iter().map(Audited::message).collect(), meta })
    }

    async fn cancel_order(&self, request: Request<pb::CancelOrderRequest>) -> Reply<pb::CancelOrderResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (OrderId::parse(&call.message.order_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            let order = ops::cancel(work, id, expected).await?;
            Ok(pb::CancelOrderResponse { data: Some(order.message()) })
        })
        .await
    }
}
