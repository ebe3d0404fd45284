//! Kinds of mail: each module declares its own by [`SendsMail::mail`](crate::mail::ops::SendsMail::mail).

mod content;
mod draft;

use std::{collections::BTreeMap, fmt, future::ready, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::BoxFuture;
use minijinja::Value;
use serde::Serialize;

use crate::mail::{links::Links, locale::Locale, model::Mail};
use mainstay_kernel::{
    app::App, config::Quota, database::Connection, error::Result, module::is_kind_name, secret::SecretKey,
};

pub use content::Content;
pub use draft::Draft;

/// A kind of mail, and the values of one such mail. They are composed when the mail is sent and stored nowhere, and may
/// hold a secret.
pub trait MailKind: Send + Sync + Sized + 'static {
    /// The name, in the table `mails`, in metrics and in the log: lower-case words joined by `_`, after the name of the
    /// module and a dot, as in `fleet.lease_ending`. Mainstay's own kinds have no name of a module.
    const NAME: &'static str;

    /// The templates, each with a distinct name; most kinds have one, with the name of the kind.
    const TEMPLATES: &'static [Template];

    /// Whether the recipient waits for the mail, or has to act on it at once.
    const IS_URGENT: bool = false;

    /// Whether any caller can cause such a mail to any address, whether or not the address belongs to a user. Metrics then
    /// do not tell its outcomes apart.
    const IS_FOR_ANY_ADDRESS: bool = false;

    /// Whether the recipient may unsubscribe from such mail, because it is not required by a transaction or for security.
    const IS_NOTIFICATION: bool = false;

    /// How long after its cause the mail may still be sent. Mail that arrives later would confuse its recipient.
    const LIFETIME: TimeDelta = TimeDelta::hours(24);

    /// The limit of such mails to one recipient.
    const LIMIT: Quota = Quota { requests: 20, window: Duration::from_secs(3600) };

    /// Whether all tagged addresses of one mailbox share a further limit, because a client names the address.
    const LIMITS_TAGGED: bool = false;

    /// The kind of event that causes such a mail, in the transaction that publishes it: one mail about the resource, however many
    /// such events it has within `MAILS_KEPT` of the mail.
    const EVENT: Option<&'static str> = None;

    /// Composes a mail; `None` if it has no recipient. A resource that is not found leaves the mail without a recipient,
    /// too. A token may be stored here, which is the same at the next attempt.
    fn compose(mail: Compose<'_>) -> impl Future<Output = Result<Option<Draft>>> + Send;

    /// Adds what is not in Postgres, before the mail is sent.
    fn complete(self, _app: &App, _mail: &Mail) -> impl Future<Output = Self> + Send {
        ready(self)
    }

    /// Returns samples with made-up values, at least one per template: for previews, and to check the templates.
    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self>;

    /// Returns the name of the template.
    fn template(&self) -> &'static str {
        Self::TEMPLATES[0].name
    }

    /// Returns the link that every text of the mail must show.
    fn required_link(&self) -> Option<&str> {
        None
    }

    /// Returns the values for the template, with amounts and times in the format of a language: a map or a struct.
    fn values(&self, locale: Locale) -> impl Serialize;
}

/// What a mail is composed of.
pub struct Compose<'c> {
    pub connection: &'c mut Connection,
    pub mail: &'c Mail,
    pub secret: &'c SecretKey,
    pub links: Links<'c>,
    pub now: DateTime<Utc>,
}

impl fmt::Debug for Compose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compose").field("mail", self.mail).finish_non_exhaustive()
    }
}

/// A template in the languages that it is written in; English is among them. [`template`](crate::mail::ops::template)
/// embeds its files.
#[derive(Debug, Clone, Copy)]
pub struct Template {
    pub name: &'static str,
    /// The texts, each with its language.
    pub texts: &'static [(&'static str, &'static str)],
}

