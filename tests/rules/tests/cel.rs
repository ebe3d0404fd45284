//! Rules in CEL, by tables: a message, and the fields and messages of its violations.

use chrono::TimeDelta;
use mainstay_kernel::{
    clock::Clock,
    contract::validate::{Validate, Violations},
    error::{Error, Reason},
};
use prost_types::{Duration, Struct, Timestamp, Value, value::Kind};
use rules::rules::v1::{Color, Costly, Expressions, Functions, Node, Period, Predefined};

type Expected<'a> = &'a [(&'a str, &'a str)];

#[track_caller]
fn assert_violations(message: &impl Validate, expected: Expected<'_>) {
    assert_eq!(
        violations(message),
        expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect::<Vec<_>>()
    );
}

fn violations(message: &impl Validate) -> Vec<(String, String)> {
    message.check().err().map(Violations::into_inner).unwrap_or_default()
}

/// Checks one message per line, which differs from the default in these fields.
macro_rules! cases {
    ($message:ident: $({ $($field:ident: $value:expr),* } => $expected:expr),+ $(,)?) => {
        $(assert_violations(&$message { $($field: $value,)* ..Default::default() }, $expected);)+
    };
}

fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp { seconds, nanos: 0 })
}

#[test]
fn a_rule_of_a_message_reads_several_fields() {
    let most = Some(Duration { seconds: 90, nanos: 0 });
    cases! { Period:
        {} => &[],
        { begins_at: at(10), ends_at: at(100), most: most } => &[],
        // The field that the expression reads first has the violation. A string that is returned is its message.
        { begins_at: at(10), ends_at: at(10), most: most } => &[("endsAt", "must be after beginsAt")],
        { begins_at: at(10), ends_at: at(101), most: most } => &[("endsAt", "must be at most 90s later")],
        // An unset time is 1970, and an end that is unset is none.
        { begins_at: at(10) } => &[],
        { ends_at: at(-1) } => &[("endsAt", "must be after beginsAt")],
        { seats: 4, places: 4 } => &[],
        { seats: 5, places: 4 } => &[("seats", "must satisfy this.seats <= this.places")],
        { places: -1 } => &[("seats", "must satisfy this.seats <= this.places")],
        { seats: u32::MAX, places: i64::MAX } => &[],
    }
}

#[test]
fn rules_of_fields_respect_presence_and_zeros() {
    let counts = |counts: &[(&str, u32)]| counts.iter().map(|(key, count)| ((*key).to_owned(), *count)).collect();
    let child = |name: &str| Node { name: name.to_owned(), ..Node::default() };
    let parent = |name: &str| Some(Node { child: Some(Box::new(child("a"))), ..child(name) });
    let title = |kind| Some(Struct { fields: [("title".to_owned(), Value { kind: Some(kind) })].into() });
    cases! { Expressions:
        {} => &[],
        { even: Some(0) } => &[],
        { even: Some(-3) } => &[("even", "must be even")],
        { name: "\u{e4}A1".to_owned() } => &[],
        { name: "Aa".to_owned() } => &[("name", "must be capital letters")],
        { code: "abc".to_owned() } => &[],
        { code: "bcd".to_owned() } => &[("code", "must satisfy this.size() == 3 && this.startsWith('a')")],
        { sorted: vec![1, 3, 2] } => &[],
        { sorted: vec![8, 7, 9] } => &[("sorted", "must begin with the least number"), ("sorted[1]", "must not be 7")],
        { counts: counts(&[("total", 9)]) } => &[],
        { counts: counts(&[("a", 10), ("B", 1)]) } => &[("counts", "must have a total"),
            ("counts[\"a\"]", "must be below 10"), ("counts[\"B\"]", "must be lower-case letters")],
        { node: parent("a") } => &[],
        { node: parent("b") } => &[("node", "must have no child, or one of the same name")],
        { wrapper: Some(2) } => &[],
        { wrapper: Some(0) } => &[("wrapper", "must be 1 or 2")],
        { color: Color::Red.into() } => &[],
        { color: Color::Green.into() } => &[("color", "must not be green")],
        { data: b"\x01\0".to_vec().into() } => &[],
        { data: b"\0".to_vec().into() } => &[("data", "must not begin with zero")],
        { document: title(Kind::StringValue("a".to_owned())) } => &[],
        { document: title(Kind::StringValue(String::new())) } => &[("document", "must have a title")],
        { document: Some(Struct::default()) } => &[("document", "must have a title")],
        // A typed rule precedes; a field has one message.
        { both: "abc".to_owned() } => &[("both", "must be at most 2 characters")],
        { both: "ab".to_owned() } => &[("both", "must satisfy this == 'a'")],
        { never: 5 } => &[],
    }
}

#[test]
fn the_present_time_is_that_of_the_clock() {
    let clock = Clock::default();
    let message = Expressions { seen_at: at(clock.now().timestamp() - 60), ..Expressions::default() };
    message.check_by(Some(&clock)).expect("a minute ago");
    clock.advance(TimeDelta::hours(1));
    let late = message.check_by(Some(&clock)).expect_err("more than an hour ago").into_inner();
    assert_eq!(late, [("seenAt".to_owned(), "must be of the last hour".to_owned())]);
}

