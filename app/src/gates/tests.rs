//! A gate's page as HTML.

use domain::gate::GateState;
use engine::view::Permission;

use super::gate_view;
use crate::ui::samples::{gate, here, html};
use crate::ui::snapshot::assert_page;

fn page(gate: &engine::view::GatePage) -> String {
    html(|| gate_view(&here("/gates/A"), gate))
}

#[test]
fn a_failing_criterion_shows_evidence_owner_and_button() {
    assert_page("gate", &page(&gate()));
}

#[test]
fn a_gate_that_cannot_be_accepted_lists_what_is_missing() {
    let out = page(&gate());
    assert!(out.contains("2 criteria are open") && out.contains("href=\"#A.2\""), "{out}");
    assert!(!out.contains("action=\"/api/accept_gate\""), "{out}");
}

#[test]
fn a_ready_gate_can_be_accepted_with_a_note() {
    let mut ready = gate();
    ready.accept = Permission::Allowed;
    ready.gate.state = GateState::Ready;
    let digest = ready.gate.digest.clone();
    let out = page(&ready);
    assert!(out.contains("action=\"/api/accept_gate\""), "{out}");
    assert!(out.contains(&format!("name=\"digest\" value=\"{digest}\"")), "{out}");
    assert!(out.contains("name=\"note\""), "{out}");
}

#[test]
fn only_a_criterion_without_a_check_can_be_attested() {
    let out = page(&gate());
    assert!(out.contains("value=\"attest:A.2\"") && !out.contains("value=\"attest:A.1\""), "{out}");
}

#[test]
fn a_denied_step_shows_its_command_and_the_reason() {
    let out = page(&gate());
    assert!(out.contains("npm ci &amp;&amp; echo"), "{out}");
    assert!(out.contains("Only DevOps can do this."), "{out}");
    assert!(!out.contains("<script>") && !out.contains("<done>"), "{out}");
}

#[test]
fn a_preflight_finding_shows_its_place_and_its_fix() {
    use domain::item::{Item, ItemState, Proof, Status};
    use domain::preflight::{Finding, Weight};
    let mut page = crate::ui::samples::gate();
    page.gate.items.insert(
        0,
        ItemState {
            item: Item {
                id: "A.p-12345678".into(),
                gate: Some("A".into()),
                text: "`web` copies <gone>".into(),
                digest: "d".into(),
                first: None,
                proof: Proof::Preflight { place: "Dockerfile:4".into(), hint: "Add the file.".into() },
                needs_word: false,
                line: 0,
            },
            status: Status::Open(vec!["Dockerfile:4: Add the file.".into()]),
            checks: vec![],
            old_word: None,
            pieces: vec![],
            attestation: None,
            waiver: None,
        },
    );
    page.notes.push(Finding {
        gate: Some("A".into()),
        weight: Weight::Note,
        kind: "health-check-missing".into(),
        file: "docker-compose.yml".into(),
        line: 9,
        message: "nothing checks web".into(),
        hint: "Add one.".into(),
        about: vec![],
    });
    let out = html(|| gate_view(&here("/gates/A"), &page));
    for part in ["copies &lt;gone&gt;", "Dockerfile:4", "Add the file.", "docker-compose.yml:9", "Notes"] {
        assert!(out.contains(part), "{part} in {out}");
    }
    assert!(out.contains("card--red"), "{out}");
}
