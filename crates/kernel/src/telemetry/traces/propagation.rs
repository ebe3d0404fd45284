//! W3C Trace Context propagation (`traceparent`, `tracestate`): from callers to spans, and from spans to outbound
//! calls. `tracestate` is passed on only while spans are exported.

use std::collections::HashMap;

use http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::{
    propagation::TextMapPropagator as _,
    trace::{SpanContext, TraceContextExt as _, TraceId},
};
use opentelemetry_http::{HeaderExtractor, HeaderInjector};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

use super::is_active;
use crate::context;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Returns whether the text is a valid `traceparent` (version, trace id, parent id, flags).
pub(crate) fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str| part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let is_set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let parts: Vec<_> = text.split('-').collect();
    match parts[..] {
        ["00", trace, parent, flags] => {
            [(trace, 32), (parent, 16), (flags, 2)].iter().all(|(part, length)| part.len() == *length && is_hex(part))
                && is_set(trace)
                && is_set(parent)
        }
        _ => false,
    }
}

pub(crate) fn is_sampled(traceparent: &str) -> bool {
    let flags = traceparent.rsplit('-').next().and_then(|flags| u8::from_str_radix(flags, 16).ok());
    flags.is_some_and(|flags| flags & 1 == 1)
}

pub(crate) fn continue_from_headers(span: &Span, headers: &HeaderMap) {
    if is_active() {
        // `set_parent` fails only for a span that is not exported.
        span.set_parent(TraceContextPropagator::new().extract(&HeaderExtractor(headers))).ok();
    }
}

pub(crate) fn continue_from(span: &Span, traceparent: Option<&str>) {
    if let Some(traceparent) = traceparent.filter(|_| is_active()) {
        let carrier = HashMap::from([(TRACEPARENT.as_str().to_owned(), traceparent.to_owned())]);
        span.set_parent(TraceContextPropagator::new().extract(&carrier)).ok();
    }
}

pub(crate) fn trace_id(span: &Span) -> Option<TraceId> {
    if !is_active() {
        return None;
    }
    let id = span.context().span().span_context().trace_id();
    (id != TraceId::INVALID).then_some(id)
}

/// Returns the `traceparent` for work that the current request or job causes. Without exported spans: the caller's.
pub fn traceparent() -> Option<String> {
    if !is_active() {
        return context::traceparent().map(|text| text.to_string());
    }
    let context = Span::current().context();
    let span = context.span();
    span.span_context().is_valid().then(|| render(span.span_context()))
}

fn render(span: &SpanContext) -> String {
    format!("00-{}-{}-{:02x}", span.trace_id(), span.span_id(), span.trace_flags().to_u8() & 1)
}

pub(crate) fn inject(headers: &mut HeaderMap) {
    if is_active() {
        TraceContextPropagator::new().inject_context(&Span::current().context(), &mut HeaderInjector(headers));
    } else if let Some(traceparent) = context::traceparent()
        && let Ok(value) = HeaderValue::try_from(&*traceparent)
    {
        headers.insert(TRACEPARENT, value);
    }
}

#[cfg(test)]
mod tests {
    use super::{is_sampled, is_traceparent};

    #[test]
    fn the_sampled_flag_is_the_last_bit() {
        for (flags, expected) in [("00", false), ("01", true), ("02", false), ("03", true)] {
            let text = format!("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-{flags}");
            assert_eq!(is_sampled(&text), expected, "{flags}");
        }
    }

    #[test]
    fn only_valid_traceparents_are_accepted() {
        assert!(is_traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"));
        for wrong in [
            "",
            "nonsense",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473\n-00f067aa0ba902b7-01",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }
}
