//! Previews of all mails, with samples, for template authors: at `/dev/mail` while no mail is delivered, and by
//! `mainstay mail preview`.

use std::fmt::Write as _;

use axum::{
    extract::{Path, State},
    http::{StatusCode, header},
    response::{Html, IntoResponse, Response},
    routing::{MethodRouter, get},
};
use mainstay_kernel::{
    app::App,
    error::{Error, Reason},
};

use crate::{
    identity::user::model::Language,
    mail::{
        config::{MailConfig, MailTransport},
        templates::Templates,
    },
};

/// The Content-Security-Policy of previews: mail has inline styles and may show a logo, and runs no scripts.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; img-src https:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Returns the pages. They are development pages: with a configured mail provider, they respond with 404.
pub(super) fn pages() -> [(&'static str, MethodRouter<App>); 2] {
    [("/dev/mail", get(index)), ("/dev/mail/{file}", get(mail))]
}

fn is_for_developers(app: &App) -> bool {
    matches!(app.config.section::<MailConfig>().transport, MailTransport::Outbox | MailTransport::Log)
}

fn not_found() -> Response {
    tonic::Status::from(Error::new(Reason::RouteNotFound)).into_http()
}

fn page(body: Html<String>) -> Response {
    let headers = [(header::CONTENT_SECURITY_POLICY, POLICY), (header::CACHE_CONTROL, "no-store")];
    (headers, body).into_response()
}

async fn index(State(app): State<App>) -> Response {
    if !is_for_developers(&app) {
        return not_found();
    }
    let languages: Vec<_> = app.part::<Templates>().languages().collect();
    let mut rows = String::new();
    for name in app.part::<Templates>().names() {
        write!(rows, "<tr><th scope=\"row\" align=\"left\">{name}</th>").ok();
        for language in &languages {
            let file = |format: &str| format!("<a href=\"/dev/mail/{name}.{language}.{format}\">{format}</a>");
            write!(rows, "<td>{language}: {} {}</td>", file("html"), file("txt")).ok();
        }
        rows.push_str("</tr>");
    }
    page(Html(format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Mail</title>\
         <meta name=\"color-scheme\" content=\"light dark\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"></head>\
         <body style=\"font-family:system-ui;margin:2rem\"><h1>Mail, with samples</h1>\
         <table cellpadding=\"6\">{rows}</table></body></html>"
    )))
}

async fn mail(State(app): State<App>, Path(file): Path<String>) -> Response {
    if !is_for_developers(&app) {
        return not_found();
    }
    // The name of a kind may have a dot.
    let mut parts = file.rsplitn(3, '.');
    let (Some(format), Some(tag), Some(name)) = (parts.next(), parts.next(), parts.next()) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let (brand, language) = (&app.config.section::<MailConfig>().brand, Language::parse(tag).ok());
    let preview = language.and_then(|tag| app.part::<Templates>().preview(name, brand, &tag, app.clock.now()));
    match (preview, format) {
        (Some(rendered), "html") => page(Html(rendered.html)),
        (Some(rendered), "txt") => format!("Subject: {}\n\n{}", rendered.subject, rendered.text).into_response(),
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}
