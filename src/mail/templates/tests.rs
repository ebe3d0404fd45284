use std::fs;

use chrono::DateTime;

use super::*;
use crate::mail::kind::{Compose, Draft, Kind, MailKind, Template};
use mainstay_kernel::config::Source as Variables;

fn brand(values: &[(&str, &str)]) -> Brand {
    let config = crate::product().modules().expect("they fit").config(Variables::of(values.iter().copied()));
    config.expect("good values").section::<crate::mail::config::MailConfig>().brand.clone()
}

fn kinds() -> Kinds {
    crate::mail::open_kinds(crate::product().modules().expect("they fit").contributions()).expect("good kinds")
}

fn language(tag: &str) -> Language {
    Language::parse(tag).expect("a tag")
}

fn rendered(name: &str, tag: &str) -> RenderedMail {
    let brand = brand(&[("APP_URL", "https://shop.example"), ("APP_NAME", "Oak & Sons")]);
    let templates = Templates::open(kinds(), &brand, None).expect("good templates");
    let now = DateTime::from_timestamp(1_790_000_000, 0).expect("a time");
    templates.preview(name, &brand, &language(tag), now).expect("written")
}

#[test]
fn every_mail_is_written_in_every_language() {
    let brand = brand(&[]);
    let templates = Templates::open(kinds(), &brand, None).expect("good templates");
    assert_eq!(templates.languages().collect::<Vec<_>>(), ["de", "en"]);
    for content in templates.samples(&brand, DateTime::UNIX_EPOCH) {
        let [english, german] =
            ["en", "de"].map(|tag| templates.write(&*content, &language(tag), None).expect("written"));
        assert_ne!(english.text, german.text, "{}", content.template());
        for rendered in [english, german] {
            assert!(
                !rendered.text.contains("\n\n\n") && rendered.text.contains("\n-- \nMainstay\n"),
                "{}",
                rendered.text
            );
            assert!(!rendered.text.contains("&#") && !rendered.text.contains('{'), "{}", rendered.text);
        }
    }
}

#[test]
fn values_are_escaped_in_html_and_nowhere_else() {
    let RenderedMail { subject, text, html, .. } = rendered("order_confirmation", "en");
    assert!(text.contains("Lamp <small>\n    5 x EUR 7.99 = EUR 39.95\n"), "{text}");
    assert!(text.contains("\nTotal: EUR 838.05\n"), "{text}");
    assert!(html.contains("Lamp &lt;small&gt;") && html.contains("oak &amp; steel"), "{html}");
    assert!(!html.contains("<small>") && html.contains("Oak &amp; Sons"), "{html}");
    assert!(subject.starts_with("Your order 100042") && text.contains("https://shop.example/orders/"), "{subject}");
    let RenderedMail { text, html, .. } = rendered("ticket_reply", "en");
    assert!(text.contains("> Then call us: <b>we</b> are on our way.\n"), "{text}");
    assert!(html.contains("&lt;b&gt;we&lt;") && !html.contains("<b>"), "{html}");
}

#[test]
fn a_language_without_a_template_falls_back() {
    assert!(rendered("refund", "de-AT-1996").text.contains("39,95 EUR"));
    assert!(rendered("refund", "fr-CA").text.contains("EUR 39.95"));
}

/// Returns a directory with these files.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        fs::write(directory.path().join(name), text).expect("written");
    }
    directory
}

#[test]
fn a_directory_replaces_templates_and_adds_languages() {
    let french = "{% from parts import p, button %}{% block subject %}Mot de passe{% endblock %}\
                  {% block preheader %}{% endblock %}{% block body %}{{ button('Ici', link) }}{% endblock %}";
    let files = [("layout.txt", "{{ body }}!"), ("password_reset.fr.j2", french), (".gitignore", "")];
    let (directory, brand) = (directory(&files), brand(&[]));
    let templates = Templates::open(kinds(), &brand, Some(directory.path())).expect("good templates");
    let write = |name| templates.preview(name, &brand, &language("fr-CA"), DateTime::UNIX_EPOCH).expect("written");
    assert_eq!(write("password_reset").subject, "Mot de passe");
    let text = write("password_reset").text;
    assert!(text.ends_with("-token\n!\n"), "{text:?}");
    assert_eq!(write("refund").subject.split(' ').next(), Some("Refund"), "English, for lack of French");
}

