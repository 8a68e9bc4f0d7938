//! Of two concurrent requests that together would break a rule, at most one succeeds.

use domain::choice::AttestationChoice;
use domain::facts::Choice;
use domain::role::Role;
use engine::{Done, Engine, Error};
use futures::future::join_all;
use store::audit::Outcome;

use crate::support::bench::{Bench, PASSWORD, actor, add, audit_is_whole, board, ended, item_digest, run_id};

const TRIES: usize = 12;

fn successes(answers: &[Result<Done, Error>]) -> usize {
    answers.iter().filter(|answer| answer.is_ok()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_decision_at_a_time_is_recorded() {
    let bench = Bench::new("race-decide");
    let engine = bench.start().await;
    for n in 0..4 {
        bench.write("version.txt", &n.to_string());
        bench.commit("another");
        bench.step(&engine, "qa", "A.s1").await;
        let digest = board(&engine).await.judgement.digest;
        let answers = join_all((0..4).map(async |_| {
            let ctx = bench.by(&engine, "po").await;
            engine.decide(&ctx, Choice::NoGo, "because", &digest, 0, PASSWORD).await
        }))
        .await;
        assert_eq!(successes(&answers), 1, "{answers:?}");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiver_is_ended_once() {
    let bench = Bench::new("race-waiver");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    let digest = item_digest(&engine, "A.2").await;
    let until = tomorrow();
    for _ in 0..TRIES {
        let ctx = bench.by(&engine, "po").await;
        engine.waive(&ctx, "A.2", &digest, "seen elsewhere", &until, PASSWORD).await.unwrap();
        let waiver = board(&engine).await.judgement.item("A.2").unwrap().waiver.as_ref().unwrap().id;
        let answers = join_all((0..4).map(async |n| {
            let who = if n % 2 == 0 { "po" } else { "security" };
            engine.end_waiver(&bench.by(&engine, who).await, "A.2", waiver).await
        }))
        .await;
        assert_eq!(successes(&answers), 1, "{answers:?}");
    }
    audit_is_whole(&engine).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_can_act_for_a_role_after_losing_it() {
    let bench = Bench::new("race-roles");
    let engine = bench.start().await;
    bench.step(&engine, "qa", "A.s1").await;
    let digest = item_digest(&engine, "A.2").await;
    let person = add(&engine, "Both", "both", &[Role::Backend]).await;
    let roles = async |roles: &[&str]| {
        let roles: Vec<String> = roles.iter().map(|r| (*r).to_owned()).collect();
        let held = engine.actor(person).unwrap().roles;
        let shown: Vec<String> = held.iter().map(|r| r.slug().to_owned()).collect();
        engine.set_roles(&bench.by(&engine, "admin").await, person, &roles, &shown, PASSWORD).await
    };
    for _ in 0..TRIES {
        roles(&["backend"]).await.unwrap();
        let before = rows(&engine).await.len();
        // Both requests arrive while the person has the role.
        let ctx = bench.by(&engine, "both").await;
        let shown = board(&engine).await.judgement.item("A.2").unwrap().last_word().map_or(0, |w| w.id);
        let (taken, attested) = tokio::join!(
            roles(&["docs"]),
            engine.attest(&ctx, "A.2", &digest, AttestationChoice::Attest, "seen", "", shown)
        );
        taken.unwrap();
        let new = rows(&engine).await.split_off(before);
        let at =
            |act: &str| new.iter().position(|row| row.event.act == act && row.event.outcome == Outcome::Done);
        let order = (at("item.attest"), at("person.roles"));
        assert!(matches!(order, (None, Some(_))) || order.0 < order.1, "{order:?}: {attested:?}");
    }
}

/// The audit log, oldest first.
async fn rows(engine: &Engine) -> Vec<store::audit::Row> {
    let mut rows =
        store::audit::list(engine.store().readers(), store::audit::Filter::default(), 10_000).await.unwrap();
    rows.reverse();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_who_is_running_a_check_cannot_waive_its_result() {
    let bench = Bench::new("race-own");
    bench.edit("unit.sh", "cat unit.txt", "sleep 2; cat unit.txt");
    bench.commit("slow tests");
    let engine = bench.start().await;
    add(&engine, "Both", "both", &[Role::Qa, Role::Security]).await;
    bench.units_fail();
    let digest = crate::support::bench::step_digest(&engine, "A.s1").await;
    let ctx = bench.by(&engine, "both").await;
    let run = run_id(&engine.run_step(&ctx, "A.s1", &digest).await.unwrap());
    let item = item_digest(&engine, "A.1").await;
    let waive = async |login: &str| {
        engine.waive(&bench.by(&engine, login).await, "A.1", &item, "known", &tomorrow(), PASSWORD).await
    };
    let refused = waive("both").await.unwrap_err();
    assert!(refused.public().contains("running the check"), "{refused}");
    ended(&engine, run).await;
    assert!(waive("both").await.unwrap_err().public().contains("ran the check"));
    waive("security").await.unwrap();
    assert!(actor(&engine, "both").await.roles.contains(&Role::Security));
}

fn tomorrow() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    domain::time::Millis(i64::try_from(now.as_millis()).unwrap()).plus(domain::time::DAY_MS).date()
}
