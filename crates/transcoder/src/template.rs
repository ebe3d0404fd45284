//! Path templates of `google.api.http`.
//!
//! ```text
//! Template = "/" Segments [ Verb ] ;      Variable  = "{" FieldPath [ "=" Segments ] "}" ;
//! Segments = Segment { "/" Segment } ;    FieldPath = IDENT { "." IDENT } ;
//! Segment  = "*" | "**" | LITERAL | Variable ;
//! Verb     = ":" LITERAL ;
//! ```
//! Source: the grammar in google/api/http.proto. One extension: `/` alone is a template too.

mod capture;
mod parse;

use std::fmt;
use std::ops::Range;

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// A pattern of a path segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(String),
    /// Exactly one segment, which may be empty.
    Single,
    /// All remaining segments, possibly none.
    Rest,
}

/// A part of the path that sets a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The field, as proto names joined by dots.
    pub field_path: String,
    /// The range of template segments that the variable spans.
    pub segments: Range<usize>,
}

/// A template that violates the grammar.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TemplateError(String);

impl Template {
    /// Returns the segments, from the left.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Returns the variables, from the left.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Returns the custom verb after the colon, if there is one (AIP-136).
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }
}

/// Splits a path into its segments, without the slashes around them, and its verb: the text after the last colon of the
/// last segment, if `is_verb`. As in Envoy, trailing slashes are dropped, but text before a slash is not a verb.
pub(crate) fn split_path(path: &str, is_verb: impl Fn(&str) -> bool) -> (&str, Option<&str>) {
    let last = path.rfind('/').map_or(0, |slash| slash + 1);
    let colon = path[last..].rfind(':').map(|colon| last + colon).filter(|colon| is_verb(&path[colon + 1..]));
    let (segments, verb) = colon.map_or((path, None), |colon| (&path[..colon], Some(&path[colon + 1..])));
    (segments.strip_prefix('/').unwrap_or(segments).trim_end_matches('/'), verb)
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Literal(text) => text,
            Self::Single => "*",
            Self::Rest => "**",
        })
    }
}

/// Prints the template so that [`Template::parse`] reads it back unchanged.
impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut at = 0;
        let mut variables = self.variables.iter();
        while at < self.segments.len() || at == 0 {
            f.write_str("/")?;
            let Some(first) = self.segments.get(at) else { break };
            let variable = variables.as_slice().first().filter(|variable| variable.segments.start == at);
            let Some(variable) = variable else {
                write!(f, "{first}")?;
                at += 1;
                continue;
            };
            variables.next();
            write!(f, "{{{}", variable.field_path)?;
            if self.segments[variable.segments.clone()] != [Segment::Single] {
                for (index, segment) in self.segments[variable.segments.clone()].iter().enumerate() {
                    write!(f, "{}{segment}", if index == 0 { "=" } else { "/" })?;
                }
            }
            f.write_str("}")?;
            at = variable.segments.end;
        }
        self.verb.as_ref().map_or(Ok(()), |verb| write!(f, ":{verb}"))
    }
}
