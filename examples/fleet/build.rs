//! Compiles the module's protos: messages, services, validation, reasons, and the descriptor set.

fn main() -> Result<(), mainstay_build::Error> {
    // `embed_migrations!` embeds the folder in the program, and cargo does not track files that a macro reads.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto"])
        .uses("mainstay-kernel")
        .uses("mainstay-proto")
        .messages_path("crate::proto")
        .compile()
}
