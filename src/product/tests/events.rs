//! The events that the modules declare.

use std::collections::BTreeSet;

use super::modules;

/// Returns the names in the table of docs/webhooks.md, where `.paid` abbreviates the preceding name with another last
/// word.
fn documented() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for row in include_str!("../../../docs/webhooks.md").lines().filter_map(|line| line.strip_prefix("| `")) {
        let cell = row.split('|').next().unwrap_or_default();
        let mut resource = "";
        for name in cell.split('`').step_by(2).filter(|name| name.contains('.')) {
            if let Some(verb) = name.strip_prefix('.') {
                names.insert(format!("{resource}.{verb}"));
            } else {
                resource = name.rsplit_once('.').map_or(name, |(resource, _)| resource);
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[test]
fn every_event_is_documented() {
    let declared: BTreeSet<_> = modules().contract.policies.events().map(|event| event.name.clone()).collect();
    assert_eq!(documented(), declared);
}
