//! Templates: each mail is written once per language, and rendered as HTML and as plain text.
//!
//! A template (`order_confirmation.de.j2`) has three blocks: `subject`, `preheader` (the text that mailboxes show
//! beside the subject) and `body`. The body consists of the macros in `parts.html` or, for the plain text, `parts.txt`,
//! and is inserted into `layout.html` or `layout.txt`. Values are escaped in HTML, and an undefined name is an error.
//! The operator's template directory may replace any of the files, and add languages. All templates are rendered with
//! samples at startup, so that no mail fails because of its template.

mod files;
mod text;

use std::{collections::BTreeSet, path::Path};

use chrono::{DateTime, Utc};
use minijinja::{AutoEscape, Environment, HtmlEscape, UndefinedBehavior, Value, context};

use crate::{
    identity::user::model::Language,
    mail::{
        config::{Brand, Color},
        kind::{Content, Kinds},
        links::Links,
        locale::Locale,
        text::one_line,
    },
};
use mainstay_kernel::error::{Error, Result};

use files::Source;

/// The fallback for a language without templates.
const FALLBACK: &str = "en";
/// The maximum length of a subject, in characters; a subject may quote a user's text.
const MAX_SUBJECT_CHARS: usize = 150;

/// The background of mail in dark mode, as in `layout.html`.
const DARK: &str = "#1f2329";

/// A mail as its template renders it. It may hold a secret.
#[derive(Clone)]
pub struct RenderedMail {
    pub subject: String,
    pub text: String,
    pub html: String,
    /// The link by which the recipient unsubscribes from such mail, if that is possible.
    pub unsubscribe: Option<String>,
}

#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    languages: BTreeSet<String>,
    kinds: Kinds,
}

