//! Compiles the kernel's protos and exports their descriptors to the modules.

fn main() -> Result<(), mainstay_build::Error> {
    // `embed_migrations!` embeds the folder in the program, and cargo does not track files that a macro reads.
    println!("cargo:rerun-if-changed=migrations");
    mainstay_build::Contract::new(["proto", "third_party"])
        .extern_path("mainstay.policy.v1", "crate::contract::policy::proto")
        .compile()
}
