//! Products: admins maintain the price list, and every caller can read it.

use crate::orders::id::ProductId;
use crate::orders::product::{
    model::{Interval, Patch, Product},
    store,
};
use mainstay_kernel::{
    caller::Permit,
    database::Connection,
    error::Result,
    money::Money,
    page::{Listed, Page},
    unit_of_work::Work,
    version::ExpectedVersions,
};

pub(crate) use store::{find_all, retire};

/// Creates a product.
pub async fn create(work: &mut Work, name: String, price: Money, interval: Option<Interval>) -> Result<Product> {
    work.permit()?;
    let product = Product::new(name, price, interval, work.now());
    store::insert(work.connection().await?, &product).await?;
    Ok(product)
}

/// Returns a product.
///
/// # Errors
/// `NOT_FOUND`.
pub async fn get(connection: &Connection, _: &Permit, id: ProductId) -> Result<Product> {
    store::get(connection, id).await
}

/// Returns a page of products that are not archived plus one more if another page follows, and the total unless paging
/// by key.
pub async fn list(connection: &Connection, _: Permit, page: Page) -> Result<Listed<Product>> {
    store::list(connection, page).await
}

/// Updates a product. A patch that changes nothing keeps the version.
///
/// # Errors
/// `NOT_FOUND`, `ETAG_MISMATCH`, `VALIDATION_FAILED` for a price in another currency.
pub async fn update(
    work: &mut Work,
    id: ProductId,
    expected: Option<ExpectedVersions>,
    patch: Patch,
) -> Result<Product> {
    work.permit()?;
    let product = work.read(async |connection: &Connection| store::lock(connection, id).await).await?;
    work.before(&product);
    ExpectedVersions::check(expected.as_ref(), product.version)?;
    let Some(next) = product.apply(patch, work.now())? else { return Ok(product) };
    let row = next.clone();
    work.queue(move |connection| Box::pin(async move { store::update(connection, &row).await }));
    Ok(next)
}
