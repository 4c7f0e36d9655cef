//! A site's program: see [`ridgeway_edge::cli`].

use std::process::ExitCode;

fn main() -> ExitCode {
    ridgeway_edge::main()
}
