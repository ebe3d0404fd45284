//! Serves Mainstay with the fleet.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::product().with(fleet::module()).run()
}
