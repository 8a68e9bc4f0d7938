//! Pages of long lists, by key: a page begins after a given row, so that rows added in the meantime do not shift it.

/// The requested page of a list.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Cursor {
    /// The first one, with the newest rows.
    #[default]
    Newest,
    /// The one with the rows below this number.
    Before(i64),
    /// The one with the rows above this number.
    After(i64),
}

impl Cursor {
    /// Reads the cursor from query parameters; invalid values mean the newest rows.
    pub fn of(before: Option<&str>, after: Option<&str>) -> Cursor {
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
        match (number(before), number(after)) {
            (Some(before), _) => Cursor::Before(before),
            (None, Some(after)) => Cursor::After(after),
            (None, None) => Cursor::Newest,
        }
    }
}

/// Where the previous and next page begin; `None` if there is none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pages {
    /// Newer rows: above this number.
    pub newer: Option<i64>,
    /// Older rows: below this number.
    pub older: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_are_read_from_query_parameters() {
        assert_eq!(Cursor::of(None, None), Cursor::Newest);
        assert_eq!(Cursor::of(Some("9"), None), Cursor::Before(9));
        assert_eq!(Cursor::of(None, Some("9")), Cursor::After(9));
        assert_eq!(Cursor::of(Some("x"), Some("")), Cursor::Newest);
    }
}
