//! `mainstay.orders.v1.ProductService`.

use tonic::Request;

use crate::orders::id::ProductId;
use crate::orders::product::{
    model::{Interval, Patch, Product},
    ops,
};
use crate::proto::orders::v1::{self as pb, product_service_server::ProductService};
use mainstay_kernel::{
    app::App,
    audit::Audited,
    error::{Error, Result},
    grpc::{
        Call, Reply,
        parse::price,
        render::{money, time},
    },
    page::Key,
    unit_of_work::Work,
};

#[derive(Debug, Clone)]
pub struct Products {
    pub app: App,
}

impl Audited for Product {
    type Message = pb::Product;

    fn message(self) -> pb::Product {
        pb::Product {
            id: Some(self.id.to_string()),
            name: Some(self.name),
            price: Some(money(self.price)),
            archived: Some(self.archived_at.is_some()),
            billing_interval: self.interval.map(|interval| interval.number().into()),
            version: Some(self.version),
            create_time: Some(time(self.created_at)),
            update_time: Some(time(self.updated_at)),
        }
    }
}

/// Reads the new values of the fields in `paths`; only `archived` can be cleared.
fn patch(message: &pb::ProductPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("product.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "name" => patch.name = Some(message.name.clone().ok_or_else(|| required("name"))?),
            "price" => {
                let money = message.price.as_ref().ok_or_else(|| required("price"))?;
                patch.price = Some(price(money, "product.price")?);
            }
            "archived" => patch.archived = Some(message.archived.unwrap_or(false)),
            other => return Err(mainstay_kernel::grpc::mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl ProductService for Products {
    async fn create_product(&self, request: Request<pb::CreateProductRequest>) -> Reply<pb::CreateProductResponse> {
        let call = Call::admit(request)?;
        let pb::CreateProductRequest { name, price: money, billing_interval } = call.message.clone();
        let price = price(&money.unwrap_or_default(), "price")?;
        let interval = billing_interval.and_then(Interval::from_number);
        call.write(&self.app, async move |work: &mut Work| {
            let product = ops::create(work, name, price, interval).await?;
            Ok(pb::CreateProductResponse { data: Some(product.message()) })
        })
        .await
    }

    async fn get_product(&self, request: Request<pb::GetProductRequest>) -> Reply<pb::GetProductResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, ProductId::parse(&call.message.product_id)?);
        let product = self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetProductResponse { data: Some(product.message()) })
    }

    async fn list_products(&self, request: Request<pb::ListProductsRequest>) -> Reply<pb::ListProductsResponse> {
        let call = Call::admit(request)?;
        let pager = call.pager(&self.app)?;
        let permit = call.permit()?;
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (products, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListProductsResponse { data: products.into_iter().map(Audited::message).collect(), meta })
    }

    async fn update_product(&self, request: Request<pb::UpdateProductRequest>) -> Reply<pb::UpdateProductResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (ProductId::parse(&call.message.product_id)?, call.if_match.clone());
        let (message, mask) = (call.message.product.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("product", &message, mask)?;
        let patch = patch(&message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let product = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateProductResponse { data: Some(product.message()) })
        })
        .await
    }
}
