//! Requests that are valid or nearly so, generated from the descriptor set.

use mainstay_transcoder::{BodyRule, Route, Segment};
use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use rand::{Rng as _, rngs::StdRng};

use crate::support::{Raw, methods, rest};

pub(super) struct Writer {
    pub(super) random: StdRng,
    routes: Vec<&'static Route>,
}

impl Writer {
    pub(super) fn new(random: StdRng) -> Self {
        // A watch stays open for minutes, so it has no end to compare.
        let ending = methods().into_iter().filter(|method| !method.watch);
        Self { random, routes: ending.map(rest::route).collect() }
    }

    /// Returns the next request. Words in «» are placeholders for values of a world.
    pub(super) fn request(&mut self) -> Raw {
        let route = self.routes[self.random.random_range(0..self.routes.len())];
        let method = route.http_method.as_ref().map_or("GET", http::Method::as_str);
        let method = if self.rarely(40) {
            self.pick(&["GET", "POST", "PATCH", "PUT", "DELETE", "HEAD", "OPTIONS"])
        } else {
            method
        };
        let mut exclusions: Vec<String> =
            route.template.variables().iter().map(|variable| variable.field_path.clone()).collect();
        let mut raw = Raw::new(method, self.path(route));
        self.headers(&mut raw);
        match &route.body {
            BodyRule::None if !self.rarely(40) => {}
            BodyRule::None => raw.body = b"{}".to_vec(),
            BodyRule::Whole => {
                let left_out = if self.rarely(15) { Vec::new() } else { exclusions.clone() };
                raw.body = self.body(&route.method.input(), &left_out);
                exclusions = route.method.input().fields().map(|field| field.name().to_owned()).collect();
                self.content_type(&mut raw);
            }
            BodyRule::Field(field) => {
                exclusions.push(field.name().to_owned());
                let kind = field.kind();
                let message = kind.as_message().expect("a body is a message");
                if message.full_name() == "google.api.HttpBody" {
                    raw.body = b"type,subject,body\nIncident,Help,It burns\n".to_vec();
                    let kind = self.pick(&[
                        "text/csv",
                        "application/x-ndjson",
                        "application/json",
                        "text/csv; charset=utf-8",
                        "",
                    ]);
                    raw.headers.push(("content-type".to_owned(), kind.to_owned()));
                } else {
                    raw.body = self.body(message, &[]);
                    self.content_type(&mut raw);
                }
            }
        }
        self.query(&mut raw, &route.method.input(), &exclusions);
        raw
    }

    /// Returns true once in `times`.
    pub(super) fn rarely(&mut self, times: u32) -> bool {
        self.random.random_range(0..times) == 0
    }

