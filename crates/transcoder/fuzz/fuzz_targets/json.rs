//! JSON → wire → JSON over every kind of field: accepted input must be printable, and the printed JSON must read back
//! unchanged. Run with `make fuzz`.
#![no_main]

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use mainstay_transcoder::{Template, json::Codec};
use prost_reflect::{DescriptorPool, MessageDescriptor};

fn codec() -> &'static (Codec, MessageDescriptor) {
    static TABLES: OnceLock<(Codec, MessageDescriptor)> = OnceLock::new();
    TABLES.get_or_init(|| {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/transcode/proto");
        let mut compiler = protox::Compiler::new([root]).expect("the test protos are there");
        compiler.include_imports(true).open_file("kinds.proto").expect("the test protos compile");
        let set = compiler.encode_file_descriptor_set();
        let pool = DescriptorPool::decode(set.as_slice()).expect("the set is complete");
        let descriptor = pool.get_message_by_name("kinds.Everything").expect("the message is declared");
        (Codec::new(&pool), descriptor)
    })
}

fuzz_target!(|data: &[u8]| {
    let (codec, descriptor) = codec();
    let mut printed = Vec::new();
    // As wire bytes: no input may cause a panic.
    let _ = codec.write_json(descriptor, data, &mut printed);

    // As JSON: accepted input is stable after one round trip.
    let mut wire = Vec::new();
    if codec.read_json(descriptor, data, &mut wire).is_ok() {
        let mut first = Vec::new();
        if codec.write_json(descriptor, &wire, &mut first).is_ok() {
            let (mut again, mut second) = (Vec::new(), Vec::new());
            codec.read_json(descriptor, &first, &mut again).expect("our own JSON reads back");
            codec.write_json(descriptor, &again, &mut second).expect("and prints again");
            assert_eq!(first, second);
        }
    }

    if let Ok(text) = std::str::from_utf8(data)
        && let Ok(template) = Template::parse(text)
    {
        assert_eq!(Template::parse(&template.to_string()), Ok(template));
    }
});
