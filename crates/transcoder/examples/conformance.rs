//! The program under test by protobuf's conformance test runner. `make conformance` starts it.
//!
//! ```text
//! conformance_test_runner target/debug/examples/conformance conformance.binpb
//! ```
//!
//! The runner writes requests to standard input, each after its length in four bytes, and reads responses from standard
//! output in the same form. Conversions between JSON and the wire format are tested; unsupported conversions (wire to wire,
//! text format) are skipped.

use std::io::{self, ErrorKind, Read as _, Write as _};

use anyhow::Context as _;
use mainstay_transcoder::json::Codec;
use prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, Value};

/// `conformance.WireFormat`.
const PROTOBUF: i32 = 1;
const JSON: i32 = 2;
/// `conformance.TestCategory`: unknown fields are to be ignored, which the codec does not support.
const IGNORE_UNKNOWN: i32 = 3;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: conformance DESCRIPTOR_SET")?;
    let pool = mainstay_transcoder::descriptor_pool(&std::fs::read(&path).with_context(|| format!("reading {path}"))?)?;
    let message = |name: &str| pool.get_message_by_name(name).with_context(|| format!("{path} has no {name}"));
    let (request, response) = (message("conformance.ConformanceRequest")?, message("conformance.ConformanceResponse")?);
    let codec = Codec::new(&pool);
    let (mut input, mut output) = (io::stdin().lock(), io::stdout().lock());
    loop {
        let mut length = [0; 4];
        match input.read_exact(&mut length) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(()),
            result => result?,
        }
        let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
        input.read_exact(&mut bytes)?;
        let (field, value) = answer(&pool, &codec, &DynamicMessage::decode(request.clone(), &*bytes)?)?;
        let mut message = DynamicMessage::new(response.clone());
        message.set_field_by_name(field, value);
        let bytes = message.encode_to_vec();
        output.write_all(&u32::try_from(bytes.len())?.to_le_bytes())?;
        output.write_all(&bytes)?;
        output.flush()?;
    }
}

/// Returns the field of the response to one request, and its value.
fn answer(pool: &DescriptorPool, codec: &Codec, request: &DynamicMessage) -> anyhow::Result<(&'static str, Value)> {
    let number = |name: &str| request.get_field_by_name(name).and_then(|value| value.as_enum_number());
    let text = |name: &str| request.get_field_by_name(name).and_then(|value| value.as_str().map(str::to_owned));
    let name = text("message_type").unwrap_or_default();
    // The runner's first request asks for expected failures. They are in the runner's --failure_list.
    if name == "conformance.FailureSet" {
        return Ok(("protobuf_payload", Value::Bytes(Vec::new().into())));
    }
    let message = pool.get_message_by_name(&name).with_context(|| format!("there is no {name}"))?;
    if number("test_category") == Some(IGNORE_UNKNOWN) {
        return Ok(("skipped", Value::String("unknown fields are always refused".to_owned())));
    }
    let output = number("requested_output_format").unwrap_or_default();
    let mut wire = Vec::new();
    if request.has_field_by_name("json_payload") {
        if let Err(error) = codec.read_json(&message, text("json_payload").unwrap_or_default().as_bytes(), &mut wire) {
            return Ok(("parse_error", Value::String(error.to_string())));
        }
    } else if request.has_field_by_name("protobuf_payload") && output == JSON {
        let payload = request.get_field_by_name("protobuf_payload").context("it was there")?;
        wire.extend_from_slice(payload.as_bytes().context("bytes")?);
    } else {
        return Ok(("skipped", Value::String("not a conversion between JSON and wire".to_owned())));
    }
    match output {
        PROTOBUF => Ok(("protobuf_payload", Value::Bytes(wire.into()))),
        JSON => Ok(json(codec, &message, &wire)),
        other => Ok(("skipped", Value::String(format!("format {other} is not written")))),
    }
}

fn json(codec: &Codec, message: &MessageDescriptor, wire: &[u8]) -> (&'static str, Value) {
    let mut json = Vec::new();
    match codec.write_json(message, wire, &mut json) {
        Ok(()) => ("json_payload", Value::String(String::from_utf8_lossy(&json).into_owned())),
        // Wire bytes are parsed while they are written, so a broken message is detected here.
        Err(error @ mainstay_transcoder::json::WriteError::Wire(_)) => {
            ("parse_error", Value::String(error.to_string()))
        }
        Err(error) => ("serialize_error", Value::String(error.to_string())),
    }
}
