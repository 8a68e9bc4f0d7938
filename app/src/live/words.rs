//! Texts and comparisons of the live page that need no browser.

use domain::pages::Page;

/// The keyboard shortcuts and what they do, as their list shows them.
pub fn shortcuts() -> impl Iterator<Item = (String, &'static str)> {
    let pages = Page::ALL.iter().filter_map(|page| Some((format!("g {}", page.key()?), page.title())));
    pages.chain([("?".to_owned(), "Keyboard shortcuts")])
}

/// A point in time in the reader's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Local {
    /// Days since a fixed day.
    pub day: i64,
    /// Year.
    pub year: u32,
    /// Month from 1.
    pub month: u32,
    /// Day of the month from 1.
    pub date: u32,
    /// Day of the week, Sunday is 0.
    pub weekday: u32,
    /// Hour.
    pub hour: u32,
    /// Minute.
    pub minute: u32,
}

/// A time in short form, relative to `now`: `today 14:02`, `Tuesday 14:02`, `2026-03-01 14:02`.
pub fn relative_time(at: Local, now: Local) -> String {
    const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
    let clock = format!("{:02}:{:02}", at.hour, at.minute);
    match now.day - at.day {
        0 => format!("today {clock}"),
        1 => format!("yesterday {clock}"),
        2..=6 => format!("{} {clock}", DAYS[at.weekday as usize % 7]),
        _ => format!("{}-{:02}-{:02} {clock}", at.year, at.month, at.date),
    }
}

/// HTML without the values of its idempotency keys: they differ each time and are not visible.
pub fn without_keys(html: &str) -> String {
    const BEFORE: &str = "name=\"key\" value=\"";
    let mut parts = html.split(BEFORE);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(BEFORE);
        out.push_str(part.find('"').map_or(part, |end| &part[end..]));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(day: i64, hour: u32) -> Local {
        Local { day, year: 2026, month: 3, date: 1, weekday: 2, hour, minute: 2 }
    }

    #[test]
    fn times_are_shown_relative_to_now() {
        let now = local(100, 9);
        assert_eq!(relative_time(local(100, 14), now), "today 14:02");
        assert_eq!(relative_time(local(99, 23), now), "yesterday 23:02");
        assert_eq!(relative_time(local(95, 14), now), "Tuesday 14:02");
        assert_eq!(
            relative_time(local(93, 14), now),
            "2026-03-01 14:02",
            "after a week, the name of the day is ambiguous"
        );
        assert_eq!(
            relative_time(local(101, 14), now),
            "2026-03-01 14:02",
            "times in the future are shown as a date"
        );
    }

    #[test]
    fn only_idempotency_keys_are_ignored_in_comparisons() {
        let form = |key: &str, step: &str| {
            format!(
                "<input type=\"hidden\" name=\"key\" value=\"{key}\"><input name=\"step\" value=\"{step}\"><p>é</p>"
            )
        };
        let twice = |key: &str| form(key, "A.s1").repeat(2);
        assert_eq!(without_keys(&twice("00ff")), without_keys(&twice("11ee")));
        assert_ne!(without_keys(&form("00ff", "A.s1")), without_keys(&form("00ff", "A.s2")));
        assert_eq!(without_keys("<p>no form</p>"), "<p>no form</p>");
    }

    #[test]
    fn every_page_with_a_key_is_listed() {
        let listed: Vec<(String, &str)> = shortcuts().collect();
        assert_eq!(listed.first(), Some(&("g b".to_owned(), "Board")));
        assert_eq!(listed.last(), Some(&("?".to_owned(), "Keyboard shortcuts")));
        assert_eq!(listed.len(), Page::ALL.iter().filter(|page| page.key().is_some()).count() + 1);
    }
}
