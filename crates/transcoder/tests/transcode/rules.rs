//! Rule codec and templates.

use http::Method;
use mainstay_transcoder::{BodyRule, RuleTable, Segment, Template};
use proptest::prelude::*;

use crate::support::{compile_text, pool};

fn table(rules: &[&str]) -> Result<RuleTable, String> {
    let mut text = String::from(
        "syntax = \"proto3\"; package own; import \"google/api/annotations.proto\";\n\
         message M { string a = 1; M m = 2; repeated string list = 3; map<string, string> map = 4; }\nservice S {\n",
    );
    for (index, rule) in rules.iter().enumerate() {
        text.push_str(&format!("rpc R{index}(M) returns (M) {{ option (google.api.http) = {{ {rule} }}; }}\n"));
    }
    text.push('}');
    RuleTable::new(&compile_text(&text), &["own.S"]).map_err(|errors| errors.to_string())
}

#[test]
fn everything_wrong_is_named_at_once() {
    let errors = table(&[
        "get: '/x/{a}'",
        "get: '/x/{m.a=*}'",
        "get: '/y/{nope}'",
        "get: '/y/{list}'",
        "get: '/y/{m}'",
        "get: '/y/{list.a}'",
        "post: '/z' body: 'nope'",
        "post: '/z' response_body: 'nope'",
        "get: 'z'",
        "get: '/z/{a'",
        "get: '/z/**/b'",
        "get: '/z/{a}/{a}'",
        "selector: 'x'",
        "get: '/q' additional_bindings { get: '/r' additional_bindings { get: '/s' } }",
        "get: '/{a={m.a}}'",
        "get: '//b'",
        "get: '/:go'",
        "custom { kind: 'NOT OK' path: '/b' }",
    ])
    .unwrap_err();
    let lines: Vec<&str> = errors.lines().collect();
    assert_eq!(lines.len(), 17, "{errors}");
    assert_eq!(lines[0], "own.S.R1: GET /x/{m.a} collides with GET /x/{a} of own.S.R0: give one of them another path");
    assert_eq!(lines[1], "own.S.R2: '/y/{nope}': own.M has no field nope");
    let unknown = RuleTable::new(&pool(), &["shop.Shop", "shop.Nope"]).unwrap_err();
    assert_eq!(unknown.to_string(), "shop.Nope: the descriptor set has no such service");
}

#[test]
fn a_table_tells_the_method_of_a_path() {
    let pool = pool();
    let table = RuleTable::new(&pool, &["shop.Shop"]).unwrap();
    let route = table.route(&Method::PATCH, "/v1/items/7").unwrap();
    assert_eq!(route.grpc_path, "/shop.Shop/Update");
    assert!(matches!(&route.body, BodyRule::Field(field) if field.name() == "item"));
    assert_eq!(route.template.to_string(), "/v1/items/{name}");
    assert_eq!(table.route(&Method::HEAD, "/v1/items/7").unwrap().method.name(), "Get");
    assert!(table.route(&Method::GET, "/v1/hidden").is_none());
    let updates = table.routes().filter(|route| route.method.name() == "Update").count();
    assert_eq!(updates, 2, "an additional binding is a route of its own");
}

#[test]
fn the_same_path_under_other_methods_or_verbs_does_not_collide() {
    let table = table(&[
        "get: '/x/{a}'",
        "put: '/x/{a}'",
        "post: '/x/{a}:go'",
        "post: '/x/{a}:stop'",
        "get: '/x/{a=**}'",
        "get: '/x/{a=y/*}'",
    ])
    .unwrap();
    assert!(table.route(&Method::POST, "/x/7:go").is_some());
    // A verb is only valid at the end of a path.
    assert!(table.route(&Method::POST, "/x/7:go/").is_none());
    assert_eq!(table.route(&Method::GET, "/x/7:go/").unwrap().template.to_string(), "/x/{a}");
}

