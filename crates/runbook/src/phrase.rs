//! Recognises the phrases of runbooks: gate headings, acceptance lead-ins, sign-off lines,
//! role lines. Pure functions on text.

use super::text::{fold, squeeze};

/// The contents of a gate heading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GateHeading {
    pub id: String,
    pub phase: Option<u32>,
    pub title: String,
}

/// The lead-in of an acceptance list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Lead {
    /// The gate in the lead-in.
    pub gate: Option<String>,
    /// A criterion on the same line.
    pub inline: String,
}

const SEPARATORS: [char; 9] = [' ', ':', '-', '.', ')', '/', '|', ',', '•'];

/// Reads `Phase 2: Title (Gate B)` and similar headings.
pub(super) fn gate_heading(text: &str) -> Option<GateHeading> {
    if acceptance_lead(text).is_some() {
        return None;
    }
    let (phase, rest) = without_phase(text);
    if let Some((id, title)) = bracketed_gate(rest) {
        return Some(GateHeading { id, phase, title: tidy(&title) });
    }
    let (id, rest) = leading_gate(rest)?;
    let (later_phase, rest) = without_phase(rest);
    Some(GateHeading { id, phase: phase.or(later_phase), title: tidy(rest) })
}

/// `(Gate X)` or `[Gate X]` anywhere; returns the id and the text without it.
fn bracketed_gate(text: &str) -> Option<(String, String)> {
    for (at, open) in text.char_indices().filter(|(_, c)| matches!(c, '(' | '[' | '（')) {
        let inner = &text[at + open.len_utf8()..];
        // The name of a gate is short. The limit keeps headings with many brackets cheap.
        let near = inner.char_indices().nth(24).map_or(inner, |(i, _)| &inner[..i]);
        let Some(end) = near.find([')', ']', '）']) else { continue };
        if let Some(id) = gate_name(&fold(&inner[..end])) {
            let close = inner[end..].chars().next().map_or(0, char::len_utf8);
            return Some((id, format!("{} {}", &text[..at], &inner[end + close..])));
        }
    }
    None
}

/// Exactly `gate x`, folded.
fn gate_name(folded: &str) -> Option<String> {
    let id = folded.strip_prefix("gate")?.trim_start_matches([' ', ':', '-', '#']);
    let plain = !id.is_empty() && id.len() <= 8 && id.bytes().all(|b| b.is_ascii_alphanumeric());
    (plain && folded.len() > "gate".len() + id.len()).then(|| id.to_uppercase())
}

/// `Gate X: Title` at the beginning; X is one letter or a number of one or two digits.
fn leading_gate(text: &str) -> Option<(String, &str)> {
    let start = text.find(|c: char| c.is_alphanumeric())?;
    let rest = strip_word(&text[start..], "gate")?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let (id, behind) = rest.split_at(end);
    let letter = id.len() == 1 && id.bytes().all(|b| b.is_ascii_alphabetic());
    let number = (1..=2).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit());
    let separated = match fold(behind).chars().next() {
        None => true,
        Some(c) => matches!(c, ':' | '-' | '.' | ')' | '/' | '|' | '('),
    };
    ((letter || number) && separated).then(|| (id.to_uppercase(), behind))
}

/// Removes `Phase 3 —` from the beginning.
fn without_phase(text: &str) -> (Option<u32>, &str) {
    let Some(start) = text.find(|c: char| c.is_alphanumeric()) else { return (None, text) };
    for word in ["phase", "stage"] {
        let Some(rest) = strip_word(&text[start..], word) else { continue };
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if let Ok(number) = rest[..digits].parse() {
            let title = rest[digits..].trim_start_matches(is_separator);
            return (Some(number), title);
        }
    }
    (None, text)
}

/// Removes a word and the blanks after it from the beginning; ignores case.
fn strip_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let head = text.get(..word.len())?;
    let rest = &text[word.len()..];
    let trimmed = rest.trim_start();
    (head.eq_ignore_ascii_case(word) && trimmed.len() < rest.len()).then_some(trimmed)
}

