//! The stack as the orchestrator describes it, and what a check says when there is no description.

use std::collections::BTreeMap;

use super::probe::Probe;
use orchestrator::{LogLines, OrchestratorError, Rendered};

/// Why the declared configuration is unknown.
pub(super) enum RenderFault {
    /// It is not valid. The run's log has the reason.
    Rejected,
    /// It could not be read: why.
    Unavailable(String),
}

/// The declared configuration.
pub(super) async fn render(probe: &Probe<'_>) -> Result<Rendered, RenderFault> {
    probe.work.stack.render_in(probe.session).await.map_err(|error| match error {
        OrchestratorError::DefinitionInvalid { .. } => RenderFault::Rejected,
        OrchestratorError::EnvFileMissing { .. } => {
            probe.say(&format!("{error}."));
            RenderFault::Rejected
        }
        // Compose was not asked, and may accept the file.
        OrchestratorError::EnvFileInvalid { .. } => RenderFault::Unavailable(error.to_string()),
        error => RenderFault::Unavailable(tool_fault(&error)),
    })
}

/// The last `n` log lines of each service, from the engine's own log driver.
pub(super) async fn log_lines(
    probe: &Probe<'_>,
    services: &[String],
    n: usize,
) -> Result<BTreeMap<String, LogLines>, String> {
    let rendered = render(probe).await.map_err(|fault| match fault {
        RenderFault::Rejected => "the name of the Compose project is unknown".to_owned(),
        RenderFault::Unavailable(why) => why,
    })?;
    probe.work.stack.log_lines(&rendered, services, n).await.map_err(|error| engine_fault(&error))
}

pub(super) fn engine_fault(error: &OrchestratorError) -> String {
    format!("the Docker engine did not respond ({error})")
}

pub(super) fn tool_fault(error: &OrchestratorError) -> String {
    format!("docker compose failed ({error})")
}