/// Generates a template from its variable parts.
fn template() -> impl Strategy<Value = String> {
    let segment = prop_oneof![
        "[a-z][a-z0-9_.~-]{0,6}",
        Just("*".to_owned()),
        "\\{[a-z][a-z_]{0,4}[0-9]\\}",
        "\\{[a-z]{1,3}\\.[a-z]{1,3}[0-9]=(\\*|[a-z]{1,4}/\\*|[a-z]{1,4}/\\*/[a-z]{1,4})\\}",
    ];
    let end = prop_oneof![
        Just(String::new()),
        Just("/**".to_owned()),
        Just("/{rest=**}".to_owned()),
        Just("/{rest=a/**}".to_owned())
    ];
    let verb = prop_oneof![Just(String::new()), "[a-z]{1,5}".prop_map(|verb| format!(":{verb}"))];
    (proptest::collection::vec(segment, 1..5), end, verb)
        .prop_map(|(segments, end, verb)| format!("/{}{end}{verb}", segments.join("/")))
}

proptest! {
    #[test]
    fn templates_print_what_they_parse(text in template()) {
        // A variable may occur twice by chance, which is rejected.
        if let Ok(template) = Template::parse(&text) {
            let printed = template.to_string();
            prop_assert_eq!(Template::parse(&printed).unwrap(), template);
        }
    }

    #[test]
    fn any_text_is_parsed_or_refused(text in "[/{}=*:.a-z]{0,20}") {
        if let Ok(template) = Template::parse(&text) {
            prop_assert_eq!(Template::parse(&template.to_string()).unwrap(), template);
        }
    }

    #[test]
    fn a_path_made_from_a_template_matches_it(
        text in template(),
        words in proptest::collection::vec("[a-zA-Z0-9 é+/]{1,8}", 12),
    ) {
        let Ok(template) = Template::parse(&text) else { return Ok(()) };
        let rule = format!("get: '{}'", fields_renamed(&template));
        let Ok(table) = table(&[&rule]) else { return Ok(()) };
        let mut words = words.iter();
        let mut path = String::new();
        for segment in template.segments() {
            path.push('/');
            match segment {
                Segment::Literal(text) => path.push_str(text),
                _ => {
                    let set = percent_encoding::NON_ALPHANUMERIC;
                    path.extend(percent_encoding::utf8_percent_encode(words.next().unwrap(), set));
                }
            }
        }
        if let Some(verb) = template.verb() {
            path.push(':');
            path.push_str(verb);
        }
        let route = table.route(&Method::GET, &path);
        prop_assert!(route.is_some(), "{path} should match {template}");
        for (variable, value) in template.capture(&path) {
            let value = value.unwrap();
            prop_assert!(!value.is_empty(), "{} of {path}", variable.field_path);
            let segments = variable.segments.len();
            prop_assert!(segments == 1 || value.split('/').count() == segments, "{value}");
        }
    }
}

/// Returns the template with its variables dropped: matching does not depend on which fields they set.
fn fields_renamed(template: &Template) -> String {
    let segments: Vec<String> = template.segments().iter().map(Segment::to_string).collect();
    let verb = template.verb().map(|verb| format!(":{verb}")).unwrap_or_default();
    format!("/{}{verb}", segments.join("/"))
}

#[test]
fn captures_follow_the_encoding_rules() {
    for (template, path, expected) in [
        ("/{a}", "/x%2Fy%20z", vec!["x/y z"]),
        ("/{a=*}/b", "//b", vec![""]),
        ("/{a=b/*}", "/b/x%2Fy%20%zz", vec!["b/x%2Fy %zz"]),
        ("/{a=**}", "/", vec![""]),
        ("/{a=**}:go", "/x/y:go", vec!["x/y"]),
        ("/x/{a}/{b=**}", "/x/1", vec!["1", ""]),
        ("/x/{a}/{b=**}", "/x/1/2/3/", vec!["1", "2/3"]),
    ] {
        let template = Template::parse(template).unwrap();
        let values: Vec<_> = template.capture(path).map(|(_, value)| value.unwrap().into_owned()).collect();
        assert_eq!(values, expected, "{template} {path}");
    }
}
