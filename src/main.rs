//! The `countersign` program. What it can do is in `cli`.

use std::process::ExitCode;

/// Built for many small allocations, which is what calls are made of.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    countersign::cli::main()
}
