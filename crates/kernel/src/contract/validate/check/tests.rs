//! Formats of strings, by a table: the format, the version of an IP address, whether it is strict, whether the value is
//! valid, and the value in JSON. The cases are those of protovalidate's conformance suite.

use super::*;

const CASES: &str = include_str!("formats.tsv");

#[test]
fn every_case_of_protovalidate_has_its_outcome() {
    let mut faults = Vec::new();
    for case in CASES.lines() {
        let parts: Vec<_> = case.split('\t').collect();
        let [format, version, strict, expected, value] = parts[..] else { panic!("{case}") };
        let value: String = serde_json::from_str(value).expect("a string");
        let (version, strict) = (version.parse().ok(), strict == "strict");
        let is_valid = match format {
            "hostname" => is_hostname(&value),
            "ip" => is_ip(&value, version),
            "ip_prefix" => is_ip_prefix(&value, version, strict),
            "uri" => is_uri(&value),
            "uri_ref" => is_uri_reference(&value),
            "host_and_port" => is_host_and_port(&value),
            other => panic!("{other}"),
        };
        if is_valid != (expected == "valid") {
            faults.push(case);
        }
    }
    assert_eq!(CASES.lines().count(), 534);
    assert!(faults.is_empty(), "{faults:#?}");
}

#[test]
fn other_formats() {
    for (is_valid, value) in [
        (true, "01ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (true, "01arz3ndektsv4rrffq69g5fav"),
        (false, "81ARZ3NDEKTSV4RRFFQ69G5FAV"),
        (false, "01ARZ3NDEKTSV4RRFFQ69G5FA"),
        (false, "01ARZ3NDEKTSV4RRFFQ69G5FAI"),
    ] {
        assert_eq!(is_ulid(value), is_valid, "{value}");
    }
    for (is_valid, value) in
        [(true, "a"), (true, "_a1.B"), (false, ""), (false, ".a"), (false, "a."), (false, "1a"), (false, "a-b")]
    {
        assert_eq!(is_qualified_name(value), is_valid, "{value}");
    }
    assert!(
        is_trimmed_uuid("0197b5ea51c47a108a3e0d9c4f7e1b22") && !is_trimmed_uuid("0197b5ea-51c47a108a3e0d9c4f7e1b22")
    );
    for (is_valid, strict, name) in [
        (true, true, "content-type"),
        (true, true, ":method"),
        (false, true, ":"),
        (false, true, "a b"),
        (true, false, "a b"),
        (false, false, "a\nb"),
        (false, false, ""),
        (false, true, "ü"),
    ] {
        assert_eq!(is_header_name(name, strict), is_valid, "{name:?}");
    }
    for (is_valid, strict, value) in [
        (true, true, ""),
        (true, true, "a\tb ü"),
        (false, true, "a\u{7f}"),
        (true, false, "a\u{7f}"),
        (false, false, "a\rb"),
    ] {
        assert_eq!(is_header_value(value, strict), is_valid, "{value:?}");
    }
    assert!(contains(b"abc", b"") && contains(b"abc", b"bc") && !contains(b"abc", b"ca"));
    assert!(is_path_within("a.b", &["a"]) && is_path_within("a", &["a"]) && !is_path_within("ab", &["a"]));
    assert!(unique_numbers([1.0, f64::NAN, f64::NAN].into_iter()) && !unique_numbers([0.0, -0.0].into_iter()));
    assert!(
        is_within((5, 0), (3, 0), (2, 0)) && !is_within((5, 1), (3, 0), (2, 0)) && is_within((1, 0), (3, 0), (2, 0))
    );
}
