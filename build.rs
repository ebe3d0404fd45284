//! Compiles the contract: messages, services, validation, and the descriptor set that everything else is read from.

#[path = "build/validation.rs"]
mod validation;

use std::{env, error::Error, fs, path::Path};

use prost_reflect::DescriptorPool;
use prost_types::FileDescriptorSet;

const ROOTS: [&str; 2] = ["proto", "third_party"];

fn main() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for root in ROOTS {
        println!("cargo:rerun-if-changed={root}");
        collect(Path::new(root), &mut files)?;
    }
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rerun-if-changed=migrations");

    let mut compiler = protox::Compiler::new(ROOTS)?;
    compiler.include_imports(true).include_source_info(true).open_files(&files)?;
    // The bytes keep the custom options; prost-types would drop them silently.
    let bytes = compiler.encode_file_descriptor_set();
    #[expect(clippy::disallowed_methods, reason = "how cargo tells a build script where to write")]
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    fs::write(out.join("descriptors.binpb"), &bytes)?;

    let pool = DescriptorPool::decode(bytes.as_slice())?;
    fs::write(out.join("validation.rs"), validation::generate(&pool)?)?;

    let set: FileDescriptorSet = compiler.file_descriptor_set();
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .bytes(".")
        // Otherwise every message of an export stream is as large as its largest variant.
        .boxed(".mainstay.support.v1.ExportTicketsResponse.item.data")
        .include_file("contract.rs")
        .compile_fds(set)?;
    Ok(())
}

fn collect(directory: &Path, files: &mut Vec<std::path::PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}
