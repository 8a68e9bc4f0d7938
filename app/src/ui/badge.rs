//! States as badges with an icon and a word. The colour never carries the meaning alone.

use domain::gate::{GateState, GateView};
use domain::item::{ItemState, Standing, Status};
use domain::observed::Health;
use domain::release::ReleaseState;
use engine::view::RunState;
use leptos::prelude::*;

use super::{Icon, icon};

/// A badge of the class `badge--<slug>` with an icon and a word.
pub fn badge(slug: &str, shape: Icon, word: &str) -> AnyView {
    view! { <span class=format!("badge badge--{slug}")>{icon(shape)}{word.to_owned()}</span> }.into_any()
}

/// The state of a gate.
pub fn gate_badge(gate: &GateView) -> AnyView {
    match gate.state {
        GateState::Accepted if gate.is_decision => badge("accepted", Icon::Check, "Go"),
        GateState::Accepted => badge("accepted", Icon::Check, "Accepted"),
        GateState::Ready => badge("ready", Icon::Dot, "Ready"),
        GateState::Open if gate.is_red() => badge("fail", Icon::Cross, "Failing"),
        GateState::Open if gate.fell_back => badge("stale", Icon::Back, "Withdrawn"),
        GateState::Open => badge("open", Icon::Circle, "Open"),
    }
}

/// The state of a criterion or checklist item.
pub fn item_badge(item: &ItemState) -> AnyView {
    match &item.status {
        Status::Proved => badge("proved", Icon::Check, "Proved"),
        Status::Attested => badge("attested", Icon::Person, "Attested"),
        Status::Waived => badge("waived", Icon::Flag, "Waived"),
        Status::Derived => badge("derived", Icon::Check, "Met"),
        Status::Open(_) if item.is_red() => badge("fail", Icon::Cross, "Failing"),
        Status::Open(_) if item.checks.iter().any(|c| c.standing == Standing::Stale) => {
            badge("stale", Icon::Clock, "Stale")
        }
        Status::Open(_) => badge("open", Icon::Circle, "Open"),
    }
}

/// The state of a check.
pub fn standing_badge(standing: Standing) -> AnyView {
    match standing {
        Standing::Missing => badge("missing", Icon::Circle, "Not run"),
        Standing::Stale => badge("stale", Icon::Clock, "Stale"),
        Standing::Pass => badge("pass", Icon::Check, "Passed"),
        Standing::Fail => badge("fail", Icon::Cross, "Failed"),
        Standing::Inconclusive => badge("inconclusive", Icon::Warning, "Inconclusive"),
    }
}

/// The state of a run.
pub fn run_badge(state: RunState) -> AnyView {
    let (shape, word) = match state {
        RunState::Running => (Icon::Spinner, "Running"),
        RunState::Passed => (Icon::Check, "Passed"),
        RunState::Failed => (Icon::Cross, "Failed"),
        RunState::Inconclusive => (Icon::Warning, "Inconclusive"),
        RunState::Cancelled => (Icon::Stop, "Cancelled"),
        RunState::Interrupted => (Icon::Warning, "Interrupted"),
    };
    badge(state.slug(), shape, word)
}

/// The state of a service.
pub fn health_badge(health: Health) -> AnyView {
    match health {
        Health::Healthy | Health::Done => badge(health.label(), Icon::Check, health.label()),
        Health::Running => badge("pass", Icon::Dot, "running"),
        Health::Starting => badge("starting", Icon::Spinner, "starting"),
        Health::Unhealthy | Health::Restarting | Health::Exited => {
            badge(health.label(), Icon::Cross, health.label())
        }
        Health::Missing => badge("missing", Icon::Circle, "missing"),
    }
}

/// The state of a release.
pub fn release_badge(state: ReleaseState) -> AnyView {
    match state {
        ReleaseState::Opened => badge("open", Icon::Circle, "Opened"),
        ReleaseState::Deployed => badge("passed", Icon::Check, "Deployed"),
        ReleaseState::Failed => badge("failed", Icon::Cross, "Deploy failed"),
        ReleaseState::RolledBackFrom => badge("cancelled", Icon::Back, "Rolled back"),
    }
}
