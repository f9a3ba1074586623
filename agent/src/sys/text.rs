//! Makes text from firmware, kernel and programs safe to keep, print and send.

/// Longest text kept from one hostile field, in bytes; firmware strings are far shorter.
pub const MAX_TEXT: usize = 1024;

/// Decodes `bytes` as UTF-8 (bad sequences become `U+FFFD`), drops what a terminal or a log could obey, and trims.
///
/// Line breaks and tabs become blanks. At most `limit` bytes are kept, cut at a character.
pub fn clean(bytes: &[u8], limit: usize) -> String {
    // Decoding is bounded too: a huge input must not be copied whole only to be cut.
    let head = bytes.get(..limit.saturating_mul(4).min(bytes.len())).unwrap_or(bytes);
    let mut text = String::new();
    for character in String::from_utf8_lossy(head).chars() {
        let character = match character {
            '\n' | '\r' | '\t' => ' ',
            other if is_obeyed(other) => continue,
            other => other,
        };
        if text.is_empty() && character.is_whitespace() {
            continue;
        }
        if text.len() + character.len_utf8() > limit {
            break;
        }
        text.push(character);
    }
    text.truncate(text.trim_end().len());
    text
}

/// Like [`clean`], with nothing left being `None`.
pub fn clean_or_none(bytes: &[u8], limit: usize) -> Option<String> {
    Some(clean(bytes, limit)).filter(|text| !text.is_empty())
}

/// Cleans every line of a longer text; line breaks stay, and at most `limit` bytes are kept, the last line cut.
pub fn clean_lines(bytes: &[u8], limit: usize) -> String {
    let mut text = String::new();
    for line in bytes.split(|&byte| byte == b'\n') {
        let decoded = String::from_utf8_lossy(line.get(..line.len().min(limit)).unwrap_or(line));
        let kept: String = decoded.chars().filter(|&character| character == '\t' || !is_obeyed(character)).collect();
        let room = limit.saturating_sub(text.len());
        if kept.len() >= room {
            text.push_str(kept.get(..kept.floor_char_boundary(room)).unwrap_or_default());
            break;
        }
        text.push_str(kept.trim_end());
        text.push('\n');
    }
    text
}

/// Control characters, and the invisible ones that reorder or hide text.
fn is_obeyed(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::{clean, clean_lines, clean_or_none};
    use proptest::prelude::{any, proptest};

    #[test]
    fn escapes_nuls_and_bad_bytes_do_not_reach_a_terminal() {
        assert_eq!(clean(b"  \x1b[31mEvil\x07\0 Disk\xff\n", 64), "[31mEvil Disk\u{fffd}");
        assert_eq!(clean("safe\u{202e}exe".as_bytes(), 64), "safeexe");
        assert_eq!(clean_or_none(b" \0\0 \n", 64), None);
        assert_eq!(clean_lines(b"one\x1b[2J\r\n\ttwo\n", 64), "one[2J\n\ttwo\n\n");
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(clean("äää".as_bytes(), 5), "ää");
        assert_eq!(clean(&vec![b'x'; 1 << 20], 8), "xxxxxxxx");
        assert_eq!(clean_lines("äää\n".as_bytes(), 5), "ää");
    }

    proptest! {
        #[test]
        fn whatever_comes_in_is_short_and_printable(bytes: Vec<u8>, limit in 0usize..200, _more in any::<bool>()) {
            let text = clean(&bytes, limit);
            assert!(text.len() <= limit && text.trim() == text && !text.chars().any(char::is_control));
            assert!(clean_lines(&bytes, limit).len() <= limit);
        }
    }
}
