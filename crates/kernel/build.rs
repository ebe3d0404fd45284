//! Compiles the kernel's part of the contract, and shares it with the modules.

fn main() -> Result<(), mainstay_build::Error> {
    // Embedded in the program, by a macro that cargo does not see through.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto", "third_party"]).compile()
}
