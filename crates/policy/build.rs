//! Compiles the messages of the policy options.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/mainstay/policy");
    let files = ["mainstay/policy/v1/method.proto", "mainstay/policy/v1/module.proto"];
    Ok(prost_build::compile_fds(protox::compile(files, ["proto"])?)?)
}
