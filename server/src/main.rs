//! `stagegate`: parses the command line, runs the command, prints the error.

// The types of the pages are deeply nested; an optimised build computes their layout here too.
#![recursion_limit = "512"]

mod auth_layer;
mod cli;
mod commands;
mod connections;
mod console;
mod downloads;
mod events;
mod hosts;
mod page_cache;
mod paths;
mod port;
mod routes;
mod security;
mod serve;
mod settings;
mod visible;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match commands::run(cli) {
        Ok(code) => code,
        Err(error) => {
            console::complain(format_args!("stagegate: {error}"));
            let mut cause = error.source();
            while let Some(inner) = cause {
                console::complain(format_args!("  caused by: {inner}"));
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}
