//! The posts for reads.

use anyhow::Context as _;
use mainstay::proto::content::v1::{CreatePostRequest, PublishPostRequest, post_service_client::PostServiceClient};

use crate::{
    calls::BODY,
    children::Server,
    clients::{Client, authorize},
};

/// The number of posts: enough to fill some pages.
const POSTS: usize = 100;

/// Writes and publishes posts; returns their ids.
pub(crate) async fn publish(server: &Server, token: &str) -> anyhow::Result<Vec<String>> {
    let Client::Grpc { channel, token } = Client::grpc(server.port, token).await? else {
        anyhow::bail!("asked for gRPC");
    };
    let mut posts = PostServiceClient::new(channel);
    let mut ids = Vec::new();
    for number in 0..POSTS {
        let request = CreatePostRequest {
            title: format!("Notes on the benchmark, part {number}"),
            body: format!("# Part {number}\n\n{}", format!("{BODY}\n\n").repeat(8)),
            summary: BODY.to_owned(),
            tags: vec!["benchmark".to_owned()],
            ..CreatePostRequest::default()
        };
        let post = posts.create_post(authorize(request, &token)).await?.into_inner().data.context("no post")?;
        let id = post.id.context("no id")?;
        let request = PublishPostRequest { post_id: id.clone() };
        posts.publish_post(authorize(request, &token)).await?;
        ids.push(id);
    }
    Ok(ids)
}
