//! `mainstay.identity.v1.ScimResourceService`.

mod document;
mod patch;
mod read;
mod render;

use serde_json::Value;
use tonic::Request;
use uuid::Uuid;

use crate::{
    identity::scim::{
        id::ScimGroupId,
        model::{GroupFilter, GroupPatch, Slice, UserFilter, UserPatch},
        ops::{self, Outdated},
    },
    proto::identity::v1::{self as pb, scim_resource_service_server::ScimResourceService},
};
use mainstay_kernel::{
    app::App,
    contract::proto::google::api::HttpBody,
    database::Connection,
    error::{Error, Reason, Result},
    grpc::{Call, Reply},
    id::UserId,
    unit_of_work::Work,
};
use render::{Selection, body};

#[derive(Debug, Clone)]
pub struct ScimResources {
    pub app: App,
}

/// A collection whose resources can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Collection {
    Users,
    Groups,
}

impl Collection {
    fn parse(name: &str) -> Result<Self> {
        match name {
            "Users" => Ok(Self::Users),
            "Groups" => Ok(Self::Groups),
            name if document::is_collection(name) => Err(Reason::MethodNotAllowed.into()),
            _ => Err(Error::not_found("collection")),
        }
    }
}

/// A resource that a request names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    User(UserId),
    Group(ScimGroupId),
}

impl Target {
    fn parse(collection: &str, id: &str) -> Result<Self> {
        let uuid = id.parse::<Uuid>();
        match (Collection::parse(collection)?, uuid) {
            (Collection::Users, Ok(id)) => Ok(Self::User(UserId(id))),
            (Collection::Groups, Ok(id)) => Ok(Self::Group(ScimGroupId(id))),
            (Collection::Users, Err(_)) => Err(Error::not_found("user")),
            (Collection::Groups, Err(_)) => Err(Error::not_found("group")),
        }
    }
}

/// The changes of a resource.
enum Change {
    User(UserId, UserPatch),
    Group(ScimGroupId, GroupPatch),
}

impl Change {
    fn new(
        target: Target,
        document: &Value,
        of_user: fn(&Value) -> Result<UserPatch>,
        of_group: fn(&Value) -> Result<GroupPatch>,
    ) -> Result<Self> {
        match target {
            Target::User(id) => of_user(document).map(|patch| Self::User(id, patch)),
            Target::Group(id) => of_group(document).map(|patch| Self::Group(id, patch)),
        }
    }
}

/// A resource with its version.
type Versioned = (Value, i64);

impl ScimResources {
    async fn create<M>(
        &self,
        call: &Call<M>,
        collection: Collection,
        document: &Value,
        selection: &Selection,
    ) -> Reply<pb::CreateScimResourceResponse> {
        let (policies, mut outdated) = (&self.app.contract.policies, Outdated::default());
        let response = match collection {
            Collection::Users => {
                let new = read::user(document)?;
                if let Some(email) = &new.email {
                    ops::renew(&self.app, &call.permit()?, email).await?;
                }
                let create = async |work: &mut Work| {
                    let (resource, version) = render::user(ops::create_user(work, new).await?);
                    Ok(created("Users", selection.apply(resource), version))
                };
                call.write(&self.app, create).await?
            }
            Collection::Groups => {
                let (new, has_members, outdated) = (read::group(document)?, selection.has("members"), &mut outdated);
                let create = async |work: &mut Work| {
                    let group = ops::create_group(work, policies, new, has_members, outdated).await?;
                    let (resource, version) = render::group(group);
                    Ok(created("Groups", selection.apply(resource), version))
                };
                call.write(&self.app, create).await?
            }
        };
        outdated.forget(&self.app).await;
        Ok(response)
    }

    /// Applies changes, and responds with the resource.
    async fn update<M, R: prost::Message + Default>(
        &self,
        call: &Call<M>,
        change: Change,
        selection: &Selection,
        respond: fn(Option<HttpBody>, i64) -> R,
    ) -> Reply<R> {
        let (policies, expected) = (&self.app.contract.policies, call.if_match.clone());
        if let Change::User(id, patch) = &change
            && (patch.is_active == Some(true) || patch.name.is_some())
        {
            ops::renew_of(&self.app, &call.permit()?, *id).await?;
        }
        let mut outdated = Outdated::default();
        let changed = &mut outdated;
        let update = async |work: &mut Work| {
            let (resource, version) = match change {
                Change::User(id, patch) => {
                    render::user(ops::update_user(work, policies, id, expected, patch, changed).await?)
                }
                Change::Group(id, patch) => {
                    let has_members = selection.has("members");
                    let update = ops::update_group(work, policies, id, expected, patch, has_members, changed);
                    render::group(update.await?)
                }
            };
            Ok(respond(body(&selection.apply(resource)), version))
        };
        let response = call.write(&self.app, update).await?;
        outdated.forget(&self.app).await;
        Ok(response)
    }
}

fn created(collection: &str, resource: Value, version: i64) -> pb::CreateScimResourceResponse {
    let id = resource["id"].as_str().unwrap_or_default().to_owned();
    pb::CreateScimResourceResponse { body: body(&resource), version, collection: collection.to_owned(), id }
}

