//! The generated checks, by a table: a message, and the fields and messages of its violations. Many cases are those of
//! protovalidate's conformance suite.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use mainstay_kernel::{
    clock::Clock,
    contract::{
        proto::google::r#type::{Date, Money, TimeOfDay},
        validate::{Validate, Violations},
    },
};
use prost::Message as _;
use prost_types::{Any, Duration, FieldMask, ListValue, Struct, Timestamp, Value, value::Kind};
use rules::rules::v1::{
    Blobs, Choices, Collections, Color, Ignored, Known, Node, Numbers, Required, Strings, Texts, choices, required,
};

type Expected<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn assert_violations(message: &impl Validate, expected: Expected<'_>) {
    let violations = message.check().err().map(Violations::into_inner).unwrap_or_default();
    let violations: Vec<_> = violations.iter().map(|(field, message)| (field.as_str(), message.as_str())).collect();
    assert_eq!(violations, expected);
}

/// Checks values of one field, each with its message; an empty one: the value is valid.
macro_rules! field {
    ($message:ident . $field:ident as $json:literal: $($value:expr => $fault:expr),+ $(,)?) => {
        for (value, fault) in [$(($value, $fault)),+] {
            let message = $message { $field: Some(value), ..Default::default() };
            let expected = [($json, fault)];
            assert_violations(&message, if fault.is_empty() { &[] } else { &expected });
        }
    };
}

#[test]
fn numbers() {
    const RANGE: &str = "must be greater than 0 and at most 10.5";
    field!(Numbers.float_range as "floatRange": 0.1 => "", 10.5 => "", 0.0 => RANGE, 10.6 => RANGE, f32::NAN => RANGE);
    const GAP: &str = "must be less than 0 or greater than 10";
    field!(Numbers.double_gap as "doubleGap": -0.1 => "", 10.1 => "", 0.0 => GAP, 10.0 => GAP, 5.0 => GAP, f64::NAN => GAP);
    const FINITE: &str = "must be a finite number";
    field!(Numbers.finite as "finite": 1e300 => "", f64::INFINITY => FINITE, f64::NAN => FINITE);
    field!(Numbers.exact as "exact": 1.5 => "", 1.4 => "must be 1.5", f32::NAN => "must be 1.5");
    field!(Numbers.within as "within": 1.0 => "", 2.5 => "", 2.0 => "must be one of 1, 2.5");
    field!(Numbers.without as "without": 0 => "", -1 => "must not be one of -1, 3", 3 => "must not be one of -1, 3");
    field!(Numbers.below as "below": 4 => "", i64::MIN => "", 5 => "must be less than 5");
    field!(Numbers.above as "above": 6 => "", 5 => "must be greater than 5", 0 => "must be greater than 5");
    const LARGEST: &str = "must be at least 18446744073709551615";
    field!(Numbers.largest as "largest": u64::MAX => "", u64::MAX - 1 => LARGEST);
    const SIGNED: &str = "must be at most -5 or at least 5";
    field!(Numbers.gap as "gap": -5 => "", 5 => "", 4 => SIGNED, -4 => SIGNED, 0 => SIGNED);
    field!(Numbers.least as "least": i64::MIN => "", i64::MIN + 1 => "must be at most -9223372036854775808");
    field!(Numbers.single as "single": 7 => "", 6 => "must be exactly 7");
    const HALF: &str = "must be at least 1 and less than 3";
    field!(Numbers.half_open as "halfOpen": 1 => "", 2 => "", 0 => HALF, 3 => HALF);
    field!(Numbers.at_least as "atLeast": -2 => "", -3 => "must be at least -2");
    field!(Numbers.at_most as "atMost": 2 => "", 3 => "must be at most 2");
    field!(Numbers.yes as "yes": true => "", false => "must be true");
    field!(Numbers.no as "no": false => "", true => "must be false");
    assert_violations(&Numbers::default(), &[]);
}