impl Templates {
    /// Opens the built-in templates and those of a directory, and renders each with a sample.
    ///
    /// # Errors
    /// Every fault, with the name of the file.
    pub fn open(kinds: Kinds, brand: &Brand, directory: Option<&Path>) -> Result<Self, Vec<String>> {
        let (sources, mut faults) = files::sources(&kinds, directory);
        let mut environment = environment(brand);
        let mut languages = BTreeSet::new();
        for Source { name, text } in sources {
            let result = match files::language(&name) {
                None => environment.add_template_owned(name.clone(), text),
                Some((template, language)) => {
                    languages.insert(language.to_owned());
                    let add = |environment: &mut Environment<'static>, format: &str| {
                        environment.add_template_owned(format!("{template}.{language}.{format}"), text.clone())
                    };
                    add(&mut environment, "html").and_then(|()| add(&mut environment, "txt"))
                }
            };
            faults.extend(result.err().map(|error| describe(&error, "a template")));
        }
        let templates = Self { environment, languages, kinds };
        // A fault in a shared file would make every template fail.
        if files::SHARED.iter().all(|name| templates.environment.get_template(name).is_ok()) {
            faults.extend(templates.check(brand));
        }
        faults.sort();
        faults.dedup();
        if faults.is_empty() { Ok(templates) } else { Err(faults) }
    }

    /// Returns the languages that some template is written in.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        self.languages.iter().map(String::as_str)
    }

    /// Returns the names of all templates, in their order.
    pub fn names(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = files::names(&self.kinds).collect();
        names.sort_unstable();
        names
    }

    /// Renders a mail in the language of its recipient, in a more general language (RFC 4647), or in English.
    ///
    /// # Errors
    /// `INTERNAL_ERROR` if the template fails. The check at startup excludes this except for contents that the samples
    /// do not cover.
    pub fn write(
        &self,
        content: &dyn Content,
        language: &Language,
        unsubscribe: Option<String>,
    ) -> Result<RenderedMail> {
        let template = content.template();
        let exists = |tag: &&str| self.environment.get_template(&format!("{template}.{tag}.html")).is_ok();
        let tag = language.lookup().find(exists).unwrap_or(FALLBACK);
        self.render(content, tag, unsubscribe)
            .map_err(|error| Error::internal(anyhow::anyhow!("{}", describe(&error, template))))
    }

    /// Renders a page.
    pub(super) fn page(&self, name: &str, values: Value) -> Result<String> {
        let page = self.environment.get_template(name).and_then(|page| page.render(values));
        page.map_err(|error| Error::internal(anyhow::anyhow!("{}", describe(&error, name))))
    }

    fn render(
        &self,
        content: &dyn Content,
        language: &str,
        unsubscribe: Option<String>,
    ) -> std::result::Result<RenderedMail, minijinja::Error> {
        let footer = context! { unsubscribe, unsubscribe_label => Locale::of(language).unsubscribe() };
        let (subject, _, text) = self.blocks(content, language, "txt")?;
        let subject: String = one_line(&subject).chars().take(MAX_SUBJECT_CHARS).collect();
        let text = self.layout("txt", context! { subject, language, body => text::tidy(&text), ..footer.clone() })?;
        let (_, preheader, html) = self.blocks(content, language, "html")?;
        // The output of a block is already escaped.
        let (preheader, body) = (Value::from_safe_string(one_line(&preheader)), Value::from_safe_string(html));
        let html = self.layout("html", context! { subject, preheader, language, body, ..footer })?;
        Ok(RenderedMail { subject, text: text::tidy(&text), html, unsubscribe })
    }

    fn blocks(
        &self,
        content: &dyn Content,
        language: &str,
        format: &str,
    ) -> std::result::Result<(String, String, String), minijinja::Error> {
        let template = self.environment.get_template(&format!("{}.{language}.{format}", content.template()))?;
        let values = context! { language, parts => format!("parts.{format}"), ..content.values(Locale::of(language)) };
        let mut captured = template.render_captured(values)?;
        captured.with_state_mut(|state| {
            Ok((state.render_block("subject")?, state.render_block("preheader")?, state.render_block("body")?))
        })
    }

    fn layout(&self, format: &str, values: Value) -> std::result::Result<String, minijinja::Error> {
        self.environment.get_template(&format!("layout.{format}"))?.render(values)
    }

    /// Returns the samples of all kinds.
    fn samples(&self, brand: &Brand, now: DateTime<Utc>) -> Vec<Box<dyn Content>> {
        self.kinds.iter().flat_map(|kind| (kind.samples)(Links(brand), now)).collect()
    }

    /// Renders a sample of a template, with the link by which the recipient of a notification unsubscribes; `None` if the
    /// template does not exist.
    pub fn preview(&self, name: &str, brand: &Brand, language: &Language, now: DateTime<Utc>) -> Option<RenderedMail> {
        let kind = self.kinds.iter().find(|kind| kind.templates.iter().any(|template| template.name == name))?;
        let content = (kind.samples)(Links(brand), now).into_iter().find(|content| content.template() == name)?;
        let unsubscribe = kind.is_notification.then(|| Links(brand).unsubscribe(Links::SAMPLE_TOKEN));
        self.write(&*content, language, unsubscribe).ok()
    }

    /// Renders each template with a sample, and returns the errors.
    fn check(&self, brand: &Brand) -> Vec<String> {
        let samples = self.samples(brand, DateTime::UNIX_EPOCH);
        let is_sampled = |name: &&str| samples.iter().any(|content| content.template() == *name);
        let unsampled = self.names().into_iter().filter(|name| !is_sampled(name));
        let mut faults: Vec<_> = unsampled.map(|name| format!("{name}: the template has no sample")).collect();
        let offer = context! { account => "", inviter => "", email => "", is_registered => false };
        for page in ["reset", "registration", "email_change", "email_undo", "deletion", "invitation", "unsubscribe"] {
            let (token, nothing) = ("token", None::<&str>);
            let values = context! {
                page, token, language => FALLBACK, name => "", account => "", nonce => "", problem => nothing, done => nothing,
                sign_in => "", keeps_mail => true, minutes => None::<u64>, offer => offer.clone(),
            };
            let rendered = self.environment.get_template("page.html").and_then(|template| template.render(values));
            faults.extend(rendered.err().map(|error| describe(&error, "page.html")));
        }
        for page in ["leave", "consent", "logout", "signed_out", "signed_in", "problem"] {
            let values = context! {
                page, language => FALLBACK, nonce => "", url => "", problem => "client", client => "", email => "", request => "",
                csrf => "", identity => ["openid"], scopes => [context! { en => "", de => "" }], account => "", host => "",
                is_staff => true, is_lasting => true, console => "", enrolment => "",
            };
            let rendered = self.environment.get_template("authorize.html").and_then(|template| template.render(values));
            faults.extend(rendered.err().map(|error| describe(&error, "authorize.html")));
        }
        for page in ["enter", "ask", "done"] {
            let values = context! {
                page, language => FALLBACK, nonce => "", csrf => "", user_code => "", is_wrong => true, client => "", email => "",
                identity => ["openid"], scopes => [context! { en => "", de => "" }], address => "", is_near => false, time => "", minutes => 0, allows => true,
            };
            let rendered = self.environment.get_template("device.html").and_then(|template| template.render(values));
            faults.extend(rendered.err().map(|error| describe(&error, "device.html")));
        }
        for step in ["password", "second_factor", "code", "done"] {
            let values = context! {
                step, language => FALLBACK, nonce => "", place => "", email => "", problem => None::<&str>, minutes => None::<u64>,
                is_recovery => false, remember_days => 30, mail => true, passkeys => true, providers => [context! { label => "", url => "" }],
                provider_query => "", expired => "", again => "",
            };
            let rendered = self.environment.get_template("sign_in.html").and_then(|template| template.render(values));
            faults.extend(rendered.err().map(|error| describe(&error, "sign_in.html")));
        }
        for content in &samples {
            for language in &self.languages {
                let file = format!("{}.{language}.j2", content.template());
                if self.environment.get_template(&format!("{}.{language}.html", content.template())).is_err() {
                    continue;
                }
                match self.render(&**content, language, Some("https://unsubscribe.example".to_owned())) {
                    Err(error) => faults.push(describe(&error, &file)),
                    Ok(rendered) if rendered.subject.is_empty() => faults.push(format!("{file}: its subject is empty")),
                    Ok(rendered) => {
                        let RenderedMail { text, html, .. } = rendered;
                        let is_shown = |link: &str| {
                            let escaped = HtmlEscape(link).to_string();
                            text.contains(link) && (html.contains(&escaped) || html.contains(link))
                        };
                        if content.required_link().is_some_and(|link| !is_shown(link)) {
                            faults.push(format!("{file}: does not show {{{{ link }}}}"));
                        }
                    }
                }
            }
        }
        faults
    }
}

