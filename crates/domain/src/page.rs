//! Pages of long lists, by key: a page begins after a row, so that rows that are added meanwhile move nothing.

/// Which page of a list is wanted.
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
    /// Reads the cursor of an address; what cannot be read asks for the newest rows.
    pub fn of(before: Option<&str>, after: Option<&str>) -> Cursor {
        let number = |text: Option<&str>| text.and_then(|t| t.parse::<i64>().ok());
        match (number(before), number(after)) {
            (Some(before), _) => Cursor::Before(before),
            (None, Some(after)) => Cursor::After(after),
            (None, None) => Cursor::Newest,
        }
    }
}

/// Where the pages beside one begin; `None` where there is none.
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
    fn an_address_asks_for_a_page() {
        assert_eq!(Cursor::of(None, None), Cursor::Newest);
        assert_eq!(Cursor::of(Some("9"), None), Cursor::Before(9));
        assert_eq!(Cursor::of(None, Some("9")), Cursor::After(9));
        assert_eq!(Cursor::of(Some("x"), Some("")), Cursor::Newest);
    }
}
