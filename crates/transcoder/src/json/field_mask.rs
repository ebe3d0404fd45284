//! The paths of a `google.protobuf.FieldMask`: snake case on the wire, camel case in JSON. Quoted map keys are
//! unchanged.

/// The quotation marks around a map key: `"` as in Envoy, and the backtick of AIP-161.
const QUOTES: [char; 2] = ['"', '`'];

/// Splits a mask at the commas outside quotes.
pub(super) fn split(mask: &str) -> impl Iterator<Item = &str> {
    let mut open = None;
    mask.split(move |character: char| {
        match open {
            Some(quote) if character == quote => open = None,
            None if QUOTES.contains(&character) => open = Some(character),
            _ => {}
        }
        character == ',' && open.is_none()
    })
}

/// Converts `a_b.c_d` to `aB.cD`. A part that would not survive a round trip (`a_1`, `_a`, `a_b_c`) is printed
/// unchanged, and read back unchanged unless it has capitals. A field named `fooBar` or `Foo` has no form that survives
/// a round trip.
pub(super) fn write_path(path: &str, out: &mut String) {
    convert(path, out, |part, out| {
        let camel = camel_case(part);
        out.push_str(if snake_case(&camel) == part { &camel } else { part });
    });
}

/// Converts `aB.cD` to `a_b.c_d`; snake case stays unchanged. Other capitals are converted as in Envoy: `useTLS13` is
/// `use_tls13`.
pub(super) fn read_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    convert(path, &mut out, |part, out| out.push_str(&snake_case(part)));
    out
}

/// Copies a path with its parts converted: the text between dots and outside quotes.
fn convert(path: &str, out: &mut String, part: impl Fn(&str, &mut String)) {
    let mut rest = path;
    loop {
        let end = rest.find(['.', QUOTES[0], QUOTES[1]]).unwrap_or(rest.len());
        part(&rest[..end], out);
        rest = &rest[end..];
        let Some(mark) = rest.chars().next() else { return };
        let length = if mark == '.' { 1 } else { rest[1..].find(mark).map_or(rest.len(), |at| at + 2) };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
}

fn camel_case(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut begins_word = false;
    for letter in part.chars() {
        match letter {
            '_' => begins_word = true,
            _ => out.push(if std::mem::take(&mut begins_word) { letter.to_ascii_uppercase() } else { letter }),
        }
    }
    out
}

fn snake_case(part: &str) -> String {
    let mut out = String::with_capacity(part.len() + 4);
    let letters = part.as_bytes();
    for (at, letter) in part.char_indices() {
        // A word begins at a capital after a character that is not a capital, and at the last of several capitals:
        // `anID`, `IDOf`.
        let before = at.checked_sub(1).map(|before| letters[before]).filter(|before| *before != b'_');
        let ends_acronym = || letters.get(at + 1).is_some_and(u8::is_ascii_lowercase);
        if letter.is_ascii_uppercase() && before.is_some_and(|before| !before.is_ascii_uppercase() || ends_acronym()) {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(path: &str) -> String {
        let mut out = String::new();
        write_path(path, &mut out);
        out
    }

    #[test]
    fn paths_accept_both_spellings() {
        for (text, wire, json) in [
            ("aB.cD", "a_b.c_d", "aB.cD"),
            ("a_b", "a_b", "aB"),
            ("a_1", "a_1", "a_1"),
            (".a.", ".a.", ".a."),
            ("Ab.CD", "ab.cd", "ab.cd"),
            ("theIDOf", "the_id_of", "theIdOf"),
            ("a_B", "a_b", "aB"),
            // The results of Envoy 1.40.
            ("useTLS13", "use_tls13", "useTls13"),
            ("useTLS13Only", "use_tls13_only", "useTls13Only"),
            ("sha256Sum", "sha256_sum", "sha256Sum"),
            ("aBC", "a_bc", "aBc"),
            ("_a", "_a", "_a"),
            ("Foo", "foo", "foo"),
            ("labels[\"fooBar.x_y\"].aB", "labels[\"fooBar.x_y\"].a_b", "labels[\"fooBar.x_y\"].aB"),
            ("labels.`a_Key`.cD", "labels.`a_Key`.c_d", "labels.`a_Key`.cD"),
            ("labels[\"fooBar", "labels[\"fooBar", "labels[\"fooBar"),
        ] {
            assert_eq!((read_path(text).as_str(), written(wire).as_str()), (wire, json), "{text}");
        }
        // `aBC` would be read as `a_bc`.
        assert_eq!(written("a_b_c"), "a_b_c");
        // These have no form that survives a round trip.
        for (wire, read) in [("fooBar", "foo_bar"), ("Foo", "foo")] {
            assert_eq!((written(wire).as_str(), read_path(wire).as_str()), (wire, read));
        }
    }

    #[test]
    fn commas_in_quotes_separate_nothing() {
        let parts: Vec<_> = split("a,m[\"x,y\"],`k,\"`,b").collect();
        assert_eq!(parts, ["a", "m[\"x,y\"]", "`k,\"`", "b"]);
    }

    proptest! {
        #[test]
        fn a_path_without_capitals_is_read_back(path in "[a-c_.0-2é]{0,12}") {
            prop_assert_eq!(read_path(&written(&path)), path);
        }

        #[test]
        fn any_path_is_survived(path: String) {
            read_path(&written(&path));
        }
    }
}