#[test]
fn functions_are_those_of_protovalidate() {
    let text = str::to_owned;
    let fault = |field: &str, expression: &str| vec![(text(field), format!("must satisfy {expression}"))];
    macro_rules! function {
        ($($field:ident as $json:literal, $expression:literal: $($good:expr),+; $($bad:expr),+;)+) => {$(
            $(assert_violations(&Functions { $field: $good, ..Default::default() }, &[]);)+
            $(assert_eq!(violations(&Functions { $field: $bad, ..Default::default() }), fault($json, $expression));)+
        )+};
    }
    function! {
        email as "email", "this.isEmail()": text("a@b.example"); text("a@"), text("a");
        hostname as "hostname", "this.isHostname()": text("a.example"); text("a_b");
        host as "host", "this.isHostAndPort(false)": text("a.example"), text("[::1]"), text("1.2.3.4:5"); text("::1"), text("a:");
        host_and_port as "hostAndPort", "this.isHostAndPort(true)": text("a:1"); text("a"), text("[::1]");
        ip as "ip", "this.isIp() && this.isIp(0)": text("::1"), text("1.2.3.4"); text("1.2.3");
        ipv6 as "ipv6", "this.isIp(6) && !this.isIp(4) && !this.isIp(5)": text("::1"); text("1.2.3.4");
        ip_prefix as "ipPrefix", "this.isIpPrefix() && this.isIpPrefix(true)": text("10.0.0.0/8"); text("10.0.0.1/8");
        ipv4_prefix as "ipv4Prefix", "this.isIpPrefix(4) && this.isIpPrefix(4, true)": text("10.0.0.0/8"); text("::/8");
        uri as "uri", "this.isUri()": text("https://a.example"); text("/a");
        uri_ref as "uriRef", "this.isUriRef()": text("/a"); text("\u{1}");
        texts as "texts", "this.unique()": vec![text("a"), text("b")]; vec![text("a"), text("a")];
        numbers as "numbers", "this.unique()": vec![f64::NAN, f64::NAN]; vec![0.0, -0.0];
        finite as "finite", "!this.isInf() && !this.isNan()": 1.0; f64::NAN, f64::NEG_INFINITY;
        bounded as "bounded", "!this.isInf(1)": f64::NEG_INFINITY; f64::INFINITY;
        data as "data", "this.contains(b'b') && this.endsWith(b'c')": b"abc".to_vec().into(); b"ab".to_vec().into();
    }
}

#[test]
fn a_predefined_rule_knows_its_value() {
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    cases! { Predefined:
        { multiple: Some(-6) } => &[],
        { multiple: Some(4) } => &[("multiple", "must be a multiple of 3")],
        { clean: Some("ads".to_owned()) } => &[],
        { clean: Some("a \"ads\"".to_owned()) } => &[("clean", "must not have advertising")],
        { lines: texts(&["abc", "de"]) } => &[],
        { lines: texts(&["abc", "spam"]) } => &[("lines", "must be shorter together"),
            ("lines[1]", "must not have advertising")],
        { step: Some(Duration { seconds: 4, nanos: 0 }) } => &[],
        { step: Some(Duration { seconds: 3, nanos: 999_999_999 }) } => &[("step", "must be at least twice as long")],
    }
}

#[test]
fn a_rule_that_cannot_be_evaluated_is_an_error_of_the_server() {
    cases! { Costly:
        { divisor: Some(4) } => &[],
        { divisor: Some(5) } => &[("divisor", "must divide 12")],
        { begins_at: at(5), lasts: Some(Duration { seconds: 0, nanos: 1 }) } => &[],
        { begins_at: at(5), lasts: Some(Duration::default()) } => &[("lasts", "must be longer than nothing")],
    }
    let failed = |numbers: Vec<i32>| {
        let message = Costly { divisor: Some(0), numbers, ..Costly::default() };
        Error::from(message.check().expect_err("a division by zero"))
    };
    let error = failed(Vec::new());
    assert!(error.reason() == Reason::InternalError, "{error:?}");
    let source = error.source().map(|source| format!("{source:#}")).unwrap_or_default();
    // The values, which may be secrets, are not logged.
    assert_eq!(source, "the rule divisor: remainder by zero");
    // The sum of a time and a duration is beyond the last time of Protobuf, and of the crate.
    for (begins_at, seconds) in [(at(253_402_300_799), 315_576_000_000), (at(0), i64::MAX / 1000)] {
        let message = Costly { begins_at, lasts: Some(Duration { seconds, nanos: 0 }), ..Costly::default() };
        message.check().expect_err("an overflow");
    }
    // A violation is the caller's, and precedes.
    let error = failed(vec![1, -1]);
    assert!(error.reason() == Reason::ValidationFailed, "{error:?}");
    assert_eq!(error.fields(), [("numbers".to_owned(), "must not have an opposite".to_owned())]);
}

#[test]
fn the_items_that_a_request_evaluates_are_bounded() {
    cases! { Costly:
        { numbers: (1..=200).collect() } => &[],
        { numbers: (1..=1000).collect() } => &[("numbers", "has too many items for its rules")],
    }
    // A long text counts, too.
    cases! { Expressions:
        { name: "A".repeat(4 << 20) } => &[],
        { name: "A".repeat(30 << 20) } => &[("even", "has too many items for its rules")],
    }
}
