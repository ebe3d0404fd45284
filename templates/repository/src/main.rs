//! Serves Mainstay with the module.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::product().with(my_module::module()).run()
}
