//! The commands behind the command line.

mod check;
mod monitoring;
mod prune;
mod serve;
mod user;
mod verify;

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use engine::{Engine, KeptEnv};

use crate::cli::{Cli, Command, Stack};
use crate::{console, settings};

type CommandResult = Result<ExitCode, Box<dyn Error>>;

/// Runs the command.
pub fn run(cli: Cli) -> CommandResult {
    match cli.command {
        Command::Check(args) => check::run(&args),
        Command::Version => {
            let sqlite = store::sqlite_version();
            console::line(format_args!("stagegate {} (SQLite {sqlite})", env!("CARGO_PKG_VERSION")))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Supervise { dir } => {
            rustls_ready();
            runtime()?.block_on(supervisor::carry_out(&dir))?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Serve(args) => runtime()?.block_on(serve::run(args)),
        Command::User { action } => runtime()?.block_on(user::run(action)),
        Command::Prune(args) => runtime()?.block_on(prune::run(&args)),
        Command::Monitoring(args) => monitoring::run(&args),
        Command::EnvCopy { stack, release, replaced } => {
            let which = if replaced { KeptEnv::Replaced } else { KeptEnv::OfRelease };
            env_copy(&stack, release, which)
        }
        Command::Verify(args) => runtime()?.block_on(verify::run(&args)),
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Selects the cryptography that TLS uses; without it every HTTPS request would fail.
fn rustls_ready() {
    // An error means that it was selected before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Opens the engine of a stack for a command other than `serve`.
async fn open(stack: &Stack) -> Result<Engine, Box<dyn Error>> {
    let (config, data) = settings::stack_paths(stack, &settings::read_file(&stack.config)?)?;
    Ok(Engine::open(config, data, own_binary()?).await?)
}

/// Needs no server and no database, so it also works when neither is available.
fn env_copy(stack: &Stack, release: i64, which: KeptEnv) -> CommandResult {
    let (config, data) = settings::stack_paths(stack, &settings::read_file(&stack.config)?)?;
    let text = engine::kept_env(&config, &data, release, which)?;
    console::bytes(&text)?;
    Ok(ExitCode::SUCCESS)
}

fn own_binary() -> std::io::Result<PathBuf> {
    std::env::current_exe()
}
