//! The matrix as HTML.

use super::matrix_view;
use crate::ui::samples::{here, html, matrix};

#[test]
fn rows_show_owners_acceptance_and_results_and_never_pass_without_a_check() {
    let out = html(|| matrix_view(&here("/matrix"), &matrix()));
    for part in
        ["Devs", "QA", "≥ 65 %", "Inconclusive", "0 of 2 rows passed", "No check", "matrix = &quot;M.2&quot;"]
    {
        let plain = part.replace("&quot;", "\"");
        assert!(out.contains(part) || out.contains(&plain), "{part} in {out}");
    }
    assert!(out.contains("name=\"gate\" value=\"matrix\""), "{out}");
}
