//! `stagegate monitoring`: writes the files with which Prometheus, Alertmanager and Grafana monitor the stack.

use std::process::ExitCode;

use monitoring::{Monitoring, Thresholds};
use runbook::Config;

use super::CommandResult;
use crate::cli::Monitoring as Args;
use crate::console;

/// Writes the files; refuses to overwrite one that differs unless `--force` is given.
pub fn run(args: &Args) -> CommandResult {
    let loaded = Config::load(&args.config)
        .map_err(|problems| problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let text = String::from_utf8_lossy(&std::fs::read(&loaded.config.runbook)?).into_owned();
    let files = Monitoring {
        job: args.job.clone(),
        target: args.target.clone(),
        scheme: args.scheme.clone(),
        path: args.metrics_path.clone(),
        token_file: args.token_file.clone(),
        alertmanager: args.alertmanager.clone(),
        histogram: args.histogram.clone(),
        status: args.status_label.clone(),
        receiver: args.receiver.clone(),
        thresholds: Thresholds::of_runbook(&text),
    }
    .files();
    let differing: Vec<&str> = files
        .iter()
        .filter(|(name, text)| std::fs::read_to_string(args.out.join(name)).is_ok_and(|there| there != *text))
        .map(|(name, _)| *name)
        .collect();
    if !differing.is_empty() && !args.force {
        let names = differing.join(", ");
        return Err(format!(
            "{} already contains different versions of {names}; nothing was written. Use --force to overwrite them.",
            args.out.display()
        )
        .into());
    }
    std::fs::create_dir_all(&args.out)?;
    for (name, text) in files {
        let path = args.out.join(name);
        let same = std::fs::read_to_string(&path).is_ok_and(|there| there == text);
        if !same {
            std::fs::write(&path, text)?;
        }
        let what = if same { "unchanged" } else { "written  " };
        console::line(format_args!("{what} {}", path.display()))?;
    }
    Ok(ExitCode::SUCCESS)
}