fn is_separator(c: char) -> bool {
    c.is_whitespace() || SEPARATORS.contains(&c) || matches!(c, '\u{2010}'..='\u{2015}' | '：')
}

fn tidy(title: &str) -> String {
    squeeze(title.trim_matches(|c: char| is_separator(c) && c != ')'))
}

/// Reads `Acceptance (Gate A):`, `**Acceptance criteria**`, `Exit criteria:` and similar phrases.
pub(super) fn acceptance_lead(text: &str) -> Option<Lead> {
    // Only the beginning can be a lead-in, so a long paragraph is not folded as a whole.
    let head: String = text.chars().take(160).collect();
    let folded = fold(&head);
    let folded = folded.trim_start_matches(|c: char| !c.is_alphanumeric());
    let starts = ["acceptance", "exit criteria", "success criteria", "pass criteria", "done when"];
    let start = starts.into_iter().find(|s| folded.starts_with(s))?;
    let mut rest = folded[start.len()..].trim_start();
    for word in ["criteria", "criterion", "checks", "list"] {
        if let Some(behind) = rest.strip_prefix(word) {
            rest = behind.trim_start();
            break;
        }
    }
    let mut gate = None;
    loop {
        let bare = rest.strip_prefix("for ").or_else(|| rest.strip_prefix("of ")).unwrap_or(rest);
        if let Some(inner) = rest.strip_prefix('(') {
            let (inner, behind) = inner.split_once(')')?;
            gate = gate.or_else(|| gate_name(inner));
            rest = behind.trim_start();
        } else if let Some(name) = bare.strip_prefix("gate ") {
            let end = name.find(|c: char| !c.is_alphanumeric()).unwrap_or(name.len());
            gate = Some(gate_name(&format!("gate {}", &name[..end]))?);
            rest = name[end..].trim_start();
        } else {
            break;
        }
    }
    if !(rest.is_empty() || rest.starts_with(':') || rest.starts_with('-')) {
        return None;
    }
    let colon = text.find([':', '：']);
    let inline = match colon {
        Some(at) => text[at..].trim_start_matches([':', '：']).trim(),
        None => text.split_once(" \u{2014} ").map_or("", |(_, rest)| rest.trim()),
    };
    let inline = if inline.ends_with([':', '：']) { "" } else { inline };
    Some(Lead { gate, inline: inline.to_owned() })
}

/// Whether a folded heading or phrase is about sign-offs.
pub(super) fn speaks_of_sign_off(folded: &str) -> bool {
    ["sign-off", "signoff", "sign off", "approvals", "approvers"].iter().any(|w| folded.contains(w))
}

/// The roles of `Sign-offs: Backend / QA / PO`; empty for other lines.
pub(super) fn sign_off_roles(text: &str) -> Vec<String> {
    let Some((left, right)) = text.split_once([':', '：']) else { return vec![] };
    if left.chars().count() > 120 || right.chars().count() > 2_000 || !speaks_of_sign_off(&fold(left)) {
        return vec![];
    }
    let roles = split_names(right);
    if roles.iter().all(|r| r.split_whitespace().count() <= 4) { roles } else { vec![] }
}

/// Splits names at `/`, `,`, `;`, `&`, `+`, `|` and `and`.
pub(super) fn split_names(text: &str) -> Vec<String> {
    let text = squeeze(text);
    text.replace(" and ", "/")
        .split(['/', ',', ';', '&', '+', '|', '•'])
        .map(|name| {
            name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | '`' | '_' | '*')).to_owned()
        })
        .filter(|name| !name.is_empty())
        .collect()
}

