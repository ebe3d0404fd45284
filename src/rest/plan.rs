//! A route compiled against the tables: how to convert its requests and responses.

use std::sync::Arc;

use super::accept::{self, Format};
use super::bind::{self, FieldPath};
use super::dialect::{Dialect, Failure, RequestHead};
use super::json::{FieldId, Kind, MessageId, Options, Shape, Tables, read_field, read_message};
use super::rule::{BodyRule, HTTP_BODY, Route};
use super::wire::{put_bytes, put_delimited, put_tag};

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) route: Arc<Route>,
    pub(super) input: MessageId,
    pub(super) output: MessageId,
    /// The fields of the template's variables.
    variables: Vec<FieldPath>,
    body: Target,
    /// The body is a `google.api.HttpBody`, whose bytes are passed through unread.
    pub(super) raw_body: bool,
    pub(super) response_body: Option<FieldId>,
    pub(super) raw_answer: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    None,
    Whole,
    Field(FieldId),
}

impl Plan {
    /// Returns `None` if the tables were not made from the route's pool.
    pub(super) fn new(tables: &Tables, route: &Arc<Route>) -> Option<Self> {
        let (input, output) = (route.method.input(), route.method.output());
        let (input_id, output_id) = (tables.id(input.full_name())?, tables.id(output.full_name())?);
        let field = |id: MessageId, name: &str| tables.message(id).by_name(name);
        let is_raw = |kind: &prost_reflect::Kind| kind.as_message().is_some_and(|kind| kind.full_name() == HTTP_BODY);
        let variables = route.template.variables().iter();
        Some(Self {
            input: input_id,
            output: output_id,
            variables: variables.map(|v| bind::resolve(tables, input_id, &v.field_path)).collect::<Option<_>>()?,
            body: match &route.body {
                BodyRule::None => Target::None,
                BodyRule::Whole => Target::Whole,
                BodyRule::Field(named) => Target::Field(field(input_id, named.name())?),
            },
            raw_body: match &route.body {
                BodyRule::None => false,
                BodyRule::Whole => input.full_name() == HTTP_BODY,
                BodyRule::Field(named) => is_raw(&named.kind()) && !named.is_list(),
            },
            response_body: match &route.response_body {
                None => None,
                Some(named) => Some(field(output_id, named.name())?),
            },
            raw_answer: match &route.response_body {
                None => output.full_name() == HTTP_BODY,
                Some(named) => is_raw(&named.kind()) && !named.is_list(),
            },
            route: route.clone(),
        })
    }

    pub(super) fn takes_body(&self) -> bool {
        self.body != Target::None
    }

    /// Returns the format of the response.
    ///
    /// # Errors
    /// The client accepts none of the formats.
    pub(super) fn format(&self, head: &RequestHead) -> Result<Format, Failure> {
        if self.raw_answer {
            return Ok(Format::Raw);
        }
        let format = if self.route.method.is_server_streaming() {
            accept::stream(&head.headers)
        } else {
            accept::single(&head.headers)
        };
        format.ok_or(Failure::NotAcceptable)
    }

    /// Checks the body's media type. A missing one is taken as the one the method expects.
    ///
    /// # Errors
    /// The method does not accept the media type, or the body is compressed.
    pub(super) fn check_media_type<D: Dialect>(&self, head: &RequestHead, dialect: &D) -> Result<(), Failure> {
        if accept::is_encoded(&head.headers) {
            return Err(Failure::UnsupportedMediaType);
        }
        let Some(media) = accept::content_type(&head.headers) else { return Ok(()) };
        let listed = dialect.accepts(&self.route.method);
        let fits = if self.raw_body {
            listed.is_empty() || listed.iter().any(|pattern| media.fits(pattern))
        } else {
            media.is_json()
                || (self.route.method.is_client_streaming() && media.is_lines())
                || listed.iter().any(|pattern| media.fits(pattern))
        };
        if fits { Ok(()) } else { Err(Failure::UnsupportedMediaType) }
    }

    /// Appends the message of a JSON body; an empty body is an empty message.
    ///
    /// # Errors
    /// The body is not such a message.
    pub(super) fn put_json(
        &self,
        tables: &Tables,
        json: &[u8],
        max_depth: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        let options = Options { max_depth };
        match self.body {
            Target::None => {}
            Target::Whole if json.is_empty() => {}
            Target::Whole => read_message(tables, self.input, json, options, out)?,
            Target::Field(id) => {
                let field = &tables.message(self.input).fields[usize::from(id)];
                let json = match field.kind {
                    // An absent message is an empty one, as in Envoy.
                    Kind::Message(id) if json.is_empty() && tables.message(id).shape == Shape::Object => b"{}",
                    _ if json.is_empty() => return Ok(()),
                    _ => json,
                };
                read_field(tables, field, json, options, out)?;
            }
        }
        Ok(())
    }

    /// Appends a `google.api.HttpBody` (content_type = 1, data = 2) with these bytes.
    pub(super) fn put_raw(&self, tables: &Tables, content_type: &str, data: &[u8], out: &mut Vec<u8>) {
        let body = |out: &mut Vec<u8>| {
            if !content_type.is_empty() {
                put_bytes(out, 1, content_type.as_bytes());
            }
            put_bytes(out, 2, data);
        };
        let Target::Field(id) = self.body else { return body(out) };
        let field = &tables.message(self.input).fields[usize::from(id)];
        debug_assert!(matches!(field.kind, Kind::Message(_)));
        put_tag(out, field.number, 2);
        let written: Result<(), std::convert::Infallible> = put_delimited(out, |out| {
            body(out);
            Ok(())
        });
        debug_assert!(written.is_ok());
    }

    /// Appends the query and path values to a message that so far (from `start`) holds the body.
    ///
    /// # Errors
    /// A value does not fit its field, a parameter is unknown, or a field is set to different values.
    pub(super) fn put_bindings(
        &self,
        tables: &Tables,
        head: &RequestHead,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        if let Some(query) = head.uri.query() {
            let from = out.len();
            let fields = bind::put_query(tables, self.input, query, out)?;
            bind::check_conflicts(tables, &fields, &out[from..], &out[start..from])?;
        }
        let from = out.len();
        bind::put_path(tables, &self.route.template, &self.variables, head.uri.path(), out)?;
        bind::check_conflicts(tables, &self.variables, &out[from..], &out[start..from])?;
        Ok(())
    }
}
