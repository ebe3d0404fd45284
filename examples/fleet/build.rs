//! Compiles the module's contract: messages, services, validation, reasons, and the descriptor set.

fn main() -> Result<(), mainstay_build::Error> {
    // A macro embeds the migrations in the program, which cargo does not track.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto"]).uses("mainstay-kernel").messages_path("crate::proto").compile()
}