/// Reads `Backend DRI: migrations, seeds` into the role and its duties.
pub(super) fn role_line(text: &str) -> Option<(String, String)> {
    let dash = |t: &str| t.find(" \u{2014} ").or_else(|| t.find(" \u{2013} ")).or_else(|| t.find(" - "));
    let (left, right) = match text.split_once([':', '：']) {
        Some(parts) => parts,
        None => match dash(text) {
            Some(at) => (&text[..at], text[at..].trim_start_matches(is_separator)),
            None => (text, ""),
        },
    };
    let words: Vec<&str> = left
        .split_whitespace()
        .filter(|w| {
            let bare = w.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            !matches!(bare.as_str(), "dri" | "dris")
        })
        .collect();
    let role = words.join(" ").trim_matches(is_separator).to_owned();
    let usable = !role.is_empty() && role.split_whitespace().count() <= 5;
    usable.then(|| (role, squeeze(right)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_headings_of_many_forms_are_recognised() {
        for (text, id, phase, title) in [
            ("Phase 1 — Prep & Baseline (Gate A)", "A", Some(1), "Prep & Baseline"),
            ("Phase 12: Go/No\u{2011}Go (Gate H)", "H", Some(12), "Go/No\u{2011}Go"),
            ("phase 2 - infra (gate b)", "B", Some(2), "infra"),
            ("🚀 Ship it [Gate C]", "C", None, "🚀 Ship it"),
            ("(Gate D) Data (and backups)", "D", None, "Data (and backups)"),
            ("Gate E: Deploy", "E", None, "Deploy"),
            ("Gate 3 — Deploy", "3", None, "Deploy"),
            ("Gate F", "F", None, ""),
            ("Phase 4 / Gate D: Data", "D", Some(4), "Data"),
            ("Deploy (Gate\u{2011}E2)", "E2", None, "Deploy"),
        ] {
            let want = GateHeading { id: id.into(), phase, title: title.into() };
            assert_eq!(gate_heading(text), Some(want), "{text}");
        }
        for text in [
            "Phase Gates Summary",
            "Gates (A–H)",
            "Go (Gate A–G)",
            "Gate keeping",
            "Gatehouse (Gate)",
            "Acceptance (Gate A)",
            "Rules (see Gate A)",
            "Gate A is first",
            "",
            "(",
        ] {
            assert_eq!(gate_heading(text), None, "{text}");
        }
    }

    #[test]
    fn acceptance_lead_ins_of_many_forms_are_recognised() {
        for (text, gate, inline) in [
            ("Acceptance (Gate A):", Some("A"), ""),
            ("✅ Acceptance criteria for Gate B:", Some("B"), ""),
            ("Acceptance", None, ""),
            ("Acceptance: all of it holds:", None, ""),
            ("Exit criteria (all must hold) (Gate C)", Some("C"), ""),
            ("Acceptance (gate d): all is green.", Some("D"), "all is green."),
            ("Done when:", None, ""),
            ("Acceptance — all green", None, "all green"),
        ] {
            let want = Lead { gate: gate.map(str::to_owned), inline: inline.into() };
            assert_eq!(acceptance_lead(text), Some(want), "{text}");
        }
        for text in ["Acceptance tests run nightly", "Accepted:", "Acceptance of risk is documented"] {
            assert_eq!(acceptance_lead(text), None, "{text}");
        }
    }

    #[test]
    fn sign_off_lines_give_roles_and_sentences_do_not() {
        assert_eq!(
            sign_off_roles("Stakeholder sign\u{2011}offs: Dev / QA, PO and Ops."),
            ["Dev", "QA", "PO", "Ops"]
        );
        assert!(sign_off_roles("QA DRI: matrix, sign-offs").is_empty());
        assert!(sign_off_roles("Sign-off: everybody who was there says that it works").is_empty());
    }

    #[test]
    fn role_lines_lose_the_word_dri() {
        let read = |t: &str| role_line(t).map(|(r, d)| format!("{r}|{d}"));
        assert_eq!(read("Backend DRI: api, seeds").as_deref(), Some("Backend|api, seeds"));
        assert_eq!(read("QA (DRI) — matrix").as_deref(), Some("QA|matrix"));
        assert_eq!(read("DRI: Ops").as_deref(), None);
        assert_eq!(read("This whole sentence is no role at all"), None);
    }
}
