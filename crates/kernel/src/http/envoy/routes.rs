//! Envoy's routes: by gRPC name for every call, and by HTTP path for differences that apply before transcoding.

use std::{
    collections::{BTreeSet, HashSet},
    time::Duration,
};

use http::Method as HttpMethod;
use mainstay_transcoder::{BodyRule, HTTP_BODY, Route, RuleTable, Segment};
use prost_reflect::{Kind, MessageDescriptor};

use crate::{
    contract::{
        Method, Policies,
        policy::{Access, Idempotency},
    },
    http::middleware::idempotency_key,
};

const GRACE: Duration = Duration::from_millis(500);

/// Matches `Accept` values with JSON by name or by a wildcard. The server evaluates anything more complex.
const TAKES_JSON: &str = r"(?i).*(application/json|application/\*|\*/\*).*";
/// Matches `Accept` values with a weight of zero, which may apply to JSON.
const REFUSES: &str = r"(?i).*q=0(\.0*)?\s*([,;].*)?";
/// Matches `Content-Type` values of a JSON body.
const SENDS_JSON: &str = r#"(?i)application/json\s*(;\s*charset="?utf-8"?\s*)?"#;

/// Matches paths with a read mask in the query, or with a parameter whose percent-encoded name may be one.
const NAMES_FIELDS: &str = r"[^?]*[?](.*&)?(readMask|read_mask|[^=&]*%[^=&]*)([.=&].*)?";

pub(crate) struct Routes<'a> {
    /// The routes and the policies of their methods, in the order of the contract.
    all: Vec<(&'a Route, &'a Method)>,
    /// The gRPC paths of the methods without a route, which are internal.
    internal: BTreeSet<&'a str>,
    max_request_bytes: usize,
}

impl<'a> Routes<'a> {
    pub(crate) fn new(policies: &'a Policies, rules: &'a RuleTable, max_request_bytes: usize) -> Self {
        let policy = |route: &'a Route| policies.get(route.grpc_path.path()).expect("every method has a policy");
        let all: Vec<_> = rules.routes().map(|route| (route, policy(route))).collect();
        let with_route: HashSet<_> = all.iter().map(|(_, method)| method.path.as_str()).collect();
        let paths = policies.iter().map(|method| method.path.as_str());
        let internal = paths.filter(|path| !with_route.contains(path)).collect();
        Self { all, internal, max_request_bytes }
    }

    pub(crate) fn largest_body(&self) -> usize {
        let bodies = self.transcoded_routes().filter_map(|(_, method)| method.max_request_bytes);
        bodies.max().unwrap_or_default().max(self.max_request_bytes)
    }

    /// Returns one route per method by its gRPC name, regardless of the number of its HTTP rules.
    pub(crate) fn methods(&self) -> String {
        let mut paths = Vec::new();
        let mut text = String::new();
        for (route, method) in &self.all {
            if !paths.contains(&&method.path) {
                paths.push(&method.path);
                text += &call(&format!("path: {}", method.path), route, method, "");
            }
        }
        text
    }

    pub(crate) fn internal(&self) -> String {
        let refused = |path: &&str| format!("- match: {{ path: {path} }}\n  direct_response: {{ status: 404 }}\n");
        self.internal.iter().map(refused).collect()
    }

    /// Returns the routes of streams, raw bytes and responses with maps, by HTTP path.
    pub(crate) fn streams(&self) -> String {
        let streams = self.all.iter().filter(|(route, _)| !is_transcoded(route));
        streams.map(|(route, method)| call(&matcher(route), route, method, BYPASS_TRANSCODER)).collect()
    }