#[test]
fn strings() {
    let text = str::to_owned;
    field!(Strings.exact as "exact": text("a\"b") => "", text("ab") => "must be \"a\"b\"");
    field!(Strings.length as "length": text("üü") => "", text("ü") => "must be exactly 2 characters");
    field!(Strings.bytes as "bytes": text("ü") => "", text("üüa") => "must be 2 to 4 bytes", text("a") => "must be 2 to 4 bytes");
    field!(Strings.exact_bytes as "exactBytes": text("ü") => "", text("a") => "must be exactly 2 bytes");
    field!(Strings.parts as "parts": text("amz") => "", text("mz") => "must begin with \"a\"",
        text("am") => "must end with \"z\"", text("az") => "must contain \"m\"", text("amxz") => "must not contain \"x\"");
    field!(Strings.within as "within": text("b") => "", text("c") => "must be one of \"a\", \"b\"");
    field!(Strings.without as "without": text("c") => "", text("b") => "must not be one of \"a\", \"b\"");
    field!(Strings.hostname as "hostname": text("a.example") => "", text("") => "must be a host name", text("a_b") => "must be a host name");
    field!(Strings.ip as "ip": text("::1") => "", text("10.0.0.1") => "", text("10.0.0") => "must be an IP address");
    field!(Strings.uri as "uri": text("https://a.example/b?c#d") => "", text("/b") => "must be a URI");
    field!(Strings.uri_ref as "uriRef": text("/b") => "", text("") => "", text("\u{1}") => "must be a URI or a relative reference");
    field!(Strings.address as "address": text("a.example") => "", text("::1") => "", text("a b") => "must be a host name or an IP address");
    field!(Strings.tuuid as "tuuid": text("0197b5ea51c47a108a3e0d9c4f7e1b22") => "", text("0") => "must be a UUID without hyphens");
    field!(Strings.ipv4_prefix as "ipv4Prefix": text("10.0.0.0/8") => "", text("10.0.0.1/8") => "must be an IPv4 prefix",
        text("::/8") => "must be an IPv4 prefix");
    field!(Strings.host_and_port as "hostAndPort": text("[::1]:80") => "",
        text("a.example") => "must be a host name or an IP address, with a port");
    field!(Strings.ulid as "ulid": text("01ARZ3NDEKTSV4RRFFQ69G5FAV") => "", text("") => "must be a ULID");
    const FQN: &str = "must be a qualified name of Protobuf with a dot before it";
    field!(Strings.dot_fqn as "dotFqn": text(".a.B") => "", text("a.B") => FQN, text(".") => FQN);
    field!(Strings.header_name as "headerName": text("x-a") => "", text("x a") => "must be a name of an HTTP header");
    field!(Strings.header_value as "headerValue": text("a\u{1}") => "", text("a\n") => "must be a value of an HTTP header");
    field!(Strings.anything as "anything": text("no address") => "", text("a\0") => "must not contain NUL characters");
}

#[test]
fn bytes() {
    let bytes = |bytes: &[u8]| bytes.to_vec().into();
    field!(Blobs.exact as "exact": bytes(&[1, 2]) => "", bytes(&[1]) => "must be 0x0102");
    field!(Blobs.length as "length": bytes(b"ab") => "", bytes(b"a") => "must be exactly 2 bytes");
    field!(Blobs.parts as "parts": bytes(b"\0\"\\\xff") => "", bytes(b"\"\\\xff") => "must begin with 0x00",
        bytes(b"\0\"\\") => "must end with 0xff", bytes(b"\0\xff") => "must contain 0x225c");
    field!(Blobs.within as "within": bytes(b"bc") => "", bytes(b"b") => "must be one of 0x61, 0x6263");
    field!(Blobs.without as "without": bytes(b"b") => "", bytes(b"a") => "must not be one of 0x61");
    field!(Blobs.pattern as "pattern": bytes(b"ab") => "", bytes(b"1") => "must match ^[a-z]+$", bytes(b"\xff") => "must match ^[a-z]+$");
    field!(Blobs.ip as "ip": bytes(&[0; 4]) => "", bytes(&[0; 16]) => "", bytes(&[]) => "must be an IP address of 4 or 16 bytes");
    field!(Blobs.uuid as "uuid": bytes(&[0; 16]) => "", bytes(&[0; 15]) => "must be a UUID of 16 bytes");
}

fn node(name: &str) -> Node {
    Node { name: name.to_owned(), ..Node::default() }
}

