//! The paths of a `google.protobuf.FieldMask`: snake case on the wire, camel case in JSON.

/// Converts `a_b.c_d` to `aB.cD`. A part that could not be converted back stays unchanged, and is read unchanged.
pub(super) fn write_path(path: &str, out: &mut String) {
    for (index, part) in path.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        let reversible = !part.bytes().any(|byte| byte.is_ascii_uppercase())
            && part.split('_').skip(1).all(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
        if !reversible {
            out.push_str(part);
            continue;
        }
        let mut words = part.split('_');
        out.push_str(words.next().unwrap_or_default());
        for word in words {
            out.push(word.as_bytes()[0].to_ascii_uppercase().into());
            out.push_str(&word[1..]);
        }
    }
}

/// Converts `aB.cD` to `a_b.c_d`; snake case stays unchanged. Other capitals are converted as in Envoy.
pub(super) fn read_path(path: &str) -> String {
    let mut out = String::with_capacity(path.len() + 4);
    for (index, part) in path.split('.').enumerate() {
        if index > 0 {
            out.push('.');
        }
        let letters = part.as_bytes();
        for (at, letter) in part.char_indices() {
            // A word begins at a capital after a small letter, and at the last of several capitals: `anID`, `IDOf`.
            let after_lowercase = at > 0 && !letters[at - 1].is_ascii_uppercase() && letters[at - 1] != b'_';
            let ends_acronym = at > 0
                && letters[at - 1].is_ascii_uppercase()
                && letters.get(at + 1).is_some_and(|next| !next.is_ascii_uppercase());
            if letter.is_ascii_uppercase() && (after_lowercase || ends_acronym) {
                out.push('_');
            }
            out.push(letter.to_ascii_lowercase());
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

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
        ] {
            assert_eq!(read_path(text), wire);
            let mut out = String::new();
            write_path(wire, &mut out);
            assert_eq!(out, json);
        }
    }
}
