//! URIs and relative references (RFC 3986), with zones of IPv6 addresses (RFC 6874).

use std::{net::Ipv6Addr, sync::LazyLock};

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex};

/// The parts of the grammar; each name in angle brackets is replaced by an earlier part.
const GRAMMAR: [(&str, &str); 10] = [
    ("<pct>", "%[0-9A-Fa-f]{2}"),
    ("<plain>", r"A-Za-z0-9._~!$&'()*+,;=\-"),
    ("<pchar>", "(?:[<plain>:@]|<pct>)"),
    ("<name>", "(?P<name>(?:[<plain>]|<pct>)*)"),
    ("<literal>", r"\[(?P<literal>[^\]/?#]*)\]"),
    ("<authority>", "//(?:(?:[<plain>:]|<pct>)*@)?(?:<literal>|<name>)(?::[0-9]*)?"),
    ("<segments>", "(?:/<pchar>*)*"),
    ("<absolute>", "/(?:<pchar>+<segments>)?"),
    ("<rootless>", "<pchar>+<segments>"),
    ("<noscheme>", "(?:[<plain>@]|<pct>)+<segments>"),
];
const END: &str = r"(?:\?(?:<pchar>|[/?])*)?(?:#(?:<pchar>|[/?])*)?$";

static URI: LazyLock<Regex> = LazyLock::new(|| {
    expression(&format!("^[A-Za-z][A-Za-z0-9+.-]*:(?:<authority><segments>|<absolute>|<rootless>|){END}"))
});
static RELATIVE: LazyLock<Regex> =
    LazyLock::new(|| expression(&format!("^(?:<authority><segments>|<absolute>|<noscheme>|){END}")));

/// Returns whether a string is a URI with a scheme.
pub fn is_uri(value: &str) -> bool {
    URI.captures(value).is_some_and(|captures| has_host(&captures))
}

/// Returns whether a string is a URI or a relative reference, such as a path.
pub fn is_uri_reference(value: &str) -> bool {
    is_uri(value) || RELATIVE.captures(value).is_some_and(|captures| has_host(&captures))
}

fn expression(text: &str) -> Regex {
    let expanded = GRAMMAR.iter().rev().fold(text.to_owned(), |text, (name, part)| text.replace(name, part));
    Regex::new(&expanded).expect("a regular expression")
}

/// Returns whether the host is valid, if there is one. Percent-encoded names are UTF-8.
fn has_host(captures: &Captures<'_>) -> bool {
    let is_utf8 = |text: &str| percent_decode_str(text).decode_utf8().is_ok();
    let name = captures.name("name").is_none_or(|name| is_utf8(name.as_str()));
    name && captures.name("literal").is_none_or(|literal| is_literal(literal.as_str()))
}

/// Returns whether the text between brackets is an IPv6 address, also with a zone, or one of a later version.
fn is_literal(text: &str) -> bool {
    static FUTURE: LazyLock<Regex> = LazyLock::new(|| expression(r"^[vV][0-9A-Fa-f]+\.[<plain>:]+$"));
    static ZONE: LazyLock<Regex> = LazyLock::new(|| expression(r"^(?:[A-Za-z0-9._~-]|<pct>)+$"));
    let is_zone = |zone: &str| ZONE.is_match(zone) && percent_decode_str(zone).decode_utf8().is_ok();
    match text.split_once("%25") {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && is_zone(zone),
        None => text.parse::<Ipv6Addr>().is_ok() || FUTURE.is_match(text),
    }
}
