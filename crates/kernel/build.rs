//! Compiles the kernel's part of the contract, and shares it with the modules.

fn main() -> Result<(), mainstay_build::Error> {
    // A macro embeds the migrations in the program, which cargo does not see.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto", "third_party"]).compile()
}
