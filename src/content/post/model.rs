//! Posts, which authors write and the public reads once they are published.

use chrono::{DateTime, TimeDelta, Utc};
use mainstay_kernel::{
    caller::Visibility,
    error::{Error, Result},
    id::{AccountId, UserId},
    numbered::numbered,
    page::Key,
};

use crate::content::id::PostId;
use crate::identity::user::model::Language;
use crate::proto::content::v1::Reason as ContentReason;

numbered! {
    /// The status of a post.
    Status {
        /// Visible to its author and to managers of posts only.
        Draft = 1,
        /// A draft that is due to be published.
        Scheduled = 2,
        /// Visible to the public.
        Published = 3,
    }
}

/// The state of a post, with its data. A transition consumes the state and fails if the state does not allow it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Draft,
    /// A draft that is due to be published.
    Scheduled {
        /// The time of publication.
        at: DateTime<Utc>,
    },
    Published {
        /// The time of publication.
        at: DateTime<Utc>,
    },
}

/// How far ahead a post can be scheduled.
const HORIZON: TimeDelta = TimeDelta::days(3653);

impl State {
    /// Returns the status without its data.
    pub fn status(self) -> Status {
        match self {
            Self::Draft => Status::Draft,
            Self::Scheduled { .. } => Status::Scheduled,
            Self::Published { .. } => Status::Published,
        }
    }

    /// Returns when the post was published, or is due to be published.
    pub fn published_at(self) -> Option<DateTime<Utc>> {
        match self {
            Self::Draft => None,
            Self::Scheduled { at } | Self::Published { at } => Some(at),
        }
    }

    pub fn is_published(self) -> bool {
        self.status() == Status::Published
    }

    /// Publishes the post.
    ///
    /// # Errors
    /// `POST_PUBLISHED` if it is already published.
    pub fn publish(self, at: DateTime<Utc>) -> Result<Self> {
        match self {
            Self::Published { .. } => Err(ContentReason::PostPublished.into()),
            Self::Draft | Self::Scheduled { .. } => Ok(Self::Published { at }),
        }
    }

    /// Schedules the post, or changes the time.
    ///
    /// # Errors
    /// `POST_PUBLISHED` if it is already published; `VALIDATION_FAILED` for a time that is not in the future, or more
    /// than ten years ahead.
    pub fn schedule(self, at: DateTime<Utc>, now: DateTime<Utc>) -> Result<Self> {
        if self.is_published() {
            return Err(ContentReason::PostPublished.into());
        }
        if at <= now || at - now > HORIZON {
            return Err(Error::field("publishTime", "must be in the future, within ten years"));
        }
        Ok(Self::Scheduled { at })
    }

    /// Makes the post a draft.
    ///
    /// # Errors
    /// `POST_NOT_PUBLISHED` if it is a draft already.
    pub fn unpublish(self) -> Result<Self> {
        match self {
            Self::Draft => Err(ContentReason::PostNotPublished.into()),
            Self::Scheduled { .. } | Self::Published { .. } => Ok(Self::Draft),
        }
    }
}

/// The content that an author writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub title: String,
    /// Plain text, for lists and the feed.
    pub summary: String,
    /// Markdown.
    pub body: String,
    /// The language of the text.
    pub language: Language,
    pub tags: Vec<String>,
}

/// A post to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The author; the caller if absent.
    pub author: Option<UserId>,
    /// The slug; derived from the title if absent.
    pub slug: Option<String>,
    pub content: Content,
}

/// A post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Post {
    pub id: PostId,
    /// The author's account.
    pub account: AccountId,
    pub author: UserId,
    /// The unique name in URLs.
    pub slug: String,
    pub content: Content,
    pub state: State,
    /// The version, which each change increments by one.
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl Post {
    /// Returns the next version.
    #[must_use]
    pub fn next_version(self, now: DateTime<Utc>) -> Self {
        Self { version: self.version + 1, updated_at: now, ..self }
    }

    /// Returns the position in the list of published posts, or of drafts.
    pub fn key(&self) -> Key {
        let published_at = self.state.published_at().filter(|_| self.state.is_published());
        Key { rank: None, time: published_at.unwrap_or(self.created_at), id: self.id.0 }
    }
}

