//! What a client takes: the `Accept` header against the kinds that can be answered (RFC 9110, section 12.5.1).

use http::{HeaderMap, header};

/// More ranges than any client needs.
const MOST: usize = 64;

/// One range of the header.
struct Range<'a> {
    kind: &'a str,
    subkind: &'a str,
    /// It has parameters besides its weight: only an offer with the same ones would fit.
    narrow: bool,
    /// In thousandths.
    weight: u16,
}

/// The header as one text; `None`: there is none, and everything is welcome.
pub fn header(headers: &HeaderMap) -> Option<String> {
    let values: Vec<&str> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    let text = values.join(", ");
    (!text.trim().is_empty()).then_some(text)
}

/// The offer that the client likes best; of those it likes alike, the first. `None`: it takes none of them. A header that
/// makes no sense is no wish.
pub fn preferred<'a>(accept: Option<&str>, offers: &[&'a str]) -> Option<&'a str> {
    let Some(ranges) = accept.map(ranges) else { return offers.first().copied() };
    let Some(ranges) = ranges else { return offers.first().copied() };
    let mut best: Option<(&str, u16)> = None;
    for offer in offers {
        let weight = weight(&ranges, offer);
        if weight > best.map_or(0, |(_, weight)| weight) {
            best = Some((offer, weight));
        }
    }
    best.map(|(offer, _)| offer)
}

/// The client takes this kind.
pub fn takes(accept: Option<&str>, kind: &'static str) -> bool {
    preferred(accept, &[kind]).is_some()
}

/// The weight of the range that fits most exactly.
fn weight(ranges: &[Range<'_>], offer: &str) -> u16 {
    let (kind, subkind) = offer.split_once('/').unwrap_or((offer, ""));
    let fit = |range: &Range<'_>| {
        if range.narrow {
            None
        } else if range.kind.eq_ignore_ascii_case(kind) && range.subkind.eq_ignore_ascii_case(subkind) {
            Some(2)
        } else if range.kind.eq_ignore_ascii_case(kind) && range.subkind == "*" {
            Some(1)
        } else {
            (range.kind == "*" && range.subkind == "*").then_some(0)
        }
    };
    let fits = ranges.iter().filter_map(|range| fit(range).map(|exact| (exact, range.weight)));
    fits.max_by_key(|(exact, _)| *exact).map_or(0, |(_, weight)| weight)
}

fn ranges(text: &str) -> Option<Vec<Range<'_>>> {
    let pieces = text.split(',').map(str::trim).filter(|piece| !piece.is_empty());
    pieces.take(MOST).map(range).collect()
}

fn range(text: &str) -> Option<Range<'_>> {
    let mut parts = text.split(';').map(str::trim);
    let (kind, subkind) = parts.next()?.split_once('/')?;
    let word = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+*'`|~%".contains(&byte))
    };
    if !word(kind) || !word(subkind) || kind == "*" && subkind != "*" {
        return None;
    }
    let mut range = Range { kind, subkind, narrow: false, weight: 1000 };
    for part in parts {
        match part.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("q") => {
                range.weight = thousandths(value.trim())?;
                // What comes behind the weight belongs to no kind.
                break;
            }
            _ => range.narrow = true,
        }
    }
    Some(range)
}

fn thousandths(text: &str) -> Option<u16> {
    let (whole, rest) = text.split_once('.').unwrap_or((text, ""));
    if rest.len() > 3 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = rest.parse::<u16>().unwrap_or(0) * 10u16.pow(3 - u32::try_from(rest.len()).ok()?);
    match whole {
        "0" => Some(part),
        "1" if part == 0 => Some(1000),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_exact_range_counts_and_ties_go_to_the_first_offer() {
        let offers = ["text/plain", "text/html", "application/json"];
        for (accept, expected) in [
            ("*/*", Some("text/plain")),
            ("application/json", Some("application/json")),
            ("application/json, text/html", Some("text/html")),
            ("text/html;q=0.5,application/json;q=0.9", Some("application/json")),
            ("text/*;q=0.5, application/json", Some("application/json")),
            ("text/*, text/plain;q=0", Some("text/html")),
            ("APPLICATION/JSON", Some("application/json")),
            ("application/json;version=1", None),
            ("image/png", None),
            ("*/*;q=0", None),
            ("nonsense", Some("text/plain")),
            ("text/html;q=7", Some("text/plain")),
        ] {
            assert_eq!(preferred(Some(accept), &offers), expected, "{accept}");
        }
        assert_eq!(preferred(None, &offers), Some("text/plain"));
    }

    proptest::proptest! {
        #[test]
        fn any_header_is_read(text in ".{0,200}") {
            let _ = preferred(Some(&text), &["text/html", "application/json"]);
        }
    }
}
