//! The server of Mainstay with the fleet module.

use std::process::ExitCode;

fn main() -> ExitCode {
    mainstay::product().with(fleet::module()).about(fleet::ABOUT).run()
}
