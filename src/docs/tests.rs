use std::collections::HashSet;

use super::*;
use crate::contract::Reason;

/// Returns all values of an attribute.
fn attributes<'a>(page: &'a str, name: &str) -> Vec<&'a str> {
    let opening = format!(" {name}=\"");
    page.split(opening.as_str()).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

#[test]
fn every_operation_and_every_error_has_its_place() {
    let ids: HashSet<_> = attributes(page(), "id").into_iter().collect();
    let document = openapi::document(None);
    for operation in Operation::all(&document) {
        assert!(ids.contains(operation.id().as_str()), "{}", operation.id());
    }
    for reason in Reason::all() {
        assert!(ids.contains(format!("error-{}", reason.facts().code).as_str()), "{reason:?}");
    }
}

#[test]
fn links_lead_somewhere_and_ids_are_unique() {
    let ids = attributes(page(), "id");
    let unique: HashSet<_> = ids.iter().copied().collect();
    assert_eq!(ids.len(), unique.len(), "an id stands twice");
    for name in ["for", "aria-labelledby", "aria-controls", "aria-describedby"] {
        for target in attributes(page(), name) {
            assert!(unique.contains(target), "{name}={target}");
        }
    }
    for link in attributes(page(), "href") {
        match (link.strip_prefix('#'), link.strip_prefix("docs/")) {
            (Some(target), _) => assert!(unique.contains(target), "{link}"),
            (_, Some(name)) => assert!(asset(name).is_some(), "{link}"),
            _ => assert_eq!(link, "openapi.json"),
        }
    }
    for source in attributes(page(), "src") {
        assert!(source.strip_prefix("docs/").is_some_and(|name| asset(name).is_some()), "{source}");
    }
}

#[test]
fn the_page_keeps_its_content_policy() {
    assert!(!page().contains("<script>") && !page().contains("<style"), "inline code");
    for attribute in ["style", "onclick", "onsubmit", "onload"] {
        assert!(attributes(page(), attribute).is_empty(), "{attribute}");
    }
    for name in ["docs.css", "docs.js"] {
        let text = std::str::from_utf8(asset(name).unwrap().1).unwrap();
        assert!(!text.contains("http://") && !text.contains("https://"), "{name} loads from elsewhere");
        assert!(!text.contains("innerHTML") && !text.contains("eval("), "{name}");
        assert!(!text.contains("Storage"), "{name}: a token is kept in memory only");
    }
    assert!(asset("../docs.rs").is_none());
}
