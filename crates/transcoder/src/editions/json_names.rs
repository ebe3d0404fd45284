//! Fields of one message with the same JSON name.
//!
//! `foo_bar` and `fooBar` have the same JSON name by default. Compilers warn about this in proto2, and in a file or
//! message with an option that permits such names (`json_format = LEGACY_BEST_EFFORT`,
//! `deprecated_legacy_json_field_conflicts`). `prost_reflect` rejects the set, so all but one of the fields get another
//! JSON name.

use std::collections::{HashMap, HashSet};

use prost_reflect::{DynamicMessage, Value};
use tracing::warn;

use super::{each, text};

/// Gives the fields of each message of a file different JSON names, and logs a warning for each name that changes.
/// Returns whether any name changed.
pub(super) fn separate(file: &mut DynamicMessage) -> bool {
    let (path, mut is_changed) = (text(file, "name"), false);
    each(file, "message_type", &mut |message| is_changed |= separate_fields(message, &path));
    is_changed
}

fn separate_fields(message: &mut DynamicMessage, file: &str) -> bool {
    let mut is_changed = false;
    each(message, "nested_type", &mut |nested| is_changed |= separate_fields(nested, file));
    let mut fields = Vec::new();
    each(message, "field", &mut |field| fields.push(Names::of(field)));
    let mut taken: HashSet<String> = fields.iter().map(|names| names.json.clone()).collect();
    if taken.len() == fields.len() {
        return is_changed;
    }
    let mut keepers: HashMap<String, usize> = HashMap::new();
    for (index, names) in fields.iter().enumerate() {
        let keeper = keepers.entry(names.json.clone()).or_insert(index);
        // Of equal claims, the first field wins.
        if names.claim() > fields[*keeper].claim() {
            *keeper = index;
        }
    }
    let (mut index, message_name) = (0, text(message, "name"));
    each(message, "field", &mut |field| {
        let names = &fields[index];
        let keeper = keepers[&names.json];
        // Two equal names that were both set explicitly are a fault of the set.
        if keeper != index && !names.is_custom() {
            let mut free = names.proto.clone();
            while !taken.insert(free.clone()) {
                free.push('_');
            }
            let (field_name, other, json) = (&names.proto, &fields[keeper].proto, &names.json);
            warn!(
                "{file}: {message_name}.{field_name} and {other} are both {json} in JSON: the first is {free} instead"
            );
            field.set_field_by_name("json_name", Value::String(free));
            is_changed = true;
        }
        index += 1;
    });
    is_changed
}

/// The names of a field.
struct Names {
    proto: String,
    json: String,
    /// The JSON name that is derived from the field's name.
    default: String,
}

impl Names {
    fn of(field: &DynamicMessage) -> Self {
        let (proto, json) = (text(field, "name"), text(field, "json_name"));
        let default = default_json_name(&proto);
        Self { json: if json.is_empty() { default.clone() } else { json }, proto, default }
    }

    fn is_custom(&self) -> bool {
        self.json != self.default
    }

    /// Determines which of two fields keeps their JSON name: a field whose name was set explicitly, else a field whose
    /// proto name equals it.
    fn claim(&self) -> (bool, bool) {
        (self.is_custom(), self.json == self.proto)
    }
}

/// Returns a name without underscores, with the following letter in upper case.
fn default_json_name(name: &str) -> String {
    let (mut out, mut begins_word) = (String::with_capacity(name.len()), false);
    for letter in name.chars() {
        match letter {
            '_' => begins_word = true,
            _ => out.push(if std::mem::take(&mut begins_word) { letter.to_ascii_uppercase() } else { letter }),
        }
    }
    out
}
