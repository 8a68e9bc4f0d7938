//! A supervisor for the tests of deploy and rollback: `supervise_compose supervise <run-dir>` executes the
//! plan's `{"deploy": …}`, `{"rollback": …}` or `{"command": …}`.

use orchestrator::{DeployWork, RollbackWork};
use runner::{Cmd, Exit, Outcome, Session, supervise};
use serde_json::Value;

async fn work(session: &Session) -> Outcome {
    let plan = &session.plan().work;
    let read = |name: &str| plan.get(name).cloned();
    let bad = |error: serde_json::Error| Outcome::new(Exit::NotStarted(error.to_string()));
    if let Some(work) = read("deploy") {
        return match serde_json::from_value(work) {
            Ok::<DeployWork, _>(work) => work.execute(session, &[]).await,
            Err(error) => bad(error),
        };
    }
    if let Some(Value::String(command)) = read("command") {
        return Outcome::new(session.exec(Cmd::bash(&command)).await);
    }
    match serde_json::from_value(read("rollback").unwrap_or_default()) {
        Ok::<RollbackWork, _>(work) => work.execute(session).await,
        Err(error) => bad(error),
    }
}

fn main() {
    let args: Vec<_> = std::env::args().collect();
    let [_, verb, dir] = args.as_slice() else { std::process::exit(64) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().worker_threads(2).build();
    let Ok(runtime) = runtime else { std::process::exit(70) };
    if verb != "supervise" {
        std::process::exit(64);
    }
    if let Err(error) = runtime.block_on(supervise(std::path::Path::new(dir), work)) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}
