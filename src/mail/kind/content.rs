//! The values of a mail of any kind.

use futures_util::future::BoxFuture;
use minijinja::Value;

use crate::mail::{locale::Locale, model::Mail};
use mainstay_kernel::app::App;

/// The values of a mail; see [`MailKind`](crate::mail::ops::MailKind), which implements this.
pub trait Content: Send + Sync {
    /// Returns the name of the template.
    fn template(&self) -> &'static str;

    /// Returns the link that every text of the mail must show.
    fn required_link(&self) -> Option<&str>;

    /// Returns the values for the template.
    fn values(&self, locale: Locale) -> Value;

    /// Adds what is not in Postgres.
    fn complete<'a>(self: Box<Self>, app: &'a App, mail: &'a Mail) -> BoxFuture<'a, Box<dyn Content>>;
}
