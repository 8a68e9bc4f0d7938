//! `stagegate`: parses the command line, runs the command, prints the error.

// The pages' types are deep; an optimised build lays them out here too.
#![recursion_limit = "512"]

mod cli;
mod commands;
mod connections;
mod doors;
mod downloads;
mod events;
mod hosts;
mod paths;
mod security;
mod serve;
mod settings;
mod visit;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("stagegate: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                eprintln!("  because: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}
