//! The supervisor of the product, for the tests of the whole engine: `supervise supervise <run-dir>` executes the
//! run's plan.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().collect();
    let [_, verb, dir] = args.as_slice() else { return ExitCode::from(64) };
    if verb != "supervise" {
        return ExitCode::from(64);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    let Ok(runtime) = runtime else { return ExitCode::from(70) };
    match runtime.block_on(supervisor::carry_out(Path::new(dir))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
