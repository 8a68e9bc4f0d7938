//! Lists of web origins (RFC 6454): `https://host[:port]`, as CORS compares them.

use std::collections::BTreeSet;

use reqwest::Url;

/// The origins in a list separated by commas or spaces. The error describes the first invalid entry.
pub(super) fn parse_list(text: &str) -> Result<BTreeSet<String>, String> {
    let entries = text.split(|c: char| c == ',' || c.is_whitespace()).filter(|entry| !entry.is_empty());
    entries.map(parse).collect()
}

fn parse(entry: &str) -> Result<String, String> {
    if entry.contains('*') {
        return Err(format!("{entry} allows any origin"));
    }
    let origin = of_url(entry).ok_or_else(|| format!("{entry} is not an origin"))?;
    // Browsers send the origin without a path or a trailing slash, and servers compare it literally.
    if entry.to_lowercase() != origin {
        return Err(format!("{entry} is not in the form that browsers send ({origin})"));
    }
    Ok(origin)
}

/// The origin of a URL as browsers write it.
pub(super) fn of_url(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let fits = matches!(url.scheme(), "http" | "https") && url.host_str().is_some();
    fits.then(|| url.origin().ascii_serialization())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_as_browsers_compare_them() {
        let list = parse_list("https://a.example, http://b:3001 https://a.example").unwrap();
        assert_eq!(list.into_iter().collect::<Vec<_>>(), ["http://b:3001", "https://a.example"]);
        assert!(parse_list("").is_ok_and(|l| l.is_empty()));
        for bad in [
            "*",
            "https://*.example",
            "https://a.example/",
            "https://a.example/x",
            "a.example",
            "ftp://a",
            "https://a:443",
        ] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
        assert_eq!(of_url("https://A.example:443/x/").as_deref(), Some("https://a.example"));
    }
}
