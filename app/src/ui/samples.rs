//! Sample views for tests. The judgement is computed by the real rules from a small set of facts.

use std::collections::BTreeMap;

use domain::check::{Check, CheckSpec};
use domain::evidence::{Evidence, Finding, Outcome};
use domain::facts::Facts;
use domain::flaky::{flaky, trend};
use domain::item::check_state;
use domain::judge::{Blocker, BlockerKind, Judgement, judge};
use domain::observed::{Health, Observed, Service};
use domain::release::{Release, ReleaseComponent, ReleaseComponents, ReleaseState};
use domain::role::Role;
use domain::runbook::{ChecklistItem, Criterion, Gate, MatrixRow, Runbook, SignoffRole, Step, StepKind};
use domain::time::Millis;
use engine::view::{
    BlockerView, BoardView, CheckView, EnvSince, GatePage, MatrixPage, MatrixRowView, Permission,
    RestartOffer, RollbackOffer, RunKind, RunState, RunView, Shown, SignOffPage, StepView, Waiting,
};
use leptos::prelude::*;

use super::Here;

/// 2026-03-01 09:30 UTC.
pub const NOW: Millis = Millis(1_772_357_400_000);

/// Renders a view to HTML.
pub fn html(view: impl FnOnce() -> AnyView) -> String {
    let owner = Owner::new();
    owner.with(|| {
        leptos_meta::provide_meta_context();
        view().to_html()
    })
}

pub fn here(path: &str) -> Here {
    Here { path: path.to_owned(), flash: None }
}

pub fn parts() -> ReleaseComponents {
    ReleaseComponents {
        values: BTreeMap::from([(ReleaseComponent::Commit, "3f2c9e1aa00".to_owned())]),
        images: BTreeMap::from([("backend".to_owned(), "sha256:11".to_owned())]),
    }
}

pub fn release() -> Release {
    Release {
        id: 3,
        parts: parts(),
        subject: "Faster search".into(),
        opened_by: 1,
        opened_at: NOW,
        deployed_by: Some(1),
        deployed_at: Some(NOW),
        state: ReleaseState::Deployed,
        migrations: None,
        rollback_point_at: None,
    }
}

pub fn runbook() -> Runbook {
    let criterion = |id: &str, text: &str| Criterion {
        id: id.into(),
        gate: "A".into(),
        text: text.into(),
        digest: format!("digest of {id}"),
        line: 1,
    };
    let gate = |id: &str, phase, title: &str| Gate { id: id.into(), phase, title: title.into(), line: 1 };
    Runbook {
        title: "Sample".into(),
        gates: vec![gate("A", 1, "Baseline"), gate("H", 2, "Decision")],
        criteria: vec![
            criterion("A.1", "`npm test` is green <script>alert(1)</script>"),
            criterion("A.2", "A person checked it"),
        ],
        checklist: vec![ChecklistItem {
            id: "H.c1".into(),
            text: "Stakeholder sign-offs: QA / Security".into(),
            digest: "d".into(),
            line: 9,
            checked: false,
        }],
        signoff_roles: ["QA", "Security"].map(|role| SignoffRole { role: role.into(), line: 9 }).to_vec(),
        matrix: vec![MatrixRow {
            id: "M.1".into(),
            category: "Unit".into(),
            method: "`npm test`".into(),
            commands: vec!["npm test".into()],
            owners: vec!["Devs".into(), "QA".into()],
            acceptance: "≥ 65 %".into(),
            digest: "d".into(),
            line: 20,
        }],
        ..Runbook::default()
    }
}

pub fn check() -> Check {
    Check {
        id: "coverage".into(),
        title: "Unit tests".into(),
        proves: vec!["A.1".into(), "M.1".into()],
        spec: CheckSpec::Command {
            step: Some("A.s1".into()),
            run: None,
            cwd: None,
            value: None,
            inconclusive_exit: vec![],
            twice: None,
        },
        want: ">= 65 %".parse().ok(),
        timeout_ms: 1_000,
        retries: 0,
        valid_for_ms: None,
        binds: vec![ReleaseComponent::Commit],
        images: vec![],
        schedule: Default::default(),
    }
}

