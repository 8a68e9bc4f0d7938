//! What earlier versions stored still counts after an upgrade.

use domain::digest::digest_fields;

use super::*;

/// Digests that acceptances, sign-offs and decisions are stored with. A new value here voids what people signed.
#[test]
fn the_digests_that_people_sign_stay_what_they_were() {
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
fn an_upgrade_voids_no_sign_off_acceptance_or_decision() {
    let mut w = World::ready_to_sign();
    // Found by a version that made digests of the names of Rust types.
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
        "the form of the digest is none of the signer's business"
    );
    // Another declaration makes it stale as before.
    w.checks[0].want = Some("== 0".parse().unwrap());
    assert!(!w.judge().verdict.is_go());
}