    pub(super) fn pick<'t>(&mut self, from: &[&'t str]) -> &'t str {
        from[self.random.random_range(0..from.len())]
    }

    fn path(&mut self, route: &Route) -> String {
        let mut path = String::new();
        for (index, segment) in route.template.segments().iter().enumerate() {
            path.push('/');
            match segment {
                Segment::Literal(literal) if self.rarely(60) => path += &odd_literal(literal),
                Segment::Literal(literal) => path += literal,
                Segment::Single | Segment::Rest => {
                    let variable = route.template.variables().iter().find(|v| v.segments.contains(&index));
                    let name = variable.map(|v| v.field_path.clone()).unwrap_or_default();
                    if self.rarely(5) {
                        path += self.pick(&[
                            "",
                            "17",
                            "a%2Fb",
                            "%zz",
                            "a+b",
                            "%",
                            "%00",
                            "%e4",
                            "%C3%BC",
                            "a;b=c",
                            "a:b",
                            "..",
                            ".",
                            "*",
                            "%20",
                            "01a1fceb%2Decb3-74b7-9826-88fccb3abfa1",
                        ]);
                    } else {
                        path += word(&name);
                    }
                }
            }
        }
        match self.random.random_range(0..40) {
            0 => path.push('/'),
            1 => path += "//",
            2 => path += "/x",
            3 => path += ":x",
            _ => {}
        }
        path
    }

    fn headers(&mut self, raw: &mut Raw) {
        let who = self.pick(&["«customer»", "«customer»", "«an agent»", "«admin»", "«admin»", "«service»"]);
        if !self.rarely(20) {
            raw.headers.push(("authorization".to_owned(), format!("Bearer {who}")));
        }
        let odd = [
            (
                "accept",
                &[
                    "*/*",
                    "application/json",
                    "application/*",
                    "text/html",
                    "text/event-stream",
                    "application/json;q=0",
                    "",
                    "text/html, */*;q=0.1",
                    "APPLICATION/JSON",
                    "application/x-ndjson",
                ][..],
            ),
            ("idempotency-key", &["one", "\"two\"", "t w o", "", "ümlaut"]),
            ("if-match", &["\"1\"", "\"2\"", "*", "W/\"1\"", "1", "\"1\", \"2\"", ""]),
            ("if-none-match", &["\"1\"", "*", "W/\"1\"", "\"7\"", ""]),
            ("if-modified-since", &["Sat, 01 Jan 2022 00:00:00 GMT", "Fri, 01 Jan 2100 00:00:00 GMT", "yesterday"]),
            ("x-request-timeout", &["10", "9.5", "8s", "9000ms", "0", "-1", "soon", "1e3", ""]),
            ("x-request-id", &["mine", "not decent \u{7f}", "", "a b"]),
            ("origin", &["https://example.com", "null"]),
            ("traceparent", &["00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "nonsense"]),
            ("accept-encoding", &["identity", "", "nonsense", "identity;q=0", "*;q=0"]),
            ("grpc-timeout", &["9S", "nonsense"]),
            ("x-http-code", &["299"]),
            ("content-encoding", &["identity", "gzip", "nonsense"]),
            ("te", &["trailers"]),
        ];
        for (name, values) in odd {
            if self.rarely(14) {
                let value = self.pick(values).replace(|c: char| !c.is_ascii() || c == '\u{7f}', "?");
                raw.headers.push((name.to_owned(), value));
            }
        }
    }

    fn content_type(&mut self, raw: &mut Raw) {
        let odd = [
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json; charset=latin1",
            "text/plain",
            "Application/JSON",
            "application/merge-patch+json",
            "",
            "application/jsonx",
            "application/json; boundary=x",
        ];
        match self.random.random_range(0..12) {
            0 => {}
            1 => raw.headers.push(("content-type".to_owned(), self.pick(&odd).to_owned())),
            _ => raw.headers.push(("content-type".to_owned(), "application/json".to_owned())),
        }
    }

    fn query(&mut self, raw: &mut Raw, input: &MessageDescriptor, exclusions: &[String]) {
        let mut pairs = Vec::new();
        for field in input.fields() {
            let likely = if exclusions.contains(&field.name().to_owned()) { 60 } else { 3 };
            if self.rarely(likely) {
                for _ in 0..if self.rarely(6) { 2 } else { 1 } {
                    let name = if self.rarely(8) { field.name() } else { field.json_name() };
                    let value = self.text(&field);
                    pairs.push(format!("{name}={value}"));
                }
            }
        }
        if self.rarely(12) {
            pairs.push(
                self.pick(&[
                    "unknown=1",
                    "",
                    "=",
                    "page",
                    "page=",
                    "page=1&page=2",
                    "createdFrom=2100-01-01T00:00:00.5Z&createdFrom=1970-01-01T00:00:00Z",
                    "%70age=2",
                    "page=%31",
                    "page=+1",
                    "readMask=id,id",
                    "readMask=%69d",
                    "statuses=1&statuses=TICKET_STATUS_OPEN",
                    "query=a+b",
                    "query=%zz",
                    "query=%ff",
                    "query=%00",
                    "query=a%26b",
                    "pageSize=1%30",
                    "page_size=1",
                    "readMask=",
                    "readMask=a..b",
                    "user.name=x",
                    "ticket.subject=x",
                    "statuses=&statuses=x",
                    "a.b.c=1",
                    "pageSize=1&page_size=2",
                ])
                .to_owned(),
            );
        }
        if !pairs.is_empty() {
            raw.target += &format!("?{}", pairs.join("&"));
        }
    }

    /// A value of the field as a query parameter.
    fn text(&mut self, field: &FieldDescriptor) -> String {
        let usual = word(field.name());
        let odd = match field.kind() {
            Kind::String if usual.starts_with('«') && !self.rarely(5) => return usual.to_owned(),
            Kind::String => {
                ["text", "", "%20", "a%2Bb", "a+b", "%F0%9F%94%A5", "17", "%00", "a%22b", "null", "%e4"].as_slice()
            }
            Kind::Bool => &["true", "false", "1", "0", "TRUE", "yes", "", "null", "t"],
            Kind::Enum(kind) => {
                let values: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
                if !self.rarely(4) {
                    return values[self.random.random_range(0..values.len())].clone();
                }
                &["0", "1", "2", "99", "-1", "nonsense", "", "ticket_status_open", "1.0", "true"]
            }
            Kind::Message(_) => &[
                "id",
                "id,subject",
                "createTime",
                "create_time",
                "",
                "id,",
                "nonsense",
                "2026-01-01T00:00:00Z",
                "2026-01-01",
                "1.5s",
                "a.b",
                "Id",
                "*",
            ],
            _ => &[
                "1",
                "2",
                "20",
                "0",
                "-1",
                "99999999999",
                "1.0",
                "1.5",
                "1e1",
                "0x10",
                "",
                "%20",
                "+1",
                "01",
                "NaN",
                "true",
                "1%20",
                "-0",
            ],
        };
        self.pick(odd).to_owned()
    }
}

/// A typical value for a field of this name.
pub(super) fn word(name: &str) -> &'static str {
    match name {
        "ticket_id" => "«ticket»",
        "comment_id" => "«comment»",
        "operation_id" => "«operation»",
        "account_id" => "«account»",
        "user_id" => "«user»",
        "assignee_id" => "«agent»",
        "service_key_id" => "«key»",
        "session_id" => "«account»",
        "email" => "«email»",
        "password" => "«password»",
        "refresh_token" => "«refresh»",
        _ => "text",
    }
}

/// The literal with its first letter escaped, or in capitals.
fn odd_literal(literal: &str) -> String {
    match literal.len() % 2 {
        0 => literal.to_uppercase(),
        _ => format!("%{:02x}{}", literal.as_bytes()[0], &literal[1..]),
    }
}