#[tonic::async_trait]
impl ScimResourceService for ScimResources {
    async fn query_scim_resources(
        &self,
        request: Request<pb::QueryScimResourcesRequest>,
    ) -> Reply<pb::QueryScimResourcesResponse> {
        let call = Call::admit(request)?;
        let (message, permit) = (&call.message, &call.permit()?);
        if let Some(document) = document::collection(&message.collection) {
            ops::check(permit)?;
            return call.read(pb::QueryScimResourcesResponse { body: body(&document) });
        }
        let selection = Selection::parse(&message.attributes, &message.excluded_attributes);
        let slice = Slice::new(message.start_index, message.count);
        let (resources, total) = match Collection::parse(&message.collection)? {
            Collection::Users => {
                let filter = &UserFilter::parse(&message.filter)?;
                let list = async |connection: &Connection| ops::list_users(connection, permit, filter, slice).await;
                let (people, total) = self.app.database.query(call.reach(), list).await?;
                (people.into_iter().map(|person| render::user(person).0).collect::<Vec<_>>(), total)
            }
            Collection::Groups => {
                let (filter, has_members) = (&GroupFilter::parse(&message.filter)?, selection.has("members"));
                let list = async |connection: &Connection| {
                    ops::list_groups(connection, permit, filter, slice, has_members).await
                };
                let (groups, total) = self.app.database.query(call.reach(), list).await?;
                (groups.into_iter().map(|group| render::group(group).0).collect(), total)
            }
        };
        let resources = resources.into_iter().map(|resource| selection.apply(resource)).collect();
        call.read(pb::QueryScimResourcesResponse { body: body(&document::list(resources, slice, total)) })
    }

    async fn read_scim_resource(
        &self,
        request: Request<pb::ReadScimResourceRequest>,
    ) -> Reply<pb::ReadScimResourceResponse> {
        let call = Call::admit(request)?;
        let (message, permit) = (&call.message, &call.permit()?);
        let selection = Selection::parse(&message.attributes, &message.excluded_attributes);
        if document::is_collection(&message.collection) {
            ops::check(permit)?;
            let found = document::find(&message.collection, &message.resource_id);
            let found = found.ok_or_else(|| Error::not_found("resource"))?;
            return call.read(pb::ReadScimResourceResponse { body: body(&found), version: 1 });
        }
        let has_members = selection.has("members");
        let (resource, version): Versioned = match Target::parse(&message.collection, &message.resource_id)? {
            Target::User(id) => {
                let get = async |connection: &Connection| ops::get_user(connection, permit, id).await;
                render::user(self.app.database.query(call.reach(), get).await?)
            }
            Target::Group(id) => {
                let get = async |connection: &Connection| ops::get_group(connection, permit, id, has_members).await;
                render::group(self.app.database.query(call.reach(), get).await?)
            }
        };
        call.read(pb::ReadScimResourceResponse { body: body(&selection.apply(resource)), version })
    }

    async fn create_scim_resource(
        &self,
        request: Request<pb::CreateScimResourceRequest>,
    ) -> Reply<pb::CreateScimResourceResponse> {
        let mut call = Call::admit(request)?;
        let collection = Collection::parse(&call.message.collection)?;
        let document = read::document(call.message.body.take())?;
        let selection = Selection::parse(&call.message.attributes, &call.message.excluded_attributes);
        self.create(&call, collection, &document, &selection).await
    }

    async fn replace_scim_resource(
        &self,
        request: Request<pb::ReplaceScimResourceRequest>,
    ) -> Reply<pb::ReplaceScimResourceResponse> {
        let mut call = Call::admit(request)?;
        let document = read::document(call.message.body.take())?;
        let selection = Selection::parse(&call.message.attributes, &call.message.excluded_attributes);
        let target = Target::parse(&call.message.collection, &call.message.resource_id)?;
        let change = Change::new(target, &document, read::replaced_user, read::replaced_group)?;
        let respond = |body, version| pb::ReplaceScimResourceResponse { body, version };
        self.update(&call, change, &selection, respond).await
    }

    async fn patch_scim_resource(
        &self,
        request: Request<pb::PatchScimResourceRequest>,
    ) -> Reply<pb::PatchScimResourceResponse> {
        let mut call = Call::admit(request)?;
        let document = read::document(call.message.body.take())?;
        let selection = Selection::parse(&call.message.attributes, &call.message.excluded_attributes);
        let target = Target::parse(&call.message.collection, &call.message.resource_id)?;
        let change = Change::new(target, &document, patch::user, patch::group)?;
        let respond = |body, version| pb::PatchScimResourceResponse { body, version };
        self.update(&call, change, &selection, respond).await
    }

    async fn delete_scim_resource(
        &self,
        request: Request<pb::DeleteScimResourceRequest>,
    ) -> Reply<pb::DeleteScimResourceResponse> {
        let call = Call::admit(request)?;
        let target = Target::parse(&call.message.collection, &call.message.resource_id)?;
        let (policies, expected) = (&self.app.contract.policies, call.if_match.clone());
        let mut outdated = Outdated::default();
        let changed = &mut outdated;
        let delete = async |work: &mut Work| {
            match target {
                Target::User(id) => ops::delete_user(work, id, expected, changed).await?,
                Target::Group(id) => ops::delete_group(work, policies, id, expected, changed).await?,
            }
            Ok(pb::DeleteScimResourceResponse {})
        };
        let response = call.write(&self.app, delete).await?;
        outdated.forget(&self.app).await;
        Ok(response)
    }
}
