//! Tests of log lines as a log collector parses them.

use std::{
    io,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tracing::{error, field, info, info_span, subscriber::with_default};
use tracing_subscriber::{fmt, layer::SubscriberExt as _, registry};

use super::{Lines, Members};

#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl io::Write for Written {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Runs `log`, and returns its lines without their times.
fn lines(log: impl FnOnce()) -> Vec<Value> {
    let output = Written::default();
    let writer = output.clone();
    let layer = fmt::layer().fmt_fields(Members).event_format(Lines).with_writer(move || writer.clone());
    with_default(registry().with(layer), log);
    let text = String::from_utf8(output.0.lock().expect("no panic").clone()).expect("UTF-8");
    let parsed = text.lines().map(|line| {
        let mut line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let time = line.as_object_mut().expect("an object").remove("timestamp").expect("a time");
        chrono::DateTime::parse_from_rfc3339(time.as_str().expect("text")).expect("RFC 3339");
        line
    });
    parsed.collect()
}

const TARGET: &str = "mainstay_kernel::telemetry::json::tests";

#[test]
fn a_line_has_the_fields_of_its_event() {
    let absent: Option<&str> = None;
    let lines = lines(|| {
        let (large, none) = (1_u128 << 40, f64::NAN);
        info!(
            text = "as it is",
            count = 3_u64,
            loss = -4_i64,
            half = 0.5,
            whole = 2.0,
            none,
            is_cold = true,
            absent,
            large,
            "said"
        );
        error!(shown = %"by Display", debugged = ?Some("by Debug"), r#type = "raw");
    });
    let first = json!({
        "level": "INFO", "message": "said", "text": "as it is", "count": 3, "loss": -4, "half": 0.5, "whole": 2.0,
        "none": null, "is_cold": true, "large": 1_u64 << 40, "target": TARGET,
    });
    let second = json!({
        "level": "ERROR", "shown": "by Display", "debugged": r#"Some("by Debug")"#, "type": "raw", "target": TARGET,
    });
    assert_eq!(lines, [first, second]);
}

#[test]
fn a_line_has_the_fields_of_its_innermost_span() {
    let lines = lines(|| {
        let _outer = info_span!("outer", hidden = true).entered();
        let inner = info_span!("inner", id = %"an id", later = field::Empty).entered();
        info!("before");
        inner.record("later", 7);
        info!("after");
        info!(parent: None, "alone");
    });
    let spans: Vec<_> = lines.iter().map(|line| line.get("span").cloned().unwrap_or_default()).collect();
    let before = json!({ "name": "inner", "id": "an id" });
    let after = json!({ "name": "inner", "id": "an id", "later": 7 });
    assert_eq!(spans, [before, after, Value::Null]);
}

#[test]
fn text_cannot_leave_its_string() {
    let nasty: String = ('\0'..'\u{100}').chain("\u{2028}\u{1f980}\u{feff}".chars()).collect();
    let cut = "\"}\n{\"level\":\"ERROR\"";
    let lines = lines(|| {
        let _span = info_span!("span", nasty, shown = %nasty).entered();
        info!(nasty, shown = %nasty, debugged = ?cut, "{cut}");
    });
    assert_eq!(lines.len(), 1, "a line break would begin another line");
    assert_eq!((&lines[0]["nasty"], &lines[0]["shown"]), (&json!(nasty), &json!(nasty)));
    assert_eq!((&lines[0]["span"]["nasty"], &lines[0]["span"]["shown"]), (&json!(nasty), &json!(nasty)));
    assert_eq!(lines[0]["message"], cut);
    assert_eq!(lines[0]["debugged"], format!("{cut:?}"));
}