#[test]
fn lists_and_maps() {
    field!(Collections.red as "red": 1 => "", 0 => "must be one of COLOR_RED", 2 => "must be one of COLOR_RED");
    let numbers = |numbers: &[f32]| Collections { numbers: numbers.to_vec(), ..Default::default() };
    assert_violations(&numbers(&[1.0, 2.0]), &[]);
    assert_violations(&numbers(&[0.0, -0.0]), &[("numbers", "must not have the same item twice")]);
    let too_many = [("numbers", "must have at most 3 items"), ("numbers[2]", "must be at least 0")];
    assert_violations(&numbers(&[1.0, 2.0, -3.0, 4.0]), &too_many);
    let nodes = vec![node("a"), Node { child: Some(Box::new(node(""))), ..node("b") }];
    assert_violations(
        &Collections { nodes, ..Default::default() },
        &[("nodes[1].child.name", "must be at least 1 character")],
    );
    let words = ["", "abc", "ab"].map(str::to_owned).to_vec();
    assert_violations(&Collections { words, ..Default::default() }, &[("words[2]", "must be at least 3 characters")]);
    let texts = ["ab", "abc"].map(str::to_owned).to_vec();
    assert_violations(&Collections { texts, ..Default::default() }, &[("texts[1]", "must be at most 2 characters")]);
}

/// Returns a map.
fn pairs<K: Ord + Clone, V: Clone>(pairs: &[(K, V)]) -> BTreeMap<K, V> {
    pairs.iter().cloned().collect()
}

#[test]
fn keys_and_values_of_maps_have_paths() {
    let labels = |labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Collections { labels, ..Default::default() }
    };
    assert_violations(&labels(&[("a", "b")]), &[]);
    assert_violations(&labels(&[("a", "b"), ("c", "long")]), &[("labels[\"c\"]", "must be at most 3 characters")]);
    assert_violations(&labels(&[("A\"", "b")]), &[("labels[\"A\\\"\"]", "must match ^[a-z]+$")]);
    assert_violations(&labels(&[("a", "b"), ("b", "c"), ("c", "d")]), &[("labels", "must have 0 to 2 pairs")]);
    let long = "A".repeat(100_000);
    let shown = format!("labels[\"{}…\"]", "A".repeat(60));
    assert_violations(&labels(&[(&long, "b")]), &[(&shown, "must match ^[a-z]+$")]);

    let counts = pairs(&[(-1, 1), (2, 6)]);
    let expected = [("counts[-1]", "must be at least 0"), ("counts[2]", "must be at most 5")];
    assert_violations(&Collections { counts, ..Default::default() }, &expected);
    let named = pairs(&[(true, Node { children: pairs(&[("x".to_owned(), node(""))]), ..node("a") })]);
    let expected = [("named[true].children[\"x\"].name", "must be at least 1 character")];
    assert_violations(&Collections { named, ..Default::default() }, &expected);
    let colors = pairs(&[("a".to_owned(), Color::Red.into()), ("b".to_owned(), 7)]);
    let expected = [("colors[\"b\"]", "must be one of COLOR_RED, COLOR_GREEN")];
    assert_violations(&Collections { colors, ..Default::default() }, &expected);
    let blobs = pairs(&[("a\0".to_owned(), b"".to_vec().into())]);
    // A key and its value have one path, and the first message remains.
    assert_violations(
        &Collections { blobs, ..Default::default() },
        &[("blobs[\"a\\0\"]", "must not contain NUL characters")],
    );
}

#[test]
fn required_fields_are_set_and_not_zero() {
    let required = ["text", "number", "flag", "list", "pairs", "message", "wrapper", "member"];
    assert_violations(&Required::default(), &required.map(|field| (field, "is required")));
    let good = Required {
        text: "a".to_owned(),
        number: -0.5,
        flag: true,
        list: vec![0],
        pairs: pairs(&[(String::new(), 0)]),
        message: Some(Duration::default()),
        wrapper: Some(1),
        choice: Some(required::Choice::Member(String::new())),
    };
    assert_violations(&good, &[]);
    assert_violations(&Required { wrapper: Some(0), ..good.clone() }, &[("wrapper", "must be greater than 0")]);
    let other = Some(required::Choice::Other(1));
    assert_violations(&Required { choice: other, ..good }, &[("member", "is required")]);
}

