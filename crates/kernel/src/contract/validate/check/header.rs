//! Names and values of HTTP headers (RFC 9110, section 5).

/// Returns whether a string is the name of a header; a colon may precede it, as in HTTP/2. If it is not strict, only NUL
/// and line breaks are invalid.
pub fn is_header_name(value: &str, strict: bool) -> bool {
    let name = value.strip_prefix(':').unwrap_or(value);
    match strict {
        // The characters that protovalidate's expression accepts: between + and . are the comma and the hyphen.
        true => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+,-.^_|~`".contains(&b)),
        false => !value.is_empty() && !value.contains(['\0', '\n', '\r']),
    }
}

/// Returns whether a string is the value of a header; it may be empty.
pub fn is_header_value(value: &str, strict: bool) -> bool {
    match strict {
        true => value.bytes().all(|byte| byte == b'\t' || !byte.is_ascii_control()),
        false => !value.contains(['\0', '\n', '\r']),
    }
}
