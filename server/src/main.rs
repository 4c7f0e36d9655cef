//! The centre's program: see [`ridgeway_server::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ridgeway_server::main()
}