    /// Returns routes, by header, for requests that are not plain JSON calls, and for requests that Envoy's transcoder
    /// does not answer exactly.
    pub(crate) fn foreign(&self) -> String {
        let slowest = self.transcoded_routes().map(|(_, method)| method.deadline).max().unwrap_or_default();
        let bodiless = self.bodiless().join("|");
        let headers = [
            "name: ':method', string_match: { safe_regex: { regex: 'HEAD|OPTIONS' } }".to_owned(),
            // Envoy would read an unexpected body of such a method.
            format!(
                "name: ':method', string_match: {{ safe_regex: {{ regex: '{bodiless}' }} }} }}, {{ name: content-length, \
                 present_match: true"
            ),
            format!(
                "name: ':method', string_match: {{ safe_regex: {{ regex: '{bodiless}' }} }} }}, {{ name: \
                 transfer-encoding, present_match: true"
            ),
            format!("name: accept, string_match: {{ safe_regex: {{ regex: '{TAKES_JSON}' }} }}, invert_match: true"),
            format!("name: accept, string_match: {{ safe_regex: {{ regex: '{REFUSES}' }} }}"),
            format!(
                "name: content-type, string_match: {{ safe_regex: {{ regex: '{SENDS_JSON}' }} }}, invert_match: true"
            ),
            "name: content-encoding, present_match: true".to_owned(),
        ];
        let timeout = seconds(slowest + GRACE);
        let one = |header: &String| {
            entry(&format!("prefix: /api/, headers: [{{ {header} }}]"), &timeout, "", BYPASS_TRANSCODER)
        };
        // Envoy would print fields that the mask excludes, with their defaults.
        let masked = format!(
            "prefix: /api/, headers: [{{ name: ':method', string_match: {{ exact: GET }} }}, {{ name: ':path', \
             string_match: {{ safe_regex: {{ regex: '{NAMES_FIELDS}' }} }} }}]"
        );
        let spaced = self.with_spaces().into_iter().map(|query| {
            let path = format!("name: ':path', string_match: {{ safe_regex: {{ regex: '{query}' }} }}");
            entry(&format!("prefix: /api/, headers: [{{ {path} }}]"), &timeout, "", BYPASS_TRANSCODER)
        });
        let masked = entry(&masked, &timeout, REPEATABLE, BYPASS_TRANSCODER);
        headers.iter().map(one).chain([masked]).chain(spaced).collect()
    }

    /// Returns patterns of queries with a plus or a space in the value of a field whose text may contain a plus but
    /// never a space: times with an offset, base64, numbers with an exponent. The server reads a plus there, and Envoy
    /// does not. Each field has a separate pattern, because Envoy bounds the size of a pattern.
    fn with_spaces(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for (route, _) in self.transcoded_routes() {
            add_names_with_plus(&route.method.input(), MAX_QUERY_DEPTH, &mut names);
        }
        names.into_iter().map(|names| format!(".*[?&.]({names})=[^&]*([+]|%20).*")).collect()
    }

    /// Returns the routes of transcoded calls: one per call with its own body limit, and one for all others.
    pub(crate) fn bodies(&self) -> String {
        let usual = self.max_request_bytes;
        let large =
            self.transcoded_routes().filter_map(|(route, method)| Some((matcher(route), method.max_request_bytes?)));
        let all = large.chain([("prefix: /api/".to_owned(), usual)]);
        // No other timeout applies to an unknown path.
        all.map(|(matcher, bytes)| entry(&matcher, "15s", "", &limit(bytes))).collect()
    }

    pub(crate) fn public(&self) -> String {
        let public = self.all.iter().filter(|(_, method)| method.access == Access::Public);
        public.map(|(_, method)| format!("- match: {{ path: {} }}\n", method.path)).collect()
    }

    fn bodiless(&self) -> Vec<&'a str> {
        let mut names: Vec<_> =
            self.all.iter().filter_map(|(route, _)| Some(route.http_method.as_ref()?.as_str())).collect();
        names.sort_unstable();
        names.dedup();
        let carries = |name: &str| {
            let mut routes = self.all.iter().filter(|(route, _)| route.http_method.as_ref().is_some_and(|m| m == name));
            routes.any(|(route, _)| route.body != BodyRule::None)
        };
        names.retain(|name| !carries(name));
        names
    }

    fn transcoded_routes(&self) -> impl Iterator<Item = (&'a Route, &'a Method)> {
        self.all.iter().copied().filter(|(route, _)| is_transcoded(route))
    }
}

/// The nesting depth up to which message fields in a query are inspected.
const MAX_QUERY_DEPTH: usize = 4;

fn add_names_with_plus(message: &MessageDescriptor, depth: usize, names: &mut BTreeSet<String>) {
    const WELL_KNOWN: [&str; 4] = ["Timestamp", "BytesValue", "FloatValue", "DoubleValue"];
    for field in message.fields() {
        let is_matched = match field.kind() {
            Kind::Bytes | Kind::Float | Kind::Double => true,
            Kind::Message(inner) => match inner.full_name().strip_prefix("google.protobuf.") {
                Some(name) => WELL_KNOWN.contains(&name),
                None => {
                    if depth > 0 && !field.is_list() && !field.is_map() {
                        add_names_with_plus(&inner, depth - 1, names);
                    }
                    false
                }
            },
            _ => false,
        };
        if is_matched {
            names.insert(format!("{}|{}", field.json_name(), field.name()));
        }
    }
}

