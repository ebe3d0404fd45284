//! The texts of the sample data: posts, and tickets with their comments.

use mainstay_kernel::error::{Error, Result};
use serde::{Deserialize, Deserializer, de};

use crate::support::ticket::model::{Kind, Priority};

/// All texts.
#[derive(Debug, Deserialize)]
pub struct Texts {
    /// The posts, oldest first.
    pub posts: Vec<Article>,
    en: Vec<Conversation>,
    de: Vec<Conversation>,
}

impl Texts {
    /// Reads the texts from the file in the program.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the file is malformed.
    pub fn read() -> Result<Self> {
        serde_json::from_str(include_str!("texts.json")).map_err(Error::internal)
    }

    /// Returns the conversations in a language.
    pub fn conversations(&self, language: &str) -> &[Conversation] {
        if language == "de" { &self.de } else { &self.en }
    }
}

/// A ticket and the comments on it.
#[derive(Debug, Clone, Deserialize)]
pub struct Conversation {
    pub subject: String,
    pub body: String,
    #[serde(deserialize_with = "kind")]
    pub kind: Kind,
    #[serde(deserialize_with = "priority")]
    pub priority: Priority,
    pub queue: String,
    pub tags: Vec<String>,
    /// The comments in their order: an agent begins, then the customer and the agent alternate.
    pub comments: Vec<String>,
}

fn kind<'de, D: Deserializer<'de>>(name: D) -> Result<Kind, D::Error> {
    Kind::from_name(&String::deserialize(name)?).ok_or_else(|| de::Error::custom("a kind of ticket"))
}

fn priority<'de, D: Deserializer<'de>>(name: D) -> Result<Priority, D::Error> {
    Priority::from_name(&String::deserialize(name)?).ok_or_else(|| de::Error::custom("a priority"))
}

/// A post.
#[derive(Debug, Clone, Deserialize)]
pub struct Article {
    pub title: String,
    pub summary: String,
    /// Markdown.
    pub body: String,
    pub language: String,
    pub tags: Vec<String>,
    /// The age of the post, in days.
    pub days_ago: i64,
    pub fate: Fate,
}

/// The state of a post after it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fate {
    Published,
    /// Scheduled to be published in so many days.
    Scheduled(i64),
    Draft,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_posts_and_conversations_in_both_languages() {
        let texts = Texts::read().expect("a well-formed file");
        assert_eq!((texts.posts.len(), texts.en.len(), texts.de.len()), (7, 28, 16));
        assert!(texts.en.iter().chain(&texts.de).all(|conversation| !conversation.comments.is_empty()));
    }
}
