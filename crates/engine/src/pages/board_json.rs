//! The judgement for other tools: `/board.json`. Fields are documented in docs/operating.md. New fields may be
//! added; existing ones never change.

use domain::evidence::Staleness;
use domain::gate::GateState;
use domain::item::{CheckState, ItemState, Proof, Standing, Status};
use domain::judge::BlockerKind;
use domain::preflight::Finding;
use domain::release::ReleaseState;
use domain::time::Millis;
use serde::Serialize;

use crate::Engine;
use crate::assessment::Assessment;
use store::runs::RunState;

/// The whole board at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct BoardJson {
    /// When it was judged, milliseconds since 1970 UTC.
    pub now: Millis,
    /// The stack's name.
    pub stack: String,
    /// Increases with every change. With the same number only ages of evidence may differ.
    pub revision: u64,
    /// The release that is judged.
    pub release: Option<ReleaseJson>,
    /// One sentence, if the checkout has changed since the release was opened.
    pub moved_on: Option<String>,
    /// Differences between the release and what runs or lies on disk.
    pub drift: Vec<String>,
    /// Go or No-Go.
    pub verdict: VerdictJson,
    /// The gates in order.
    pub gates: Vec<GateJson>,
    /// Checklist items outside any gate.
    pub loose_items: Vec<ItemJson>,
    /// Every declared check once, in the order declared.
    pub checks: Vec<CheckJson>,
    /// Rows of the verification matrix.
    pub matrix: Vec<RowJson>,
    /// Preflight findings, with file and line.
    pub findings: Vec<Finding>,
    /// Mistakes in the runbook or in stagegate.toml.
    pub problems: Vec<String>,
    /// Services of the stack.
    pub services: Vec<domain::observed::Service>,
    /// Numbers of the runs in progress.
    pub running: Vec<i64>,
}

/// A release in brief.
#[derive(Debug, Clone, Serialize)]
pub struct ReleaseJson {
    /// Its number.
    pub id: i64,
    /// Its name on pages.
    pub name: String,
    /// `opened`, `deployed`, `failed`, `rolled_back_from`.
    pub state: ReleaseState,
    /// Full commit, followed by `+dirty:…` when tracked files differed.
    pub commit: Option<String>,
    /// Fingerprint over all of its parts.
    pub fingerprint: String,
    /// Image ID of each service.
    pub images: std::collections::BTreeMap<String, String>,
}

/// The verdict.
#[derive(Debug, Clone, Serialize)]
pub struct VerdictJson {
    /// Whether it is Go.
    pub go: bool,
    /// `Go`, `Go with 1 waiver`, `No-Go`.
    pub label: String,
    /// Number of waived items.
    pub waivers: usize,
    /// The reasons for No-Go.
    pub blockers: Vec<BlockerJson>,
}

/// A reason for No-Go.
#[derive(Debug, Clone, Serialize)]
pub struct BlockerJson {
    /// What it is about: `"release"`, `{"gate": "A"}`, …
    pub kind: BlockerKind,
    /// One line.
    pub what: String,
    /// Details, one line each.
    pub details: Vec<String>,
    /// The owners, as the runbook names them.
    pub owners: Vec<String>,
}

/// A gate.
#[derive(Debug, Clone, Serialize)]
pub struct GateJson {
    /// Its letter.
    pub id: String,
    /// Its title.
    pub title: String,
    /// `open`, `ready`, `accepted`.
    pub state: GateState,
    /// Digest of the current state of its items; an acceptance contains it.
    pub digest: String,
    /// At least one item failed.
    pub red: bool,
    /// Who may accept it.
    pub owners: Vec<String>,
    /// The earlier gates that it waits for.
    pub waits_for: Vec<String>,
    /// Its items.
    pub items: Vec<ItemJson>,
}

/// A criterion, a checklist item or a blocking preflight finding.
#[derive(Debug, Clone, Serialize)]
pub struct ItemJson {
    /// `A.1`, `H.c2`, `C.p-3f2c9e1a`.
    pub id: String,
    /// Its text.
    pub text: String,
    /// Digest of the text; an attestation or a waiver contains it.
    pub digest: String,
    /// `proved`, `attested`, `waived`, `derived`, `open`.
    pub status: &'static str,
    /// It failed; an item that was not checked yet is not red.
    pub red: bool,
    /// Why it is open, one sentence for each missing part.
    pub why: Vec<String>,
    /// What satisfies it: `checks`, `parts`, `attestation`, `gates`, `sign_offs`, `preflight` (only once the finding
    /// is gone).
    pub proof: &'static str,
    /// An attestation is required in addition to its checks.
    pub needs_word: bool,
    /// The ids of its checks.
    pub checks: Vec<String>,
}

/// The state of a check for the release.
#[derive(Debug, Clone, Serialize)]
pub struct CheckJson {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// The items that it proves.
    pub proves: Vec<String>,
    /// `pass`, `fail`, `inconclusive`, `stale`, `missing`.
    pub standing: Standing,
    /// Why the last evidence no longer counts.
    pub stale: Vec<String>,
    /// The last actual result; empty before the first run.
    pub saw: String,
    /// The expected result.
    pub wanted: String,
    /// The next thing to do.
    pub next: String,
    /// The measured value, in the unit of the threshold.
    pub value: Option<f64>,
    /// The declared threshold, `>= 65 %`.
    pub want: Option<String>,
    /// Number of the run that produced this result.
    pub run: Option<i64>,
    /// When that run ended.
    pub at: Option<Millis>,
    /// A run of only this check is in progress.
    pub running: bool,
}

