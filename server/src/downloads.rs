//! Data other than pages: log lines for the terminal, the raw log, reports as Markdown, the board as JSON.

use app::ssr::{RequestContext, status_of};
use axum::Extension;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query};
use axum::response::{IntoResponse, Response};
use domain::log::LogLine;
use domain::visible::{Kind, visible};
use http::header;
use serde::{Deserialize, Serialize};
use tokio_util::io::ReaderStream;

/// Which lines of a log are requested.
#[derive(Debug, Deserialize)]
pub struct Range {
    from: Option<u64>,
    n: Option<usize>,
}

/// Lines of a log.
#[derive(Debug, Serialize)]
pub struct Lines {
    from: u64,
    total: u64,
    lines: Vec<LogLine>,
}

/// Most lines in one answer.
const MOST_LINES: usize = 1_000;

/// `GET /runs/{id}/lines?from=N&n=200`.
pub async fn lines(
    Path(id): Path<i64>,
    Query(range): Query<Range>,
    Extension(context): Extension<RequestContext>,
) -> Response {
    let from = range.from.unwrap_or(0);
    let n = range.n.unwrap_or(200).min(MOST_LINES);
    match context.engine.run_lines(id, from, n).await {
        Ok((total, lines)) => Json(Lines { from, total, lines }).into_response(),
        Err(error) => (status_of(error.kind()), error.public()).into_response(),
    }
}

/// `GET /runs/{id}/log`: the log as stored, with secrets masked, as a download.
pub async fn log(Path(id): Path<i64>, Extension(context): Extension<RequestContext>) -> Response {
    let path = match context.engine.run_log_path(id).await {
        Ok(path) => path,
        Err(error) => return (status_of(error.kind()), error.public()).into_response(),
    };
    match tokio::fs::File::open(&path).await {
        Ok(file) => {
            let name = format!("attachment; filename=\"run-{id}.log\"");
            let headers = [
                (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, name),
            ];
            (headers, Body::from_stream(ReaderStream::new(file))).into_response()
        }
        Err(_) => (http::StatusCode::NOT_FOUND, "This run has no log.\n").into_response(),
    }
}

/// `GET /board.json`: the board, for other tools.
pub async fn board(Extension(context): Extension<RequestContext>) -> Response {
    // It is valid for this moment only.
    ([(header::CACHE_CONTROL, "no-store")], Json(context.engine.board_json())).into_response()
}

/// `GET /ownership.md`: the runbook's own section, filled in.
pub async fn ownership(Extension(context): Extension<RequestContext>) -> Response {
    markdown("ownership-log.md", context.engine.ownership_markdown().await)
}

/// `GET /incidents/{id}/report.md`: an incident with its cause and follow-ups.
pub async fn incident(Path(id): Path<i64>, Extension(context): Extension<RequestContext>) -> Response {
    markdown(&format!("incident-{id}.md"), context.engine.incident_markdown(id).await)
}

fn markdown(name: &str, text: Result<String, engine::Error>) -> Response {
    match text {
        Ok(text) => {
            let headers = [
                (header::CONTENT_TYPE, "text/markdown; charset=utf-8".to_owned()),
                (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
            ];
            (headers, visible(&text, Kind::Prose).into_owned()).into_response()
        }
        Err(error) => (status_of(error.kind()), error.public()).into_response(),
    }
}

/// `GET /healthz`: reports that this process answers.
pub async fn healthz() -> &'static str {
    "ok\n"
}