const MAX_SLUG_LENGTH: usize = 100;
/// The number of characters of the id in the slug of a post whose title's slug is taken.
const SUFFIX_LENGTH: usize = 8;

/// Returns whether a text is a slug: words of lower-case letters and digits, joined by hyphens.
pub fn is_slug(text: &str) -> bool {
    let is_word =
        |word: &str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= MAX_SLUG_LENGTH && text.split('-').all(is_word)
}

/// Returns the slugs for a new post, the preferred one first: the slug of the title, and one with a random suffix, for a
/// title whose slug is taken.
pub fn slugs(title: &str, id: PostId) -> [String; 2] {
    let mut words = slug::slugify(title);
    words.truncate(MAX_SLUG_LENGTH - SUFFIX_LENGTH - 1);
    let words = words.trim_end_matches('-');
    let words = if words.is_empty() { "post" } else { words };
    let id = id.0.simple().to_string();
    // The end of a UUIDv7 is random.
    [words.to_owned(), format!("{words}-{}", &id[id.len() - SUFFIX_LENGTH..])]
}

/// New values for some fields of a post.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patch {
    pub title: Option<String>,
    pub summary: Option<String>,
    pub body: Option<String>,
    pub slug: Option<String>,
    pub language: Option<Language>,
    /// The complete list of tags.
    pub tags: Option<Vec<String>>,
}

impl Patch {
    /// Returns the post with the new values.
    #[must_use]
    pub fn apply(self, post: Post) -> Post {
        let old = post.content;
        let content = Content {
            title: self.title.unwrap_or(old.title),
            summary: self.summary.unwrap_or(old.summary),
            body: self.body.unwrap_or(old.body),
            language: self.language.unwrap_or(old.language),
            tags: self.tags.unwrap_or(old.tags),
        };
        Post { slug: self.slug.unwrap_or(post.slug), content, ..post }
    }
}

/// A filter of lists.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only posts with this tag; all if empty.
    pub tag: String,
    /// Only posts of this author.
    pub author: Option<UserId>,
    /// Only posts that match these words; all if empty.
    pub query: String,
}

/// The posts of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum List {
    /// Published posts.
    Published(Filter),
    /// Unpublished posts that are visible to a caller; only those of one author if given.
    Drafts(Visibility, Option<UserId>),
}

/// The key by which a post is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    Id(PostId),
    Slug(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_title_in_any_script_makes_a_slug() {
        let id = PostId(uuid::Uuid::from_u128(0x1234_5678));
        for (title, slug) in [
            ("Grüße aus Köln!", "grusse-aus-koln"),
            ("  Two -- words  ", "two-words"),
            ("日本語", "ri-ben-yu"),
            ("🔥", "fire"),
            ("\u{200b}", "post"),
            ("<script>alert(1)</script>", "script-alert-1-script"),
        ] {
            let [first, second] = slugs(title, id);
            assert_eq!(first, slug);
            assert!(is_slug(&first) && is_slug(&second), "{second}");
            assert!(second.ends_with("-12345678"));
        }
        let [first, second] = slugs(&"ä ".repeat(200), id);
        assert!(is_slug(&first) && is_slug(&second) && second.len() <= 100, "{second}");
    }

    #[test]
    fn a_slug_has_one_form() {
        for good in ["a", "a-b2", "2026-11-22"] {
            assert!(is_slug(good), "{good}");
        }
        for bad in ["", "-a", "a-", "a--b", "A", "ä", "a b", "a/b", "a.b", &"a".repeat(101)] {
            assert!(!is_slug(bad), "{bad}");
        }
    }

    #[test]
    fn transitions_are_refused_where_they_make_no_sense() {
        let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
        let later = now + TimeDelta::hours(1);
        let published = State::Draft.publish(now).expect("a draft can be published");
        assert!(published.publish(later).is_err() && published.schedule(later, now).is_err());
        let scheduled = State::Draft.schedule(later, now).expect("a draft can be scheduled");
        assert_eq!(scheduled.publish(now).expect("at once"), published);
        assert_eq!(scheduled.unpublish().expect("a draft again"), State::Draft);
        assert!(State::Draft.unpublish().is_err());
        for time in [now, now - TimeDelta::seconds(1), now + HORIZON + TimeDelta::seconds(1)] {
            assert!(State::Draft.schedule(time, now).is_err(), "{time}");
        }
    }
}
