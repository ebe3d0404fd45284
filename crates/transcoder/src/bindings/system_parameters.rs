//! The system parameters of Google's APIs, which stock clients add to every query: `$alt=json;enum-encoding=int`.
//!
//! The `$` before the name is optional, because clients generated from discovery documents omit it; a request field of
//! the same name takes precedence. Parameters that only affect accounting or whitespace are ignored. Unsupported
//! parameters that would change the meaning of the call or the form of the response are rejected.
//!
//! Source: <https://cloud.google.com/apis/docs/system-parameters>.

use super::Result;
use crate::json::{EnumFormat, ReadError};

/// Reads one parameter; returns `false` if its name is not that of a system parameter.
///
/// # Errors
/// An error if the parameter is not supported.
pub(super) fn read(name: &str, value: &str, enums: &mut EnumFormat) -> Result<bool> {
    let refusal = match (name.strip_prefix('$').unwrap_or(name), value) {
        ("alt", "json") => return Ok(true),
        ("alt", "json;enum-encoding=int") => {
            *enums = EnumFormat::Number;
            return Ok(true);
        }
        // The second parameter is the error format, of which only one exists.
        ("prettyPrint" | "quotaUser", _) | (".xgafv", "2") => return Ok(true),
        ("alt", _) => "only \"json\" and \"json;enum-encoding=int\" are served",
        (".xgafv", _) => "only error format 2 is served",
        ("callback", _) => "JSONP is not served",
        ("fields", _) => "partial responses are not served",
        ("key" | "access_token" | "oauth_token", _) => "credentials belong into a header",
        ("httpMethod" | "apiVersion" | "userProject" | "uploadType" | "upload_protocol", _) => "not supported",
        _ => return Ok(false),
    };
    Err(ReadError::new(refusal).within(name))
}
