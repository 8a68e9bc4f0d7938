//! Pages of lists: older and newer, with and without a filter, while rows are added.

use domain::paging::{Cursor, Pages};
use store::paging::{self, Paged};

use super::*;

async fn page(store: &Store, list: Paged, filter: Option<&str>, cursor: Cursor) -> (Vec<i64>, Pages) {
    let mut db = store.readers().acquire().await.unwrap();
    paging::page(&mut db, list, filter, cursor, 3).await.unwrap()
}

fn pages(newer: Option<i64>, older: Option<i64>) -> Pages {
    Pages { newer, older }
}

#[tokio::test]
async fn pages_lead_to_the_oldest_row_and_back_to_the_newest() {
    let (_dir, store) = fresh().await;
    ada(&store).await;
    assert_eq!(page(&store, paging::RUNS, None, Cursor::Newest).await, (vec![], pages(None, None)));
    for n in 0..8 {
        run(&store, "unit", n).await;
    }
    let all = paging::RUNS;
    assert_eq!(page(&store, all, None, Cursor::Newest).await, (vec![8, 7, 6], pages(None, Some(6))));
    assert_eq!(page(&store, all, None, Cursor::Before(6)).await, (vec![5, 4, 3], pages(Some(5), Some(3))));
    assert_eq!(page(&store, all, None, Cursor::Before(3)).await, (vec![2, 1], pages(Some(2), None)));
    assert_eq!(page(&store, all, None, Cursor::After(2)).await, (vec![5, 4, 3], pages(Some(5), Some(3))));
    assert_eq!(page(&store, all, None, Cursor::After(5)).await, (vec![8, 7, 6], pages(None, Some(6))));
    // If the newest page is not full, it is filled with older rows.
    assert_eq!(page(&store, all, None, Cursor::After(7)).await, (vec![8, 7, 6], pages(None, Some(6))));
    assert_eq!(page(&store, all, None, Cursor::After(99)).await, (vec![8, 7, 6], pages(None, Some(6))));
    assert_eq!(page(&store, all, None, Cursor::Before(1)).await, (vec![], pages(None, None)));
    // Rows that are added in the meantime do not shift a page.
    run(&store, "unit", 9).await;
    assert_eq!(page(&store, all, None, Cursor::Before(6)).await, (vec![5, 4, 3], pages(Some(5), Some(3))));
}

#[tokio::test]
async fn a_filter_stays_on_every_page() {
    let (_dir, store) = fresh().await;
    let by = ada(&store).await;
    for n in 0..10_i64 {
        let kind = if n % 2 == 0 { RunKind::Step } else { RunKind::Check };
        write!(store, |tx| {
            let new = NewRun {
                kind,
                subject: "s",
                gate: None,
                title: "t",
                release: None,
                by,
                by_name: "Ada",
                at: Millis(n),
                key: None,
            };
            runs::start(tx, &new).await
        })
        .unwrap();
    }
    let list = paging::RUNS_OF_KIND;
    let (first, beside) = page(&store, list, Some("step"), Cursor::Newest).await;
    assert_eq!((first, beside), (vec![9, 7, 5], pages(None, Some(5))));
    let (rest, beside) = page(&store, list, Some("step"), Cursor::Before(5)).await;
    assert_eq!((rest, beside), (vec![3, 1], pages(Some(3), None)));
    assert_eq!(page(&store, list, Some("drill"), Cursor::Newest).await, (vec![], pages(None, None)));
}

#[tokio::test]
async fn a_page_of_a_long_list_reads_no_more_than_the_page() {
    let (_dir, store) = fresh().await;
    for (sql, filter) in [
        ("SELECT id FROM run WHERE id < ?1 AND true ORDER BY id DESC LIMIT ?2", ""),
        ("SELECT id FROM run WHERE id < ?1 AND kind = ?3 ORDER BY id DESC LIMIT ?2", "run_by_kind"),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(store.readers())
                .await
                .unwrap();
        let plan: String = plan.into_iter().map(|(_, _, _, what)| what).collect();
        assert!(plan.contains("SEARCH") && plan.contains(filter) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}

#[tokio::test]
async fn queries_of_retention_use_an_index() {
    let (_dir, store) = fresh().await;
    for (sql, by) in [
        (
            "SELECT d.run, r.started_at FROM run_directory d CROSS JOIN run r ON r.id = d.run WHERE d.run > ?1
             ORDER BY d.run LIMIT ?2",
            "SEARCH d USING INTEGER PRIMARY KEY",
        ),
        ("SELECT id FROM evidence WHERE id > ?1 AND by = 0 ORDER BY id LIMIT ?2", "evidence_by_clock"),
        (
            "SELECT d.run FROM run_directory d CROSS JOIN run r ON r.id = d.run
             WHERE d.bytes IS NULL AND r.state <> 'running' ORDER BY d.run LIMIT ?1",
            "run_directory_unmeasured",
        ),
        (
            "SELECT id FROM ownership_entry WHERE id < ?1 AND field = ?3 ORDER BY id DESC LIMIT ?2",
            "ownership_entry_by_field",
        ),
        (
            "SELECT created_at FROM link WHERE created_at < ?1 AND kind = 'invite' ORDER BY created_at DESC LIMIT ?2",
            "link_invitation_by_age",
        ),
    ] {
        let plan: Vec<(i64, i64, i64, String)> =
            sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
                .fetch_all(store.readers())
                .await
                .unwrap();
        let plan: Vec<String> = plan.into_iter().map(|row| row.3).collect();
        let plan = plan.join("; ");
        assert!(plan.contains(by) && !plan.contains("TEMP B-TREE"), "{plan}");
    }
}