/// Embeds the files `NAME.LANGUAGE.j2` of a folder, relative to the source file, as in
/// `template!("templates", "fleet.lease_ending", ["de", "en"])`.
#[doc(hidden)]
#[macro_export]
macro_rules! __mail_template {
    ($folder:literal, $name:literal, [$($language:literal),+]) => {
        $crate::mail::ops::Template {
            name: $name,
            texts: &[$(($language, include_str!(concat!($folder, "/", $name, ".", $language, ".j2")))),+],
        }
    };
}

impl<K: MailKind> Content for K {
    fn template(&self) -> &'static str {
        <K as MailKind>::template(self)
    }

    fn required_link(&self) -> Option<&str> {
        <K as MailKind>::required_link(self)
    }

    fn values(&self, locale: Locale) -> Value {
        Value::from_serialize(<K as MailKind>::values(self, locale))
    }

    fn complete<'a>(self: Box<Self>, app: &'a App, mail: &'a Mail) -> BoxFuture<'a, Box<dyn Content>> {
        Box::pin(async move { Box::new(<K as MailKind>::complete(*self, app, mail).await) as Box<dyn Content> })
    }
}

/// A declared [`MailKind`].
#[derive(Debug)]
pub struct Kind {
    pub name: &'static str,
    pub templates: &'static [Template],
    pub is_urgent: bool,
    pub is_for_any_address: bool,
    pub is_notification: bool,
    pub lifetime: TimeDelta,
    pub limit: Quota,
    pub limits_tagged: bool,
    pub event: Option<&'static str>,
    pub(crate) compose: for<'c> fn(Compose<'c>) -> BoxFuture<'c, Result<Option<Draft>>>,
    pub(crate) samples: fn(Links<'_>, DateTime<Utc>) -> Vec<Box<dyn Content>>,
}

impl Kind {
    /// Returns the declaration of a kind.
    pub fn of<K: MailKind>() -> &'static Self {
        const {
            &Self {
                name: K::NAME,
                templates: K::TEMPLATES,
                is_urgent: K::IS_URGENT,
                is_for_any_address: K::IS_FOR_ANY_ADDRESS,
                is_notification: K::IS_NOTIFICATION,
                lifetime: K::LIFETIME,
                limit: K::LIMIT,
                limits_tagged: K::LIMITS_TAGGED,
                event: K::EVENT,
                compose: |mail| Box::pin(K::compose(mail)),
                samples: |links, now| {
                    K::samples(links, now).into_iter().map(|one| Box::new(one) as Box<dyn Content>).collect()
                },
            }
        }
    }
}

/// The kinds of mail of all modules, by name.
#[derive(Debug, Clone)]
pub struct Kinds(BTreeMap<&'static str, &'static Kind>);

impl Kinds {
    /// Collects the kinds.
    ///
    /// # Errors
    /// Every name that two kinds or templates share, and every template without a valid name or an English text.
    pub(crate) fn new(all: impl IntoIterator<Item = &'static Kind>) -> std::result::Result<Self, Vec<String>> {
        let (mut kinds, mut faults, mut templates) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
        for kind in all {
            if kinds.insert(kind.name, kind).is_some() {
                faults.push(format!("{}: two kinds of mail have the name", kind.name));
            }
            for template in kind.templates {
                if let Some(other) = templates.insert(template.name, kind.name).filter(|other| *other != kind.name) {
                    faults.push(format!("{}: a template of {} and of {other}", template.name, kind.name));
                }
                if !is_kind_name(template.name) || template.texts.iter().all(|(language, _)| *language != "en") {
                    faults.push(format!("{}: a template needs a name like a kind, and an English text", template.name));
                }
            }
            if kind.templates.is_empty() {
                faults.push(format!("{}: the kind of mail has no template", kind.name));
            }
        }
        if faults.is_empty() { Ok(Self(kinds)) } else { Err(faults) }
    }

    /// Returns a kind; `None` if no module of this program declares it.
    pub fn get(&self, name: &str) -> Option<&'static Kind> {
        self.0.get(name).copied()
    }

    /// Returns all kinds, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &'static Kind> {
        self.0.values().copied()
    }
}
