//! Entity tags in the forms that proxies give them.

/// The suffixes that compressing proxies append inside the quotes: `-gzip` (Apache's mod_deflate and Caddy), `--gzip`
/// (Jetty), `;gz` (LiteSpeed), with the names of other codings likewise. The server's own tags end in a point and the
/// coding.
const SEPARATORS: [&str; 3] = ["--", "-", ";"];
const CODINGS: [&str; 5] = ["gzip", "gz", "br", "zstd", "deflate"];

/// Returns whether a tag of a request is that of a representation by weak comparison (RFC 9110, section 8.8.3.2), or one
/// that a proxy has made of it: a weak one, or one with the suffix of a coding. Both name the same content, so that a
/// condition about content holds; a condition about bytes, such as `If-Range`, needs the exact tag.
pub fn is_same(tag: &str, current: &str) -> bool {
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let is_coding = |suffix: &str| {
        let coding = SEPARATORS.iter().find_map(|separator| suffix.strip_prefix(separator));
        coding.is_some_and(|coding| CODINGS.contains(&coding))
    };
    tag == current
        || current.strip_suffix('"').and_then(|bare| tag.strip_prefix(bare)?.strip_suffix('"')).is_some_and(is_coding)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_of_a_proxy_names_the_content() {
        for tag in
            ["\"1\"", "W/\"1\"", "\"1-gzip\"", "W/\"1-gzip\"", "\"1--gzip\"", "\"1;gz\"", "\"1;br\"", "\"1-zstd\""]
        {
            assert!(is_same(tag, "\"1\""), "{tag}");
        }
        assert!(is_same("\"1-0f2e.br-gzip\"", "\"1-0f2e.br\""));
        for other in [
            "1",
            "\"1-\"",
            "\"1gzip\"",
            "\"1-0f2e\"",
            "\"1.br\"",
            "\"1-gzip-gzip\"",
            "\"11-gzip\"",
            "W/W/\"1\"",
            "\"1-gzip",
        ] {
            assert!(!is_same(other, "\"1\""), "{other}");
        }
        assert!(!is_same("\"1\"", "\"1-gzip\""), "the tag of the server itself");
    }
}