#[test]
fn rules_do_not_apply_to_ignored_values() {
    let good = Ignored { both: 6, ..Default::default() };
    assert_violations(&good, &[]);
    assert_violations(&Ignored::default(), &[("both", "is required")]);
    let invalid = Ignored {
        text: "ab".to_owned(),
        never: "a\0".to_owned(),
        set: Some(0),
        node: Some(node("")),
        list: vec![String::new()],
        both: 5,
    };
    let expected = [
        ("text", "must be at least 3 characters"),
        ("never", "must not contain NUL characters"),
        ("set", "must be greater than 0"),
        ("list", "must have at least 2 items"),
        ("both", "must be greater than 5"),
    ];
    assert_violations(&invalid, &expected);
}

#[test]
fn one_of_several_fields_is_set() {
    let by_post = |post: &str| Some(choices::ContactWay::Post(post.to_owned()));
    let good = Choices { contact_way: by_post("ab"), phones: vec![String::new()], ..Default::default() };
    assert_violations(&good, &[]);
    let none = [("email", "one of email, phones is required"), ("contactWay", "one of post, person is required")];
    assert_violations(&Choices::default(), &none);
    let both = Choices { email: "a@b.example".to_owned(), ..good.clone() };
    assert_violations(&both, &[("email", "only one of email, phones may be set")]);
    assert_violations(
        &Choices { contact_way: by_post(""), ..good.clone() },
        &[("post", "must be at least 2 characters")],
    );
    // The rule applies to the field that is set, and not to the other one.
    assert_violations(&Choices { weight: 0.5, ..good.clone() }, &[("weight", "must be greater than 1")]);
    let labels = pairs(&[("a".to_owned(), String::new())]);
    assert_violations(
        &Choices { weight: 2.0, labels, ..good.clone() },
        &[("weight", "only one of weight, labels may be set")],
    );
    let person = Some(choices::ContactWay::Person(node("")));
    assert_violations(&Choices { contact_way: person, ..good }, &[("person.name", "must be at least 1 character")]);
}

fn duration(seconds: i64, nanos: i32) -> Duration {
    Duration { seconds, nanos }
}

#[test]
fn durations() {
    const RANGE: &str = "must be at least 1s and less than 3.5s";
    field!(Known.duration as "duration": duration(1, 0) => "", duration(3, 499_999_999) => "", duration(3, 500_000_000) => RANGE,
        duration(0, 999_999_999) => RANGE, duration(-1, 0) => RANGE);
    field!(Known.choice as "choice": duration(60, 0) => "", duration(61, 0) => "must be one of 1s, 60s");
    // The message of a duration that JSON can't represent precedes that of the rule.
    const INVALID: &str = "must be a duration of at most 10,000 years";
    field!(Known.duration as "duration": duration(315_576_000_001, 0) => INVALID, duration(1, -1) => INVALID,
        duration(0, 1_000_000_000) => INVALID);
}

#[test]
fn times() {
    let time = |seconds| Timestamp { seconds, nanos: 0 };
    field!(Known.after as "after": time(1_767_225_601) => "", time(1_767_225_600) => "must be after 2026-01-01T00:00:00Z");
    let clock = Clock::default();
    let now = clock.now().timestamp();
    field!(Known.past as "past": time(now - 60) => "", time(now + 3600) => "must be in the past");
    field!(Known.future as "future": time(now + 3600) => "", time(now - 60) => "must be in the future");
    const NEAR: &str = "must be within 60s of now";
    field!(Known.near as "near": time(now) => "", time(now - 3600) => NEAR, time(now + 3600) => NEAR);
    // The present is that of the given clock.
    clock.advance(TimeDelta::hours(2));
    let known = Known { past: Some(time(now + 3600)), ..Default::default() };
    known.check_by(Some(&clock)).expect("it is past by then");
}

