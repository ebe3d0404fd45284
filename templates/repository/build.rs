//! Compiles the contract: messages, services, validation, reasons, and the descriptor set.

fn main() -> Result<(), mainstay_build::Error> {
    // Embedded in the program, by a macro that cargo does not see through.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto"]).uses("mainstay-kernel").messages_path("crate::proto").compile()
}
