//! `mainstay.content.v1.PostService`.

use mainstay_kernel::{
    app::App,
    database::Connection,
    error::Result,
    grpc::{Call, Reply, parse},
    id::UserId,
    unit_of_work::Work,
};
use tonic::Request;

use crate::{
    content::{
        id::PostId,
        post::{
            convert,
            model::{Filter, List, Name, Post},
            ops,
            published::PublishedPosts,
        },
    },
    proto::content::v1::{self as pb, post_service_server::PostService},
};

#[derive(Debug, Clone)]
pub struct Posts {
    pub app: App,
}

/// Reads the target of a change: the post and its expected version.
fn target<M>(call: &Call<M>, post_id: &str) -> Result<ops::Target> {
    Ok(ops::Target { id: PostId::parse(post_id)?, expected: call.if_match.clone() })
}

impl Posts {
    /// Returns a post that the caller may see: the current state for callers that may see drafts, the cached one for others.
    async fn find<M>(&self, call: &Call<M>, name: Name) -> Result<pb::Post> {
        let Some(viewer) = call.viewer() else { return self.app.part::<PublishedPosts>().get(&self.app, name).await };
        let text = call.asks_for("body") || call.asks_for("html");
        let read = async move |connection: &mut Connection| ops::get(connection, viewer, name, text).await;
        Ok(convert::post(self.app.database.autocommit(read).await?))
    }
}

#[tonic::async_trait]
impl PostService for Posts {
    async fn create_post(&self, request: Request<pb::CreatePostRequest>) -> Reply<pb::CreatePostResponse> {
        let mut call = Call::admit(request)?;
        let draft = convert::draft(std::mem::take(&mut call.message))?;
        call.write(&self.app, async move |work: &mut Work| {
            let post = ops::create(work, draft).await?;
            Ok(pb::CreatePostResponse { data: Some(convert::post(post)) })
        })
        .await
    }

    async fn get_post(&self, request: Request<pb::GetPostRequest>) -> Reply<pb::GetPostResponse> {
        let call = Call::admit(request)?;
        let name = Name::Id(PostId::parse(&call.message.post_id)?);
        let data = Some(self.find(&call, name).await?);
        call.read(pb::GetPostResponse { data })
    }

    async fn get_post_by_slug(&self, request: Request<pb::GetPostBySlugRequest>) -> Reply<pb::GetPostBySlugResponse> {
        let mut call = Call::admit(request)?;
        let slug = std::mem::take(&mut call.message.slug);
        let post = self.find(&call, Name::Slug(slug.clone())).await?;
        let is_moved = (post.slug != Some(slug)).then_some(true);
        call.read(pb::GetPostBySlugResponse { data: Some(post), is_moved })
    }

    async fn list_posts(&self, request: Request<pb::ListPostsRequest>) -> Reply<pb::ListPostsResponse> {
        let call = Call::admit(request)?;
        let pb::ListPostsRequest { tag, author_id, query, .. } = &call.message;
        let author = author_id.as_deref().map(UserId::parse).transpose()?;
        let filter = Filter { tag: tag.clone(), author, query: query.trim().to_owned() };
        let pager = call.pager(&self.app)?;
        call.read(self.app.part::<PublishedPosts>().list(&self.app, filter, pager).await?)
    }

    async fn list_drafts(&self, request: Request<pb::ListDraftsRequest>) -> Reply<pb::ListDraftsResponse> {
        let call = Call::admit(request)?;
        let author = call.message.author_id.as_deref().map(UserId::parse).transpose()?;
        let list = List::Drafts(call.permit()?.visibility(), author);
        let pager = call.pager(&self.app)?;
        let list = async move |connection: &_| ops::list(connection, &list, pager.page).await;
        let (posts, meta) = call.list(&self.app, pager, list, Post::key).await?;
        call.read(pb::ListDraftsResponse { data: posts.into_iter().map(convert::post_without_text).collect(), meta })
    }

    async fn update_post(&self, request: Request<pb::UpdatePostRequest>) -> Reply<pb::UpdatePostResponse> {
        let mut call = Call::admit(request)?;
        let target = target(&call, &call.message.post_id)?;
        let (message, mask) = (call.message.post.take().unwrap_or_default(), call.message.update_mask.take());
        let paths = call.update_paths("post", &message, mask)?;
        let patch = convert::patch(message, &paths)?;
        call.write(&self.app, async move |work: &mut Work| {
            let post = ops::update(work, target, patch).await?;
            Ok(pb::UpdatePostResponse { data: Some(convert::post(post)) })
        })
        .await
    }

    async fn publish_post(&self, request: Request<pb::PublishPostRequest>) -> Reply<pb::PublishPostResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.post_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            let post = ops::publish(work, target).await?;
            Ok(pb::PublishPostResponse { data: Some(convert::post(post)) })
        })
        .await
    }

    async fn schedule_post(&self, request: Request<pb::SchedulePostRequest>) -> Reply<pb::SchedulePostResponse> {
        let mut call = Call::admit(request)?;
        let target = target(&call, &call.message.post_id)?;
        let at = parse::time(call.message.publish_time.take().unwrap_or_default(), "publishTime")?;
        call.write(&self.app, async move |work: &mut Work| {
            let post = ops::schedule(work, target, at).await?;
            Ok(pb::SchedulePostResponse { data: Some(convert::post(post)) })
        })
        .await
    }

    async fn unpublish_post(&self, request: Request<pb::UnpublishPostRequest>) -> Reply<pb::UnpublishPostResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.post_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            let post = ops::unpublish(work, target).await?;
            Ok(pb::UnpublishPostResponse { data: Some(convert::post(post)) })
        })
        .await
    }

    async fn delete_post(&self, request: Request<pb::DeletePostRequest>) -> Reply<pb::DeletePostResponse> {
        let call = Call::admit(request)?;
        let target = target(&call, &call.message.post_id)?;
        call.write(&self.app, async move |work: &mut Work| {
            ops::delete(work, target).await?;
            Ok(pb::DeletePostResponse {})
        })
        .await
    }
}