/// Returns whether both request and response are a single JSON message that Envoy can write.
fn is_transcoded(route: &Route) -> bool {
    let raw = |name: &str| name == HTTP_BODY;
    let body = match &route.body {
        BodyRule::None => false,
        BodyRule::Whole => raw(route.method.input().full_name()),
        BodyRule::Field(field) => field.kind().as_message().is_some_and(|kind| raw(kind.full_name())),
    };
    let answer = match &route.response_body {
        None => raw(route.method.output().full_name()),
        // Envoy supports `response_body` for raw bytes only.
        Some(_) => true,
    };
    let is_stream = route.method.is_client_streaming() || route.method.is_server_streaming();
    !(body || answer || is_stream || may_have_map(&route.method.output(), &mut HashSet::new()))
}

/// Returns whether a message may have a map in it, as `Struct` has, and `Any` may have. Prost omits an empty key or value
/// of an entry, and Envoy 1.40 crashes when it writes an entry without a value.
fn may_have_map(message: &MessageDescriptor, seen: &mut HashSet<String>) -> bool {
    message.full_name() == "google.protobuf.Any"
        || seen.insert(message.full_name().to_owned())
            && message.fields().any(|field| {
                let kind = field.kind();
                field.is_map() || kind.as_message().is_some_and(|inner| may_have_map(inner, seen))
            })
}

/// Returns the entries of a call. One of them allows retries, if the call is safe to repeat after a lost response.
fn call(matcher: &str, route: &Route, method: &Method, more: &str) -> String {
    let timeout = seconds(method.deadline + GRACE);
    if method.watch {
        return entry(matcher, &timeout, &format!("{WATCH}{REPEATABLE}"), more);
    }
    if route.http_method == Some(HttpMethod::GET) {
        return entry(matcher, &timeout, REPEATABLE, more);
    }
    let once = entry(matcher, &timeout, "", more);
    if method.idempotency == Idempotency::None {
        return once;
    }
    // All headers of an entry must be present, so that each header that may carry the key needs a separate entry.
    let keyed = |name: &&str| {
        let keyed = format!("{{ name: {name}, present_match: true }}");
        let keyed = match matcher.strip_suffix(']') {
            Some(open) => format!("{open}, {keyed}]"),
            None => format!("{matcher}, headers: [{keyed}]"),
        };
        entry(&keyed, &timeout, REPEATABLE, more)
    };
    idempotency_key::HEADERS.iter().map(keyed).collect::<String>() + &once
}

/// Watches have a separate concurrency limit, because they would otherwise use up that of the calls.
const WATCH: &str = ", priority: HIGH";
const REPEATABLE: &str = ", retry_policy: *repeatable";
const BYPASS_TRANSCODER: &str = "  typed_per_filter_config: *bypass_transcoder\n";

fn entry(matcher: &str, timeout: &str, retry: &str, more: &str) -> String {
    format!("- match: {{ {matcher} }}\n  route: {{ cluster: mainstay, timeout: {timeout}{retry} }}\n{more}")
}

fn limit(bytes: usize) -> String {
    format!(
        "  typed_per_filter_config:\n    envoy.filters.http.buffer:\n      \
         \"@type\": type.googleapis.com/envoy.extensions.filters.http.buffer.v3.BufferPerRoute\n      \
         buffer: {{ max_request_bytes: {bytes} }}\n"
    )
}

/// Returns a matcher by HTTP method and path. Trailing slashes may follow the path, but not its verb.
fn matcher(route: &Route) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Literal(literal) => format!("/{}", escape(literal)),
        Segment::Single => "/[^/]*".to_owned(),
        Segment::Rest => "(/.*)?".to_owned(),
    };
    let path: String = route.template.segments().iter().map(segment).collect();
    let verb = route.template.verb().map(|verb| format!(":{}", escape(verb))).unwrap_or_default();
    let path = format!("safe_regex: {{ regex: '{path}/*{verb}' }}");
    match &route.http_method {
        None => path,
        Some(method) => format!("{path}, headers: [{{ name: ':method', string_match: {{ exact: {method} }} }}]"),
    }
}

fn escape(literal: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~' | '%');
    literal.chars().map(|c| if plain(c) { c.to_string() } else { format!("[{c}]") }).collect()
}

fn seconds(time: Duration) -> String {
    format!("{}s", time.as_secs_f64())
}