fn environment(brand: &Brand) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(
        |name| {
            if name.ends_with(".html") { AutoEscape::Html } else { AutoEscape::None }
        },
    );
    environment.add_filter("flow", |text: &str| text::flow(text));
    let dark: Color = DARK.parse().expect("a color");
    let white: Color = "#ffffff".parse().expect("a color");
    let app = context! {
        name => brand.name,
        url => brand.app_url,
        logo => brand.logo.as_ref().map(ToString::to_string),
        color => brand.color.readable_on(white).to_string(),
        on_color => brand.color.readable_on(white).text().to_string(),
        color_on_dark => brand.color.readable_on(dark).to_string(),
    };
    environment.add_global("app", app);
    environment
}

/// Describes the error of a template, with its position; `file` is the default file name.
fn describe(error: &minijinja::Error, file: &str) -> String {
    // An error of an included file is the source of that of the file that includes it.
    if let Some(source) = std::error::Error::source(error)
        && let Some(inner) = source.downcast_ref()
    {
        return describe(inner, file);
    }
    let name = error.name().unwrap_or(file);
    // A template of two formats is one file.
    let file = match name.rsplit_once('.') {
        Some((file, "html" | "txt")) if file.contains('.') => format!("{file}.j2"),
        _ => name.to_owned(),
    };
    let line = error.line().map(|line| format!(", line {line}")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{file}{line}: {}{detail}", error.kind())
}

impl std::fmt::Debug for RenderedMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RenderedMail")
    }
}

#[cfg(test)]
mod tests;
