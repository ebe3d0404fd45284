//! The notice of a sign-in.

use chrono::{DateTime, Utc};
use minijinja::context;
use serde::Serialize;

use crate::{
    identity::session::{model::Device, ops as session},
    mail::ops::{Compose, Draft, Links, Locale, Mail, MailKind, Template, template},
};
use mainstay_kernel::{app::App, config::Quota, error::Result, id::SessionId, schedule::HOUR};

/// A user, the parent, signed in from an unknown network. The cause is the session.
pub(crate) struct SignIn {
    at: DateTime<Utc>,
    address: Option<String>,
    device: Option<String>,
    link: String,
}

impl MailKind for SignIn {
    const NAME: &'static str = "sign_in";
    const TEMPLATES: &'static [Template] = &[template!("../../mail/templates", "sign_in", ["de", "en"])];
    const IS_URGENT: bool = true;
    const LIMIT: Quota = Quota { requests: 5, window: HOUR };

    async fn compose(Compose { connection, mail, links, .. }: Compose<'_>) -> Result<Option<Draft>> {
        let content = Self { at: mail.created_at, address: None, device: None, link: links.request_reset() };
        Draft::to_user(connection, mail.topic.user()?, content).await
    }

    async fn complete(self, app: &App, mail: &Mail) -> Self {
        let Ok(user) = mail.topic.user() else { return self };
        // Without the device, the mail still contains the essential facts.
        let Ok(Some(device)) = session::device(app, user, SessionId(mail.topic.id)).await else { return self };
        Self { address: Some(device.address.clone()), device: known_names(&device), ..self }
    }

    fn samples(links: Links<'_>, now: DateTime<Utc>) -> Vec<Self> {
        let (address, device) = (Some("203.0.113.7".to_owned()), Some("Firefox, Linux".to_owned()));
        vec![Self { at: now, address, device, link: links.request_reset() }]
    }

    fn values(&self, locale: Locale) -> impl Serialize {
        let Self { at, address, device, link } = self;
        context! { at => locale.time(*at), address, device, link }
    }
}

/// Returns the browser and the operating system that a client claims to be, if they are well known. No other text of
/// the client is used, because an attacker who guessed a password could otherwise inject text into the mail.
fn known_names(device: &Device) -> Option<String> {
    // The order matters, because each browser's user agent also names the browsers after it.
    const BROWSERS: [(&str, &str); 5] =
        [("Edg/", "Edge"), ("Firefox/", "Firefox"), ("OPR/", "Opera"), ("Chrome/", "Chrome"), ("Safari/", "Safari")];
    const SYSTEMS: [(&str, &str); 6] = [
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Android", "Android"),
        ("Windows", "Windows"),
        ("Mac OS X", "macOS"),
        ("Linux", "Linux"),
    ];
    let named = |names: &[(&str, &'static str)]| {
        names.iter().find(|(sign, _)| device.user_agent.contains(sign)).map(|(_, name)| *name)
    };
    let names: Vec<_> = [named(&BROWSERS), named(&SYSTEMS)].into_iter().flatten().collect();
    (!names.is_empty()).then(|| names.join(", "))
}
