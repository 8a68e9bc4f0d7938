//! Data stored by earlier versions still counts after an upgrade.

use domain::digest::digest_fields;
use domain::facts::ShownRow;

use super::*;

/// Digests stored with acceptances, sign-offs and decisions. If a value changes, sign-offs become invalid.
#[test]
fn the_digests_that_people_sign_do_not_change() {
    let w = World::signed();
    let judged = w.judge();
    assert!(judged.verdict.is_go());
    let gate = |id: &str| judged.gate(id).unwrap().digest.clone();
    assert_eq!(gate("A"), "db74fbf108754c45d951b58a44fc0e038851a49bf566734da493c6d3004001fd");
    assert_eq!(gate("B"), "0640d1db13953f34e68e8f8629d8c4cce6e65247e2cb9bd13a36d2b79d0219ee");
    assert_eq!(judged.digest, "e554cc480a5f3ac248f52820aa986063d711e657af705d394682f983324745f3");
    assert_eq!(judged.verdict_digest, "510d4baac7449d259933d36bb27f9c656be21e3d1e815ebb7302c7a60de62cef");
}

#[test]
fn an_upgrade_invalidates_no_sign_off_acceptance_or_decision() {
    let mut w = World::ready_to_sign();
    // Evidence of a version whose digests contained the names of Rust types.
    for found in &mut w.evidence {
        let declared = w.checks.iter().find(|c| c.id == found.check).unwrap();
        found.threshold_digest = digest_fields([declared.id.as_str(), &format!("{:?}", declared.spec), ""]);
    }
    assert_eq!(w.judge().gate("B").unwrap().state, GateState::Accepted);
    for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
        w.signs(role, by, Choice::Go);
    }
    let judged = w.judge();
    assert!(judged.verdict.is_go(), "{:?}", judged.verdict.blockers);
    assert_eq!(
        judged.digest,
        World::signed().judge().digest,
        "the format of the digest must not affect the signer"
    );
    // A changed declaration makes it stale as before.
    w.checks[0].want = Some("== 0".parse().unwrap());
    assert!(!w.judge().verdict.is_go());
}

/// The rows of versions that identified a preflight finding by its message.
fn in_first_form(rows: &[ShownRow], id: &str, digest: &str) -> Vec<ShownRow> {
    let renamed = |row: &ShownRow| match row.item.starts_with("B.p-") {
        true => ShownRow { item: id.to_owned(), text_digest: digest.to_owned(), ..row.clone() },
        false => row.clone(),
    };
    rows.iter().map(renamed).collect()
}

fn digest_of(head: &str, rows: &[ShownRow]) -> String {
    let fields = rows
        .iter()
        .flat_map(|r| [r.item.clone(), r.text_digest.clone(), r.state.clone(), r.failures.to_string()]);
    digest_fields(std::iter::once(head.to_owned()).chain(fields))
}

#[test]
fn waivers_of_a_finding_by_its_message_count_after_an_upgrade() {
    use domain::preflight::{Finding, Weight};
    let finding = Finding {
        gate: Some("B".into()),
        weight: Weight::Breaks,
        kind: "script-missing".into(),
        file: "runbook.md".into(),
        line: 7,
        message: "step B.s1 runs npm run x, but package.json has no such script".into(),
        hint: "Add the script.".into(),
        about: vec!["step:B.s1".into(), "npm run".into(), "x".into()],
    };
    let first = digest_fields(["preflight", "B", &finding.kind, &finding.file, &finding.message]);
    let id = format!("B.p-{}", &first[..8]);
    let mut w = World::new();
    w.findings = vec![finding];
    w.finds("unit", Outcome::Pass);
    w.finds("scan", Outcome::Pass);
    w.attests("A.2", true);
    w.attests("H.c2", true);
    assert!(w.accepts("A"));
    assert!(w.judge().gate("B").unwrap().is_red());
    // A waiver, the acceptance of its gate, three sign-offs and a decision, all in the first format.
    w.waivers.push(Waiver {
        id: 1,
        item: id.clone(),
        text_digest: first.clone(),
        by: 9,
        by_name: "Sec".into(),
        reason: "known".into(),
        at: w.now,
        until: w.now.plus(DAY),
        holds: true,
    });
    assert!(w.accepts("B"));
    let rows: Vec<ShownRow> = w.judge().gate("B").unwrap().items.iter().map(|i| i.shown()).collect();
    w.acceptances.last_mut().unwrap().digest =
        digest_of("gate B Some(1)", &in_first_form(&rows, &id, &first));
    assert_eq!(w.judge().gate("B").unwrap().state, GateState::Accepted);
    for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
        w.signs(role, by, Choice::Go);
    }
    let fingerprint = w.release.as_ref().unwrap().parts.fingerprint();
    let shown = in_first_form(&w.judge().shown, &id, &first);
    let digest = digest_of(&fingerprint, &shown);
    for signed in &mut w.sign_offs {
        (signed.digest, signed.shown) = (digest.clone(), shown.clone());
    }
    let judged = w.judge();
    assert!(judged.verdict.is_go(), "{:?}", judged.verdict.blockers);
    let changes: Vec<_> = judged.sign_offs.iter().flat_map(|s| s.changes.clone()).collect();
    assert!(changes.is_empty(), "nothing has changed: {changes:?}");
    let signed = w.sign_offs.iter().zip(["Backend", "QA", "PO"]);
    let signed = signed.flat_map(|(s, name)| [name.to_owned(), format!("{} {} go", s.id, s.by)]);
    let head = ["verdict".to_owned(), digest.clone(), "Go with 1 waiver".to_owned()];
    let verdict = digest_fields(head.into_iter().chain(signed));
    w.decisions.push(Decision {
        id: 1,
        release: 1,
        choice: Choice::Go,
        note: "ship".into(),
        digest,
        verdict,
        shown,
        by: 3,
        by_name: "PO".into(),
        at: w.now,
    });
    assert!(w.judge().decision.is_some(), "{:?}", w.judge().fallen);
    // A new text for the same problem invalidates only what was stored in the first format.
    w.findings[0].message = "B.s1 uses a script that does not exist".into();
    assert!(w.judge().decision.is_none() && w.judge().gate("B").unwrap().is_red());
}

#[test]
fn a_new_text_of_a_finding_invalidates_nothing() {
    let mut w = World::new();
    w.findings = vec![domain::preflight::Finding {
        gate: Some("B".into()),
        weight: domain::preflight::Weight::Breaks,
        kind: "script-missing".into(),
        file: "runbook.md".into(),
        line: 7,
        message: "step B.s1 runs npm run x, but package.json has no such script".into(),
        hint: "Add the script.".into(),
        about: vec!["step:B.s1".into(), "npm run".into(), "x".into()],
    }];
    w.finds("unit", Outcome::Pass);
    w.finds("scan", Outcome::Pass);
    w.attests("A.2", true);
    w.attests("H.c2", true);
    let id = w.judge().gate("B").unwrap().items[0].item.id.clone();
    w.waives(&id, 2);
    assert!(w.accepts("A") && w.accepts("B"));
    for (role, by) in [(Role::Backend, 1), (Role::Qa, 2), (Role::Po, 3)] {
        w.signs(role, by, Choice::Go);
    }
    assert!(w.judge().verdict.is_go());
    w.findings[0].message = "B.s1 uses a script that does not exist".into();
    let judged = w.judge();
    assert!(judged.verdict.is_go(), "{:?}", judged.verdict.blockers);
}
