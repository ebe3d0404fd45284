//! Compiles the contract of the tests.

fn main() -> Result<(), mainstay_build::Error> {
    mainstay_build::Contract::new(["proto"]).uses("mainstay-kernel").messages_path("crate").compile()
}
