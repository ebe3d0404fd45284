//! Posts of the agents.

use chrono::TimeDelta;
use mainstay_kernel::{
    database::Connection,
    error::{Error, Result},
};

use super::Writer;
use crate::{
    content::post::{
        model::{Content, Draft},
        ops::{self as post, Target},
    },
    identity::user::model::Language,
    sample::model::posts::{Article, Fate, POSTS},
};

/// Writes the posts.
pub(super) async fn write(writer: &Writer) -> Result<()> {
    for (author, article) in writer.cast.agents.iter().cycle().zip(&POSTS) {
        let permit = |method: &str| author.permit(&format!("content.v1.PostService/{method}"));
        let (create, publish, schedule) = (permit("CreatePost")?, permit("PublishPost")?, permit("SchedulePost")?);
        let at = writer.now - TimeDelta::days(article.days_ago);
        let (draft, later) = (draft(article)?, at + TimeDelta::hours(5));
        let (fate, now) = (article.fate, writer.now);
        let transaction = writer.app.database.transaction(async move |connection: &mut Connection| {
            let id = post::create(connection, create, draft, at).await?.id;
            match fate {
                Fate::Draft => {}
                Fate::Published => {
                    post::publish(connection, Target { permit: publish, id, expected: None }, later).await?;
                }
                Fate::Scheduled(days) => {
                    let target = Target { permit: schedule, id, expected: None };
                    post::schedule(connection, target, now + TimeDelta::days(days), later).await?;
                }
            }
            Ok::<_, Error>(())
        });
        transaction.await?;
    }
    Ok(())
}

fn draft(article: &Article) -> Result<Draft> {
    let content = Content {
        title: article.title.to_owned(),
        summary: article.summary.to_owned(),
        body: article.body.to_owned(),
        language: Language::parse(article.language)?,
        tags: article.tags.iter().map(|tag| (*tag).to_owned()).collect(),
    };
    Ok(Draft { author: None, slug: None, content })
}
