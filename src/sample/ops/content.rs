//! Posts of the agents.

use chrono::TimeDelta;
use mainstay_kernel::{
    error::{Error, Result},
    unit_of_work::Work,
};

use super::Writer;
use crate::{
    content::post::{
        model::{Content, Draft},
        ops::{self as post, Target},
    },
    identity::user::model::Language,
    sample::model::texts::{Article, Fate},
};

/// Writes the posts.
pub(super) async fn write(writer: &Writer) -> Result<()> {
    for (author, article) in writer.cast.agents.iter().cycle().zip(&writer.texts.posts) {
        let permit = |method: &str| author.permit(&format!("content.v1.PostService/{method}"));
        let (create, publish, schedule) = (permit("CreatePost")?, permit("PublishPost")?, permit("SchedulePost")?);
        let at = writer.now - TimeDelta::days(article.days_ago);
        let (draft, later) = (draft(article)?, at + TimeDelta::hours(5));
        let (fate, now) = (article.fate, writer.now);
        let transaction = writer.app.database.transaction(async move |work: &mut Work| {
            work.act_as(create, at).await?;
            let id = post::create(work, draft).await?.id;
            match fate {
                Fate::Draft => {}
                Fate::Published => {
                    work.act_as(publish, later).await?;
                    post::publish(work, Target { id, expected: None }).await?;
                }
                Fate::Scheduled(days) => {
                    work.act_as(schedule, later).await?;
                    post::schedule(work, Target { id, expected: None }, now + TimeDelta::days(days)).await?;
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
        title: article.title.clone(),
        summary: article.summary.clone(),
        body: article.body.clone(),
        language: Language::parse(&article.language)?,
        tags: article.tags.clone(),
    };
    Ok(Draft { author: None, slug: None, content })
}
