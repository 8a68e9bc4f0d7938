//! A supervisor for the runner's tests: `supervise_command supervise <run-dir>` runs the plan's
//! `{"argv": […]}`, or each of `{"each": [[…], …]}` in parallel.

use runner::{Cmd, Exit, Outcome, Session, supervise};

fn argv(value: &serde_json::Value) -> Vec<String> {
    let words = value.as_array().into_iter().flatten();
    words.filter_map(|word| word.as_str().map(str::to_owned)).collect()
}

async fn work(session: &Session) -> Outcome {
    let plan = &session.plan().work;
    session.progress(serde_json::json!({"step": "began"}));
    if let Some(each) = plan.get("each").and_then(|each| each.as_array()) {
        let tasks: Vec<_> = each
            .iter()
            .map(|one| {
                let (session, cmd) = (session.clone(), Cmd::new(argv(one)));
                tokio::spawn(async move { session.exec(cmd).await })
            })
            .collect();
        let mut exits = Vec::new();
        for task in tasks {
            exits.push(task.await.ok());
        }
        return Outcome { exit: Exit::Code(0), result: serde_json::json!({ "exits": exits }) };
    }
    if let Some(one) = plan.get("capture") {
        let (exit, bytes) = session.capture(Cmd::new(argv(one)), 1_000).await;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        return Outcome { exit, result: serde_json::json!({ "len": bytes.len(), "text": text }) };
    }
    let mut cmd = Cmd::new(plan.get("argv").map(argv).unwrap_or_default());
    cmd.timeout = plan.get("timeout_ms").and_then(|ms| ms.as_u64()).map(std::time::Duration::from_millis);
    let exit = session.exec(cmd).await;
    if let Some(after) = plan.get("after") {
        let mut cmd = Cmd::new(argv(after));
        cmd.shielded = true;
        cmd.timeout = Some(std::time::Duration::from_secs(5));
        session.exec(cmd).await;
    }
    Outcome { exit, result: serde_json::json!({"done": true}) }
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
