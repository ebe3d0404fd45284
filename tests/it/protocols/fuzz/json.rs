//! Bodies that are valid or nearly so, as text, because no JSON writer would produce many of them.

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use rand::Rng as _;

use super::request::{Writer, word};

/// The maximum nesting depth of generated messages.
const DEEPEST: u32 = 3;

impl Writer {
    pub(super) fn body(&mut self, message: &MessageDescriptor, left_out: &[String]) -> Vec<u8> {
        if self.rarely(20) {
            let bodies: [&[u8]; 12] = [
                b"",
                b"{",
                b"null",
                b"[]",
                b"\"text\"",
                b"{}{}",
                b"{\"a\":1,}",
                b"\xff",
                b"{}x",
                b" {} ",
                b"{\"subject\":\"\xc3\x28\"}",
                b"\xef\xbb\xbf{}",
            ];
            return bodies[self.random.random_range(0..bodies.len())].to_vec();
        }
        self.object(message, left_out, DEEPEST).into_bytes()
    }

    fn object(&mut self, message: &MessageDescriptor, left_out: &[String], depth: u32) -> String {
        let mut members = Vec::new();
        for field in message.fields().filter(|field| !left_out.contains(&field.name().to_owned())) {
            if self.rarely(7) || depth == 0 {
                continue;
            }
            let name = if self.rarely(10) { field.name() } else { field.json_name() };
            let value = self.value(&field, depth - 1);
            members.push(format!("\"{name}\":{value}"));
            if self.rarely(40) {
                let value = self.value(&field, depth - 1);
                members.push(format!("\"{name}\":{value}"));
            }
        }
        if self.rarely(10) {
            members.push(
                self.pick(&[
                    "\"unknown\":1",
                    "\"unknown\":{\"a\":[1,{}]}",
                    "\"\":0",
                    "\"@type\":\"x\"",
                    "\"unknown\":\"\\ud800\"",
                    "\"unknown\":1e999",
                ])
                .to_owned(),
            );
        }
        let separator = if self.rarely(10) { " ,\n" } else { "," };
        format!("{{{}}}", members.join(separator))
    }

    fn value(&mut self, field: &FieldDescriptor, depth: u32) -> String {
        if self.rarely(25) {
            return self.pick(&["null", "[]", "{}", "\"\"", "0", "true", "[null]", "\"x\"", "1.5", "[[]]"]).to_owned();
        }
        if field.is_list() && !self.rarely(20) {
            let count = self.random.random_range(0..4);
            let items: Vec<_> = (0..count).map(|_| self.single(field, depth)).collect();
            return format!("[{}]", items.join(","));
        }
        self.single(field, depth)
    }

    fn single(&mut self, field: &FieldDescriptor, depth: u32) -> String {
        let usual = word(field.name());
        match field.kind() {
            Kind::String if usual.starts_with('«') && !self.rarely(8) => format!("\"{usual}\""),
            Kind::String => self
                .pick(&[
                    "\"text\"",
                    "\"Grüße 🔥\"",
                    "\"\"",
                    "\"\\u0000\"",
                    "\"\\u00e4\\n\\t\"",
                    "\"\\ud83d\\udd25\"",
                    "\"\\ud800\"",
                    "17",
                    "true",
                    "\"a\\/b\"",
                    "\"\\x\"",
                    "\"a\tb\"",
                    "\"two words\"",
                    "\"de\"",
                    "\"\u{2028}\"",
                ])
                .to_owned(),
            Kind::Bool => self.pick(&["true", "false", "\"true\"", "1", "\"TRUE\"", "\"1\"", "0.0"]).to_owned(),
            Kind::Enum(kind) => {
                let values: Vec<_> = kind.values().map(|value| value.name().to_owned()).collect();
                if self.rarely(5) {
                    return self
                        .pick(&[
                            "0",
                            "1",
                            "2",
                            "99",
                            "-1",
                            "\"1\"",
                            "\"nonsense\"",
                            "\"ticket_kind_request\"",
                            "1.0",
                            "1.5",
                            "true",
                            "\"99\"",
                        ])
                        .to_owned();
                }
                format!("\"{}\"", values[self.random.random_range(0..values.len())])
            }
            Kind::Message(inner) => match inner.full_name() {
                "google.protobuf.Timestamp" => self
                    .pick(&[
                        "\"2030-01-01T00:00:00Z\"",
                        "\"2030-01-01T00:00:00.123456789+01:00\"",
                        "\"2030-01-01\"",
                        "\"\"",
                        "0",
                        "\"2030-01-01T24:00:00Z\"",
                        "\"2030-01-01t00:00:00z\"",
                        "\"9999-12-31T23:59:59Z\"",
                        "\"2016-12-31T23:59:60Z\"",
                    ])
                    .to_owned(),
                "google.protobuf.FieldMask" => self
                    .pick(&[
                        "\"subject\"",
                        "\"subject,body\"",
                        "\"\"",
                        "\"nonsense\"",
                        "{\"paths\":[\"subject\"]}",
                        "\"a..b\"",
                    ])
                    .to_owned(),
                _ => self.object(&inner, &[], depth),
            },
            _ => self
                .pick(&[
                    "1",
                    "\"2\"",
                    "1.0",
                    "1e2",
                    "\"1e2\"",
                    "-1",
                    "2147483648",
                    "1.5",
                    "\" 1\"",
                    "\"\"",
                    "01",
                    "+1",
                    ".5",
                    "-0",
                    "1E0",
                    "NaN",
                    "\"NaN\"",
                    "99999999999999999999",
                    "1e400",
                ])
                .to_owned(),
        }
    }
}
