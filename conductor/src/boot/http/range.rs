//! The `Range` header of a request against a file of known length (RFC 9110 section 14).

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// Everything: no range, one we do not understand, or several at once (a server may ignore those).
    Whole,
    /// From the first byte on, so many bytes; at least one.
    Part {
        /// First byte.
        from: u64,
        /// How many.
        length: u64,
    },
    /// A range that lies outside the file: 416.
    Outside,
}

/// Reads a `Range` value such as `bytes=0-99`, `bytes=100-`, `bytes=-5`.
pub fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let Some(spec) = header.and_then(|text| text.trim().strip_prefix("bytes=")) else { return Wanted::Whole };
    let Some((first, last)) = spec.trim().split_once('-') else { return Wanted::Whole };
    match (number(first), number(last)) {
        (Some(None), Some(Some(0))) => Wanted::Outside,
        (Some(None), Some(Some(tail))) if size > 0 => {
            let length = tail.min(size);
            Wanted::Part { from: size - length, length }
        }
        (Some(None), Some(Some(_))) => Wanted::Outside,
        (Some(Some(from)), Some(last)) => match last {
            Some(last) if last < from => Wanted::Whole,
            _ if from >= size => Wanted::Outside,
            last => Wanted::Part { from, length: last.unwrap_or(u64::MAX).min(size - 1) - from + 1 },
        },
        _ => Wanted::Whole,
    }
}

/// `Some(None)`: no digits at all; `None`: not a number. A number too large for u64 is beyond every file.
fn number(text: &str) -> Option<Option<u64>> {
    let text = text.trim();
    if text.is_empty() {
        return Some(None);
    }
    text.bytes().all(|digit| digit.is_ascii_digit()).then(|| Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop_assert, proptest};

    #[test]
    fn the_forms_of_the_standard() {
        let part = |from, length| Wanted::Part { from, length };
        for (header, expected) in [
            (None, Wanted::Whole),
            (Some("bytes=0-0"), part(0, 1)),
            (Some("bytes=0-99"), part(0, 10)),
            (Some("bytes=4-"), part(4, 6)),
            (Some("bytes=-3"), part(7, 3)),
            (Some("bytes=-30"), part(0, 10)),
            (Some("bytes=10-"), Wanted::Outside),
            (Some("bytes=-0"), Wanted::Outside),
            (Some("bytes=99999999999999999999-"), Wanted::Outside),
            (Some("bytes=0-99999999999999999999"), part(0, 10)),
            (Some("bytes=5-2"), Wanted::Whole),
            (Some("bytes=-"), Wanted::Whole),
            (Some("bytes=0-1,3-4"), Wanted::Whole),
            (Some("bytes=+1-2"), Wanted::Whole),
            (Some("lines=0-1"), Wanted::Whole),
        ] {
            assert_eq!(wanted(header, 10), expected, "{header:?}");
        }
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Outside);
        assert_eq!(wanted(Some("bytes=-1"), 0), Wanted::Outside);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_lies_inside(header in "(bytes=)?[0-9 ,-]{0,24}", size in any::<u64>()) {
            if let Wanted::Part { from, length } = wanted(Some(&header), size) {
                prop_assert!(length > 0 && from < size && length <= size - from);
            }
        }
    }
}