#[test]
fn every_fault_of_a_directory_is_named() {
    let blocks = |body: &str| {
        format!(
            "{{% block subject %}}x{{% endblock %}}{{% block preheader %}}{{% endblock %}}\n{{% block body %}}{body}{{% endblock %}}"
        )
    };
    let faults = |files: &[(&str, &str)]| {
        Templates::open(kinds(), &brand(&[]), Some(directory(files).path())).err().unwrap_or_default()
    };
    let messages = faults(&[
        ("pasword_reset.de.j2", ""),
        ("refund.german.language.j2", ""),
        ("refund.de.j2", "{% block subject %}\n{% endfor %}"),
    ]);
    assert_eq!(messages.len(), 3, "{messages:#?}");
    assert!(messages[0].starts_with("pasword_reset.de.j2: is not the name of a template"), "{messages:#?}");
    assert!(messages[2].starts_with("refund.german.language.j2: is not"), "{messages:#?}");
    assert!(messages[1].starts_with("refund.de.j2, line 2: syntax error"), "{messages:#?}");
    let broken = faults(&[("layout.html", "{% if %}"), ("refund.de.j2", "{{ nope }}")]);
    assert!(broken.len() == 1 && broken[0].starts_with("layout.html, line 1: syntax error"), "{broken:#?}");
    let (without_link, with_unknown_value) = (blocks("no link"), blocks("{{ totl }}"));
    let messages = faults(&[
        ("password_reset.de.j2", &without_link),
        ("order_confirmation.en.j2", &with_unknown_value),
        ("refund.en.j2", "{% block subject %}x{% endblock %}"),
        ("unknown.txt", ""),
    ]);
    assert_eq!(messages.len(), 4, "{messages:#?}");
    assert!(messages[0].starts_with("order_confirmation.en.j2, line 2: undefined value"), "{messages:#?}");
    assert_eq!(messages[1], "password_reset.de.j2: does not show {{ link }}");
    assert!(messages[2].starts_with("refund.en.j2"), "{messages:#?}");
    let messages = faults(&[("page.html", "{% if page == 'invitation' %}{{ offer.acount }}{% endif %}")]);
    assert!(messages.len() == 1 && messages[0].starts_with("page.html, line 1: undefined value"), "{messages:#?}");
    let messages = faults(&[("page_head.html", "<h1>{{ titel }}</h1>")]);
    assert!(messages.len() == 1 && messages[0].starts_with("page_head.html, line 1: undefined value"), "{messages:#?}");
    let missing = Templates::open(kinds(), &brand(&[]), Some(Path::new("/nowhere/at/all"))).err().unwrap_or_default();
    assert!(missing.len() == 1 && missing[0].starts_with("/nowhere/at/all: "), "{missing:#?}");
}

/// A kind that a module could declare by mistake.
struct Unsampled;

impl MailKind for Unsampled {
    const NAME: &'static str = "fleet.unsampled";
    const TEMPLATES: &'static [Template] = &[Template { name: "fleet.unsampled", texts: &[("en", "{{ nothing }}")] }];
    const EVENT: Option<&'static str> = Some("fleet.nothing");

    async fn compose(_: Compose<'_>) -> Result<Option<Draft>> {
        Ok(None)
    }

    fn samples(_: Links<'_>, _: DateTime<Utc>) -> Vec<Self> {
        Vec::new()
    }

    fn values(&self, _: Locale) -> impl serde::Serialize {
        [0; 0]
    }
}

/// A kind whose mails must show a link, which one of its templates lacks.
struct Linked {
    template: usize,
    link: &'static str,
}

impl MailKind for Linked {
    const NAME: &'static str = "fleet.linked";
    const TEMPLATES: &'static [Template] = &[
        Template {
            name: "fleet.linked",
            texts: &[(
                "en",
                "{% from parts import button %}{% block subject %}x{% endblock %}{% block preheader %}{% endblock %}\
                 {% block body %}{{ button('x', link) }}{% endblock %}",
            )],
        },
        Template {
            name: "fleet.unlinked",
            texts: &[(
                "en",
                "{% block subject %}x{% endblock %}{% block preheader %}{% endblock %}{% block body %}x{% endblock %}",
            )],
        },
    ];

    async fn compose(_: Compose<'_>) -> Result<Option<Draft>> {
        Ok(None)
    }

    fn samples(_: Links<'_>, _: DateTime<Utc>) -> Vec<Self> {
        let links = ["https://a.example/x?id=7&token=a/b", "https://a.example/confirm/abc"];
        links.into_iter().enumerate().map(|(template, link)| Self { template, link }).collect()
    }

    fn template(&self) -> &'static str {
        Self::TEMPLATES[self.template].name
    }

    fn required_link(&self) -> Option<&str> {
        Some(self.link)
    }

    fn values(&self, _: Locale) -> impl serde::Serialize {
        context! { link => self.link }
    }
}

#[test]
fn every_text_shows_the_required_link_of_any_form() {
    let kinds = Kinds::new([Kind::of::<Linked>()]).expect("a good name");
    let faults = Templates::open(kinds, &brand(&[]), None).err().unwrap_or_default();
    assert_eq!(faults, ["fleet.unlinked.en.j2: does not show {{ link }}"]);
}

#[test]
fn every_fault_of_a_kind_is_named() {
    let unsampled = Kind::of::<Unsampled>();
    let kinds = Kinds::new([unsampled]).expect("a good name");
    let policies = &crate::product().modules().expect("they fit").contract.policies;
    let message = crate::mail::check_events(kinds.clone(), policies).expect_err("a fault").to_string();
    assert!(message.ends_with("\n  fleet.unsampled: no module declares the event fleet.nothing"), "{message}");
    let faults = Templates::open(kinds, &brand(&[]), None).err().unwrap_or_default();
    assert_eq!(faults, ["fleet.unsampled: the template has no sample"]);
    assert_eq!(
        Kinds::new([unsampled, unsampled]).err(),
        Some(vec!["fleet.unsampled: two kinds of mail have the name".to_owned()])
    );
}
