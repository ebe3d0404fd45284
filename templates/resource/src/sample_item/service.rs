//! `my_module.v1.SampleItemService`.

use mainstay_kernel::{
    app::App,
    error::{Error, Result},
    grpc::{Call, Reply, render::time},
    id::AccountId,
    unit_of_work::Work,
};
use tonic::Request;

use super::{
    model::{Patch, SampleItem, SampleItemId},
    ops,
};
use crate::proto::my_module::v1::{
    self as pb,
    sample_item_service_server::{SampleItemService, SampleItemServiceServer},
};

/// The RPC bodies.
#[derive(Debug)]
pub struct SampleItems {
    app: App,
}

/// Makes the service of an application.
pub fn server(app: &App) -> SampleItemServiceServer<SampleItems> {
    SampleItemServiceServer::new(SampleItems { app: app.clone() })
}

fn render(sample_item: SampleItem) -> pb::SampleItem {
    let SampleItem { id, account, name, version, created_at, updated_at } = sample_item;
    pb::SampleItem {
        id: Some(id.to_string()),
        account_id: Some(account.to_string()),
        name: Some(name),
        version: Some(version),
        create_time: Some(time(created_at)),
        update_time: Some(time(updated_at)),
    }
}

/// Reads the new values of the fields in `paths`, none of which can be cleared.
fn patch(message: pb::SampleItemPatch, paths: &[String]) -> Result<Patch> {
    let pb::SampleItemPatch { name } = message;
    let has = |path: &str| paths.iter().any(|named| named == path);
    let value = |path: &str, value: Option<String>| match (has(path), value) {
        (false, _) => Ok(None),
        (true, Some(value)) => Ok(Some(value)),
        (true, None) => Err(Error::field(format!("sampleItem.{path}"), "can't be cleared")),
    };
    Ok(Patch { name: value("name", name)? })
}

#[tonic::async_trait]
impl SampleItemService for SampleItems {
    async fn create_sample_item(
        &self,
        request: Request<pb::CreateSampleItemRequest>,
    ) -> Reply<pb::CreateSampleItemResponse> {
        let call = Call::admit(request)?;
        let pb::CreateSampleItemRequest { name, account_id } = call.message.clone();
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        call.write(&self.app, async move |work: &mut Work| {
            let sample_item = ops::create(work, account, name).await?;
            Ok(pb::CreateSampleItemResponse { data: Some(render(sample_item)) })
        })
        .await
    }

    async fn get_sample_item(&self, request: Request<pb::GetSampleItemRequest>) -> Reply<pb::GetSampleItemResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, SampleItemId::parse(&call.message.sample_item_id)?);
        let sample_item =
            self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetSampleItemResponse { data: Some(render(sample_item)) })
    }

    async fn list_sample_items(
        &self,
        request: Request<pb::ListSampleItemsRequest>,
    ) -> Reply<pb::ListSampleItemsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let (sample_items, meta) = call
            .list(
                &self.app,
                pager,
                async move |connection| ops::list(connection, permit, pager.start, pager.size).await,
                SampleItem::key,
            )
            .await?;
        call.read(pb::ListSampleItemsResponse { data: sample_items.into_iter().map(render).collect(), meta })
    }

    async fn update_sample_item(
        &self,
        request: Request<pb::UpdateSampleItemRequest>,
    ) -> Reply<pb::UpdateSampleItemResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (SampleItemId::parse(&call.message.sample_item_id)?, call.if_match.clone());
        let (message, mask) = (call.message.sample_item.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("sample_item", &message, mask)?;
        let patch = patch(message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let sample_item = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateSampleItemResponse { data: Some(render(sample_item)) })
        })
        .await
    }

    async fn delete_sample_item(
        &self,
        request: Request<pb::DeleteSampleItemRequest>,
    ) -> Reply<pb::DeleteSampleItemResponse> {
        let call = Call::admit(request)?;
        let (id, expected) = (SampleItemId::parse(&call.message.sample_item_id)?, call.if_match.clone());
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, id, expected).await?;
            Ok(pb::DeleteSampleItemResponse {})
        })
        .await
    }
}