pub fn evidence(outcome: Outcome, value: f64) -> Evidence {
    Evidence {
        id: 1,
        check: "coverage".into(),
        finding: Finding {
            outcome,
            value: Some(value),
            saw: format!("{value} % of lines <b>bold</b>"),
            wanted: "at least 65 %".into(),
            next: "Add tests where the report is red".into(),
        },
        threshold_digest: check().threshold_digest(),
        parts: parts(),
        release: 3,
        run: 42,
        by: 1,
        at: NOW,
    }
}

pub fn observed() -> Observed {
    let service = |name: &str, health| Service {
        name: name.into(),
        health,
        image: "sha256:11".into(),
        tag: String::new(),
        restarts: 0,
        started_at: Some(NOW),
        ports: vec![],
        container: String::new(),
    };
    Observed {
        services: vec![service("backend", Health::Healthy), service("postgres", Health::Unhealthy)],
        parts: parts(),
        ..Observed::default()
    }
}

/// The judgement of the sample runbook with this evidence.
pub fn judgement(evidence: &[Evidence], release: Option<&Release>, observed: &Observed) -> Judgement {
    let (runbook, checks) = (runbook(), [check()]);
    let owners = BTreeMap::from([("A".to_owned(), vec![Role::Backend, Role::Qa])]);
    judge(&facts(&runbook, &checks, &owners, evidence, release, observed))
}

fn facts<'a>(
    runbook: &'a Runbook,
    checks: &'a [Check],
    gate_owners: &'a BTreeMap<String, Vec<Role>>,
    evidence: &'a [Evidence],
    release: Option<&'a Release>,
    observed: &'a Observed,
) -> Facts<'a> {
    Facts {
        now: NOW,
        runbook,
        checks,
        attest: &[],
        findings: &[],
        rules: domain::rules::Rules::NONE,
        gate_owners,
        release,
        evidence,
        failures: &[],
        attestations: &[],
        waivers: &[],
        acceptances: &[],
        sign_offs: &[],
        decisions: &[],
        observed,
        changes: &[],
        integrity: &[],
    }
}

pub fn run(id: i64, state: RunState) -> RunView {
    RunView {
        id,
        kind: RunKind::Step,
        subject: "A.s1".into(),
        title: "npm ci".into(),
        release: Some(3),
        by_name: "Ada".into(),
        started_at: NOW,
        ended_at: (state != RunState::Running).then_some(NOW.plus(4_000)),
        state,
        summary: "exit 1".into(),
        expected_ms: Some(8_000),
        services: vec![],
    }
}

pub fn step(run: Permission) -> StepView {
    StepView {
        step: Step {
            id: "A.s1".into(),
            gate: Some("A".into()),
            section: "Baseline".into(),
            title: "Install".into(),
            command: "npm ci && echo \"<done>\"".into(),
            note: String::new(),
            vars: vec![],
            kind: StepKind::Normal,
            manual: false,
            digest: "step digest".into(),
            line: 4,
        },
        last: None,
        last_is_old: false,
        run,
        judged_by: vec!["coverage".into()],
    }
}

pub fn rollback() -> RollbackOffer {
    RollbackOffer {
        target: Release { id: 2, rollback_point_at: Some(NOW), ..release() },
        good_since: NOW,
        services: vec!["backend".into()],
        migrations: Some(vec!["20260301_add_index".into()]),
        missing_images: vec![],
        bytes: 412_000_000,
        can_roll_back_database: true,
        can_make_database_anew: false,
        env: EnvSince::Same,
        stack: "Sample".into(),
        digest: "d0".into(),
        offer: Permission::Allowed,
    }
}

pub fn restart() -> RestartOffer {
    RestartOffer {
        target: Some(release()),
        stack: "Sample".into(),
        backup: false,
        fill: false,
        digest: "d1".into(),
        offer: Permission::Allowed,
    }
}

/// The values that forms about the checkout send back.
pub fn directory() -> Shown {
    Shown { commit: "3f2c9e1aaaabbbb".into(), digest: "d2".into() }
}