#[test]
fn other_known_types() {
    let any = |type_url: &str| Any { type_url: type_url.to_owned(), value: Vec::new() };
    const TYPE: &str = "must have a type that is one of \"type.googleapis.com/rules.v1.Node\"";
    field!(Known.any as "any": any("type.googleapis.com/rules.v1.Node") => "", any("") => TYPE);
    let mask = |paths: &[&str]| FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() };
    const PATHS: &str = "must have only paths in a, b.c";
    field!(Known.mask as "mask": mask(&[]) => "", mask(&["a", "b.c.d"]) => "", mask(&["b"]) => PATHS, mask(&["ab"]) => PATHS);
    field!(Known.other_mask as "otherMask": mask(&["b"]) => "", mask(&["a.b"]) => "must not have paths in a");
    field!(Known.wrapper as "wrapper": "ab".to_owned() => "", "a".to_owned() => "must be exactly 2 characters");
    let date = |year, month, day| Date { year, month, day };
    const DATE: &str = "must be a date of the years 1 to 9999";
    field!(Known.date as "date": date(2026, 2, 28) => "", date(0, 2, 29) => "", date(2026, 0, 0) => "", date(2026, 12, 0) => "",
        date(2026, 2, 29) => DATE, date(0, 0, 0) => DATE, date(2026, 13, 0) => DATE, date(2026, 0, 1) => DATE,
        date(10_000, 1, 1) => DATE, date(2026, -1, 1) => DATE);
    let time = |hours, minutes, seconds, nanos| TimeOfDay { hours, minutes, seconds, nanos };
    const TIME: &str = "must be a time of day";
    field!(Known.time_of_day as "timeOfDay": time(0, 0, 0, 0) => "", time(24, 0, 0, 0) => "", time(23, 59, 60, 1) => "",
        time(24, 0, 0, 1) => TIME, time(12, 60, 0, 0) => TIME, time(-1, 0, 0, 0) => TIME);
    let money = |code: &str, units, nanos| Money { currency_code: code.to_owned(), units, nanos };
    assert_violations(&Known { money: Some(money("EUR", -1, -750_000_000)), ..Default::default() }, &[]);
    let expected = [
        ("money.currencyCode", "must be a code of ISO 4217, like EUR"),
        ("money.nanos", "must be less than a unit, with the sign of the units"),
    ];
    assert_violations(&Known { money: Some(money("euro", -1, 1)), ..Default::default() }, &expected);
}

#[test]
fn documents_of_json() {
    let value = |kind| Value { kind: Some(kind) };
    let list =
        Kind::ListValue(ListValue { values: vec![value(Kind::BoolValue(true)), value(Kind::NumberValue(f64::NAN))] });
    let fields = pairs(&[
        ("a".to_owned(), value(list)),
        ("b".to_owned(), Value { kind: None }),
        ("c\0".to_owned(), value(Kind::NullValue(0))),
        ("d".to_owned(), value(Kind::StringValue("\0".to_owned()))),
    ]);
    let expected = [
        ("document[\"a\"][1]", "must be a finite number"),
        ("document[\"b\"]", "must be a value of JSON"),
        ("document[\"c\\0\"]", "must not contain NUL characters"),
        ("document[\"d\"]", "must not contain NUL characters"),
    ];
    assert_violations(&Known { document: Some(Struct { fields }), ..Default::default() }, &expected);
}

#[test]
fn texts_in_maps_are_normalized() {
    let map = || pairs(&[("u\u{308}".to_owned(), "o\u{308}".to_owned())]);
    let mut texts = Texts { plain: map(), secret: map(), lines: vec!["\u{a0}a\tb ".to_owned()] };
    texts.normalize();
    assert_eq!(texts.plain, pairs(&[("\u{fc}".to_owned(), "\u{f6}".to_owned())]));
    assert_eq!((texts.secret, texts.lines), (map(), vec!["a b".to_owned()]));
}

#[test]
fn equal_maps_have_equal_bytes() {
    let labels = |keys: [&str; 3]| {
        let labels = keys.map(|key| (key.to_owned(), "x".to_owned())).into();
        Collections { labels, ..Default::default() }.encode_to_vec()
    };
    assert_eq!(labels(["a", "b", "c"]), labels(["c", "a", "b"]));
}