/// A row of the verification matrix.
#[derive(Debug, Clone, Serialize)]
pub struct RowJson {
    /// `M.1`.
    pub id: String,
    /// Its first column.
    pub category: String,
    /// All of its checks have passed.
    pub holds: bool,
    /// The ids of its checks.
    pub checks: Vec<String>,
}

impl Engine {
    /// The board as data. Contains nothing that the pages do not show to every signed-in user.
    pub fn board_json(&self) -> BoardJson {
        let assessment = self.assessment();
        let judgement = &assessment.judgement;
        let checks = checks(&assessment);
        let verdict = VerdictJson {
            go: judgement.verdict.is_go(),
            label: judgement.verdict.label(),
            waivers: judgement.verdict.waivers,
            blockers: judgement
                .verdict
                .blockers
                .iter()
                .map(|b| BlockerJson {
                    kind: b.kind.clone(),
                    what: b.what.clone(),
                    details: b.details.clone(),
                    owners: b.owners.clone(),
                })
                .collect(),
        };
        let release = assessment.release().map(|r| ReleaseJson {
            id: r.id,
            name: r.name(),
            state: r.state,
            commit: r.parts.get(domain::release::ReleaseComponent::Commit),
            fingerprint: r.parts.fingerprint(),
            images: r.parts.images.clone(),
        });
        let gates = judgement
            .gates
            .iter()
            .map(|g| GateJson {
                id: g.id.clone(),
                title: g.title.clone(),
                state: g.state,
                digest: g.digest.clone(),
                red: g.is_red(),
                owners: g.owners.iter().map(|r| r.label().to_owned()).collect(),
                waits_for: g.waits_for.clone(),
                items: g.items.iter().map(item).collect(),
            })
            .collect();
        let matrix = assessment.stack.runbook.matrix.iter().map(|row| {
            let mine: Vec<&CheckJson> = checks.iter().filter(|c| c.proves.contains(&row.id)).collect();
            RowJson {
                id: row.id.clone(),
                category: row.category.clone(),
                holds: !mine.is_empty() && mine.iter().all(|c| c.standing == Standing::Pass),
                checks: mine.iter().map(|c| c.id.clone()).collect(),
            }
        });
        BoardJson {
            now: assessment.now,
            stack: assessment.stack.name.clone(),
            revision: *self.revisions().borrow(),
            release,
            moved_on: assessment.moved_on(),
            drift: judgement.drift.iter().map(|d| d.what.clone()).collect(),
            verdict,
            gates,
            loose_items: judgement.loose_items.iter().map(item).collect(),
            matrix: matrix.collect(),
            findings: assessment.stack.preflight.findings.clone(),
            problems: assessment.stack.problems.iter().map(|p| p.message.clone()).collect(),
            services: assessment.observed.services.clone(),
            running: assessment.snapshot.running().iter().map(|r| r.id).collect(),
            checks,
        }
    }
}

fn item(state: &ItemState) -> ItemJson {
    let (status, why) = match &state.status {
        Status::Proved => ("proved", vec![]),
        Status::Attested => ("attested", vec![]),
        Status::Waived => ("waived", vec![]),
        Status::Derived => ("derived", vec![]),
        Status::Open(why) => ("open", why.clone()),
    };
    let proof = match &state.item.proof {
        Proof::Checks(_) => "checks",
        Proof::Pieces(_) => "parts",
        Proof::Attestation => "attestation",
        Proof::GatesAccepted => "gates",
        Proof::SignOffs => "sign_offs",
        Proof::Preflight { .. } => "preflight",
    };
    ItemJson {
        id: state.item.id.clone(),
        text: state.item.text.clone(),
        digest: state.item.digest.clone(),
        status,
        red: state.is_red(),
        why,
        proof,
        needs_word: state.item.needs_word,
        checks: state.checks.iter().map(|c| c.check.clone()).collect(),
    }
}

fn checks(assessment: &Assessment) -> Vec<CheckJson> {
    let facts = assessment.facts();
    let running = assessment.snapshot.running();
    let one = |check: &domain::check::Check| {
        let CheckState { standing, last, stale, .. } = domain::item::check_state(check, &facts);
        let finding = last.as_ref().map(|e| &e.finding);
        let words =
            |of: fn(&domain::evidence::Finding) -> &String| finding.map(of).cloned().unwrap_or_default();
        CheckJson {
            id: check.id.clone(),
            title: check.title.clone(),
            proves: check.proves.clone(),
            standing,
            stale: stale.iter().map(Staleness::reason).collect(),
            saw: words(|f| &f.saw),
            wanted: words(|f| &f.wanted),
            next: words(|f| &f.next),
            value: finding.and_then(|f| f.value),
            want: check.want.as_ref().map(ToString::to_string),
            run: last.as_ref().map(|e| e.run),
            at: last.as_ref().map(|e| e.at),
            running: running.iter().any(|r| {
                r.state == RunState::Running && r.kind == store::runs::RunKind::Check && r.subject == check.id
            }),
        }
    };
    assessment.stack.checks.iter().map(one).collect()
}
