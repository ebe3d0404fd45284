//! Conversion of posts to messages, and of messages to drafts and patches.

use mainstay_kernel::{
    audit::Audited,
    error::{Error, Result},
    grpc::{mask, render::time},
    id::UserId,
};

use crate::{
    content::post::{
        markdown,
        model::{self, Content, Draft, Patch, Post},
    },
    identity::user::model::Language,
    proto::content::v1 as pb,
};

/// Renders a post without its text.
pub(crate) fn post_without_text(post: Post) -> pb::Post {
    let Post { content, state, .. } = post;
    pb::Post {
        id: Some(post.id.to_string()),
        author_id: Some(post.author.to_string()),
        slug: Some(post.slug),
        title: Some(content.title),
        summary: Some(content.summary),
        body: None,
        html: None,
        language: Some(content.language.into()),
        tags: content.tags,
        status: Some(state.status().number().into()),
        version: Some(post.version),
        create_time: Some(time(post.created_at)),
        update_time: Some(time(post.updated_at)),
        publish_time: state.published_at().map(time),
    }
}

/// Renders a post.
pub(crate) fn post(mut post: Post) -> pb::Post {
    let body = std::mem::take(&mut post.content.body);
    pb::Post { html: Some(markdown::render(&body)), body: Some(body), ..post_without_text(post) }
}

impl Audited for Post {
    type Message = pb::Post;

    /// Without the HTML, which follows from the text.
    fn message(mut self) -> pb::Post {
        let body = Some(std::mem::take(&mut self.content.body));
        pb::Post { body, ..post_without_text(self) }
    }
}

fn parse_slug(slug: String, field: &str) -> Result<String> {
    let fault = || Error::field(field, "must be lower-case letters and digits, in words joined by hyphens");
    Some(slug).filter(|slug| model::is_slug(slug)).ok_or_else(fault)
}

fn parse_body(body: String, field: &str) -> Result<String> {
    match markdown::fault(&body) {
        Some(fault) => Err(Error::field(field, fault)),
        None => Ok(body),
    }
}

/// Reads a draft from a validated message.
pub(crate) fn draft(message: pb::CreatePostRequest) -> Result<Draft> {
    Ok(Draft {
        author: message.author_id.as_deref().map(UserId::parse).transpose()?,
        slug: message.slug.map(|slug| parse_slug(slug, "slug")).transpose()?,
        content: Content {
            title: message.title,
            summary: message.summary,
            body: parse_body(message.body, "body")?,
            language: Language::of_field("language", message.language.as_deref())?,
            tags: message.tags,
        },
    })
}

/// Reads the new values of the fields in `paths`. A field that is in `paths` and absent from the message is cleared:
/// reset to its default, or left empty if it is optional.
///
/// # Errors
/// `VALIDATION_FAILED` for a field that can't be cleared.
pub(crate) fn patch(message: pb::PostPatch, paths: &[String]) -> Result<Patch> {
    let mut patch = Patch::default();
    let required = |path: &str| Error::field(format!("post.{path}"), "can't be cleared");
    for path in paths {
        match path.as_str() {
            "title" => patch.title = Some(message.title.clone().ok_or_else(|| required(path))?),
            "body" => {
                let body = message.body.clone().ok_or_else(|| required(path))?;
                patch.body = Some(parse_body(body, "post.body")?);
            }
            "summary" => patch.summary = Some(message.summary.clone().unwrap_or_default()),
            "slug" => {
                let slug = message.slug.clone().ok_or_else(|| required(path))?;
                patch.slug = Some(parse_slug(slug, "post.slug")?);
            }
            "language" => {
                patch.language = Some(Language::of_field("post.language", message.language.as_deref())?);
            }
            "tags" => patch.tags = Some(message.tags.clone()),
            other => return Err(mask::unhandled(other)),
        }
    }
    Ok(patch)
}
