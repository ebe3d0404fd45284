//! A route resolved against the descriptors: how to convert its requests and responses.

use std::sync::Arc;

use crate::bindings::{self, FieldPath, Query, Step};
use crate::dialect::{Dialect, Failure, RequestHead};
use crate::json::{Codec, FieldId, Kind, MessageId, Shape, read_field, read_message};
use crate::media_type::{self, Format};
use crate::rule::{BodyRule, HTTP_BODY, Route};
use crate::wire::{put_bytes, put_delimited, put_tag};

/// Everything about a route that can be computed before its first request.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) route: Arc<Route>,
    pub(crate) input: MessageId,
    pub(crate) output: MessageId,
    /// The fields of the template's variables.
    variables: Vec<FieldPath>,
    body: BodyTarget,
    /// Whether the body is a `google.api.HttpBody`, whose bytes are passed through unread.
    pub(crate) raw_body: bool,
    /// The field of the output that is the whole response.
    pub(crate) response_body: Option<FieldId>,
    /// Whether the response is a `google.api.HttpBody`.
    raw_response: bool,
}

/// The part of the message that the request's body sets; [`BodyRule`] with its field resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BodyTarget {
    None,
    Whole,
    Field(FieldId),
}

impl Plan {
    /// Resolves a route; `None` if the codec was not made from the route's pool.
    pub(crate) fn new(codec: &Codec, route: &Arc<Route>) -> Option<Self> {
        let (input, output) = (route.method.input(), route.method.output());
        let (input_id, output_id) = (codec.id(input.full_name())?, codec.id(output.full_name())?);
        let field = |id: MessageId, name: &str| codec.message(id).by_name(name);
        let is_raw = |kind: &prost_reflect::Kind| kind.as_message().is_some_and(|kind| kind.full_name() == HTTP_BODY);
        let variables = route.template.variables().iter();
        Some(Self {
            input: input_id,
            output: output_id,
            variables: variables.map(|v| bindings::resolve(codec, input_id, &v.field_path)).collect::<Option<_>>()?,
            body: match &route.body {
                BodyRule::None => BodyTarget::None,
                BodyRule::Whole => BodyTarget::Whole,
                BodyRule::Field(named) => BodyTarget::Field(field(input_id, named.name())?),
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
            raw_response: match &route.response_body {
                None => output.full_name() == HTTP_BODY,
                Some(named) => is_raw(&named.kind()) && !named.is_list(),
            },
            route: route.clone(),
        })
    }

    pub(crate) fn has_body(&self) -> bool {
        self.body != BodyTarget::None
    }

    /// Returns the format of the response.
    ///
    /// # Errors
    /// An error if the client accepts none of the formats, and the method negotiates.
    pub(crate) fn response_format<D: Dialect>(&self, head: &RequestHead, dialect: &D) -> Result<Format, Failure> {
        if self.raw_response {
            return Ok(Format::Raw);
        }
        let (format, default) = if self.route.method.is_server_streaming() {
            (media_type::stream_format(&head.headers), Format::Ndjson)
        } else {
            (media_type::message_format(&head.headers), Format::Json)
        };
        format.or_else(|| (!dialect.negotiates(&self.route.method)).then_some(default)).ok_or(Failure::NotAcceptable)
    }

    /// Checks the body's media type. A missing media type defaults to the expected one.
    ///
    /// # Errors
    /// An error if the method does not accept the media type, or if the body is compressed.
    pub(crate) fn check_media_type<D: Dialect>(&self, head: &RequestHead, dialect: &D) -> Result<(), Failure> {
        if media_type::is_compressed(&head.headers) {
            return Err(Failure::UnsupportedContentCoding);
        }
        let Some(media) = media_type::content_type(&head.headers) else { return Ok(()) };
        let media_types = dialect.media_types(&self.route.method);
        let is_listed = || media_types.iter().any(|pattern| media.matches(pattern));
        let is_accepted = if self.raw_body {
            media_types.is_empty() || is_listed()
        } else {
            media.is_json() || (self.route.method.is_client_streaming() && media.is_ndjson()) || is_listed()
        };
        if is_accepted { Ok(()) } else { Err(Failure::UnsupportedMediaType) }
    }

    /// Appends the message of a JSON body; an empty body is an empty message.
    ///
    /// # Errors
    /// An error if the body is not such a message.
    pub(crate) fn put_json(&self, codec: &Codec, json: &[u8], out: &mut Vec<u8>) -> Result<(), Failure> {
        match self.body {
            BodyTarget::None => {}
            BodyTarget::Whole if json.is_empty() => {}
            BodyTarget::Whole => read_message(codec, self.input, json, out)?,
            BodyTarget::Field(id) => {
                let field = &codec.message(self.input).fields[usize::from(id)];
                let json = match field.kind {
                    // An absent message is an empty one, as in Envoy.
                    Kind::Message(id) if json.is_empty() && codec.message(id).shape == Shape::Object => b"{}",
                    _ if json.is_empty() => return Ok(()),
                    _ => json,
                };
                read_field(codec, field, json, out)?;
            }
        }
        Ok(())
    }

    /// Appends a `google.api.HttpBody` (content_type = 1, data = 2) with these bytes.
    pub(crate) fn put_raw(&self, codec: &Codec, content_type: &str, data: &[u8], out: &mut Vec<u8>) {
        let body = |out: &mut Vec<u8>| {
            if !content_type.is_empty() {
                put_bytes(out, 1, content_type.as_bytes());
            }
            put_bytes(out, 2, data);
        };
        let BodyTarget::Field(id) = self.body else { return body(out) };
        let field = &codec.message(self.input).fields[usize::from(id)];
        debug_assert!(matches!(field.kind, Kind::Message(_)));
        put_tag(out, field.number, 2);
        let result: Result<(), std::convert::Infallible> = put_delimited(out, |out| {
            body(out);
            Ok(())
        });
        debug_assert!(result.is_ok());
    }

    /// Reads the query.
    ///
    /// # Errors
    /// A value does not fit its field, a parameter is unknown and not ignored, or a field is set to different values.
    pub(crate) fn query<D: Dialect>(&self, codec: &Codec, head: &RequestHead, dialect: &D) -> Result<Query, Failure> {
        let ignores_unknown = dialect.ignores_unknown_parameters(&self.route.method);
        let is_in_body = |path: &[Step]| match (&self.body, path) {
            (BodyTarget::Field(id), [first, ..]) => first.is_field(*id),
            _ => false,
        };
        let is_bound = |path: &[Step]| is_in_body(path) || self.variables.iter().any(|variable| variable == path);
        let read = |query| Query::read(codec, self.input, query, ignores_unknown, is_bound);
        Ok(head.uri.query().map(read).transpose()?.unwrap_or_default())
    }

    /// Appends the query and path values to a message that so far (from `start`) holds the body.
    ///
    /// # Errors
    /// A value in the path does not fit its field, or a field is set to different values.
    pub(crate) fn put_bindings(
        &self,
        codec: &Codec,
        query: &Query,
        path: &str,
        start: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), Failure> {
        bindings::check_conflicts(codec, &query.fields, &query.bytes, &out[start..])?;
        out.extend_from_slice(&query.bytes);
        let from = out.len();
        bindings::put_path(codec, &self.route.template, &self.variables, path, out)?;
        bindings::check_conflicts(codec, &self.variables, &out[from..], &out[start..from])?;
        Ok(())
    }
}
