//! Serves Mainstay with the module.

use std::process::ExitCode;

use mainstay_kernel::module::About;

/// The program as its users see it: in its help, its `--version` and its OpenAPI document.
const ABOUT: About = About {
    program: env!("CARGO_PKG_NAME"),
    title: env!("CARGO_PKG_NAME"),
    version: env!("CARGO_PKG_VERSION"),
    summary: "The API of my_module, beside that of Mainstay.",
    description: "",
    license: "",
    logo_url: "",
};

fn main() -> ExitCode {
    mainstay::product().with(my_module::module()).about(ABOUT).run()
}