/// A board whose check failed and whose database is not healthy.
pub fn board() -> BoardView {
    let (release, observed) = (release(), observed());
    let evidence = [evidence(Outcome::Fail, 50.0)];
    let mut board = BoardView {
        now: NOW,
        stack: "Sample".into(),
        judgement: judgement(&evidence, Some(&release), &observed),
        release: Some(release),
        deployed_by: Some("Ada".into()),
        observed,
        running: vec![],
        recent: vec![run(7, RunState::Failed)],
        todos: vec![],
        blockers: vec![],
        waivers: vec![],
        end_waiver: Permission::Allowed,
        waiting: vec![Waiting {
            role: "QA".into(),
            people: vec!["Grace".into()],
            what: "sign".into(),
            href: "/sign-offs".into(),
            you: true,
        }],
        moved_on: None,
        problems: vec![],
        next_step: Some(step(Permission::Allowed)),
        deploy: Permission::Allowed,
        backup: false,
        shown: directory(),
        open: Permission::Allowed,
        expiring: vec![],
        rollback: Some(rollback()),
        unexplained: None,
        follow_ups: vec![],
        audit_head: None,
        failed_deploy: None,
    };
    board.blockers = blockers(&board.judgement.verdict.blockers);
    board
}

/// Blockers as the engine returns them; the signed-in person can act on none of them.
pub fn blockers(blockers: &[Blocker]) -> Vec<BlockerView> {
    let href = |b: &Blocker| match &b.kind {
        BlockerKind::Gate(id) => format!("/gates/{id}"),
        BlockerKind::Stack => "/#services".to_owned(),
        _ => "/sign-offs".to_owned(),
    };
    let one = |b: &Blocker| BlockerView {
        owners: b.owners.iter().map(|o| (o.clone(), vec!["Grace".to_owned()])).collect(),
        href: href(b),
        act: None,
        blocker: b.clone(),
    };
    blockers.iter().map(one).collect()
}

pub fn check_view(evidence: &[Evidence]) -> CheckView {
    let (runbook, checks, owners) = (runbook(), [check()], BTreeMap::new());
    let (release, observed) = (release(), observed());
    let facts = facts(&runbook, &checks, &owners, evidence, Some(&release), &observed);
    CheckView {
        state: check_state(&checks[0], &facts),
        check: check(),
        history: evidence.iter().rev().cloned().collect(),
        flaky: flaky(&checks[0], evidence.iter()),
        trend: trend(&checks[0].id, evidence.iter()),
        expires: None,
        running: None,
        run: Permission::Allowed,
        digest: "d3".into(),
    }
}

/// The page of gate A with a failing check and an open attestation.
pub fn gate() -> GatePage {
    let evidence = [evidence(Outcome::Fail, 50.0)];
    let judgement = judgement(&evidence, Some(&release()), &observed());
    GatePage {
        now: NOW,
        gate: judgement.gates[0].clone(),
        steps: vec![step(Permission::Denied("Only DevOps can do this.".into()))],
        checks: vec![check_view(&evidence)],
        release: Some(release()),
        accept: Permission::Denied("2 criteria are open.".into()),
        attest: Permission::Allowed,
        waive: Permission::Denied("Only Security or PO can do this.".into()),
        not_waivable: vec![],
        waive_until: "2027-03-02".into(),
        attested_for: BTreeMap::new(),
        run_all: Permission::Allowed,
        run_all_digest: "d4".into(),
        notes: vec![],
        neighbours: (None, Some("H".into())),
    }
}

pub fn matrix() -> MatrixPage {
    let row = runbook().matrix[0].clone();
    let evidence = [evidence(Outcome::Inconclusive, 0.0)];
    MatrixPage {
        rows: vec![
            MatrixRowView { row: row.clone(), checks: vec![check_view(&evidence)] },
            MatrixRowView { row: MatrixRow { id: "M.2".into(), ..row }, checks: vec![] },
        ],
        release: Some(release()),
        run_all: Permission::Allowed,
        run_all_digest: "d4".into(),
    }
}

/// The sign-off page of a person with the role QA: No-Go is possible, Go is not possible yet.
pub fn sign_offs() -> SignOffPage {
    let judgement = judgement(&[], Some(&release()), &observed());
    let no = |why: &str| Permission::Denied(why.to_owned());
    SignOffPage {
        now: NOW,
        checklist: judgement.gates[1].items.clone(),
        parts: BTreeMap::new(),
        before: blockers(&judgement.before_signing),
        judgement,
        release: Some(release()),
        go: vec![
            (Role::Qa, no("Gate A is not accepted.")),
            (Role::Security, no("Only Security can do this.")),
        ],
        no_go: vec![(Role::Qa, Permission::Allowed), (Role::Security, no("Only Security can do this."))],
        decide_go: no("Only PO can do this."),
        decide_no_go: no("Only PO can do this."),
        attest: no("Only the owners of the gate can do this."),
        earlier: vec![],
    }
}
