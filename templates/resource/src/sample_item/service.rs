//! `my_module.v1.SampleItemService`.

use mainstay_kernel::{
    app::App,
    error::{ {{- "Error, " if uses.error }}Result},
    grpc::{
        Call, Reply, mask, {{ "parse, " if uses.parse }}render,
        watch::{self, Event, Topic},
    },
    id::AccountId,
    page::Key,
    unit_of_work::Work,
};
use tonic::Request;
{% if uses.parsed_uuid %}
use uuid::Uuid;
{% endif %}

use super::{
    model::{Patch, SampleItem, {% for field in settable if field.variants %}{{ field.rust }}, {% endfor %}SampleItemId, Values},
    ops,
};
{% for resource in referenced %}
use crate::{{ resource.name }}::model::{{ resource.id }};
{% endfor %}
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

static CHANGES: Topic<SampleItem> = Topic {
    name: ops::TOPIC,
    load: ops::load_changed,
    version: |sample_item| (sample_item.id.0, sample_item.version),
};

fn to_message(sample_item: SampleItem) -> pb::SampleItem {
    let SampleItem { id, account, {{ names }}, version, created_at, updated_at } = sample_item;
    pb::SampleItem {
        id: Some(id.to_string()),
        account_id: Some(account.to_string()),
        version: Some(version),
        create_time: Some(render::time(created_at)),
        update_time: Some(render::time(updated_at)),
{% for field in fields %}
        {{ field.render }},
{% endfor %}
    }
}

fn watch_message(event: Event<SampleItem>, resume_token: String) -> pb::WatchSampleItemsResponse {
    let (data, deleted_id) = match event {
        Event::Changed(sample_item) => (Some(to_message(sample_item)), None),
        Event::Deleted(id) => (None, Some(id.to_string())),
        Event::Position => (None, None),
    };
    pb::WatchSampleItemsResponse { data, deleted_id, resume_token }
}

/// Reads the new values of the fields in `paths`.
fn patch(mut message: pb::SampleItemPatch, paths: &[String]) -> Result<Patch> {
{% if uses.cleared %}
    let cleared = |field: &str| Error::field(format!("sampleItem.{field}"), "can't be cleared");
{% endif %}
    let mut patch = Patch::default();
    for path in paths {
        match path.as_str() {
{% for field in settable %}
            "{{ field.name }}" => patch.{{ field.name }} = Some({{ field.patch }}),
{% endfor %}
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}

#[tonic::async_trait]
impl SampleItemService for SampleItems {
    async fn create_sample_item(
        &self,
        request: Request<pb::CreateSampleItemRequest>,
    ) -> Reply<pb::CreateSampleItemResponse> {
        let call = Call::admit(request)?;
        let pb::CreateSampleItemRequest { account_id, {{ settable_names }} } = call.message.clone();
        let account = account_id.as_deref().map(AccountId::parse).transpose()?;
        let values = Values {
{% for field in settable %}
            {{ field.create }},
{% endfor %}
        };
        call.write(&self.app, async move |work: &mut Work| {
            let sample_item = ops::create(work, account, values).await?;
            Ok(pb::CreateSampleItemResponse { data: Some(to_message(sample_item)) })
        })
        .await
    }

    async fn get_sample_item(&self, request: Request<pb::GetSampleItemRequest>) -> Reply<pb::GetSampleItemResponse> {
        let call = Call::admit(request)?;
        let (permit, id) = (call.permit()?, SampleItemId::parse(&call.message.sample_item_id)?);
        let sample_item =
            self.app.database.read(async move |connection| ops::get(connection, &permit, id).await).await?;
        call.read(pb::GetSampleItemResponse { data: Some(to_message(sample_item)) })
    }

    async fn list_sample_items(
        &self,
        request: Request<pb::ListSampleItemsRequest>,
    ) -> Reply<pb::ListSampleItemsResponse> {
        let call = Call::admit(request)?;
        let (permit, pager) = (call.permit()?, call.pager(&self.app)?);
        let list = async move |connection: &_| ops::list(connection, permit, pager.page).await;
        let (sample_items, meta) = call.list(&self.app, pager, list, |row| Key::new(row.created_at, row.id.0)).await?;
        call.read(pb::ListSampleItemsResponse { data: sample_items.into_iter().map(to_message).collect(), meta })
    }

    async fn update_sample_item(
        &self,
        request: Request<pb::UpdateSampleItemRequest>,
    ) -> Reply<pb::UpdateSampleItemResponse> {
        let mut call = Call::admit(request)?;
        let (id, expected) = (SampleItemId::parse(&call.message.sample_item_id)?, call.if_match.clone());
        let changes = call.message.sample_item.take().unwrap_or_default();
        let update_mask = call.message.update_mask.take();
        let paths = call.update_paths("sample_item", &changes, update_mask)?;
        let patch = patch(changes, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let sample_item = ops::update(work, id, expected, patch).await?;
            Ok(pb::UpdateSampleItemResponse { data: Some(to_message(sample_item)) })
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
    type WatchSampleItemsStream = watch::Messages<pb::WatchSampleItemsResponse>;

    async fn watch_sample_items(
        &self,
        request: Request<pb::WatchSampleItemsRequest>,
    ) -> Reply<Self::WatchSampleItemsStream> {
        let call = Call::admit(request)?;
        Ok(CHANGES.watch(&self.app, &call, &call.message.resume_token, watch_message).await?)
    }
}
