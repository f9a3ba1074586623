//! The ini files of OpenStack programs: sections, `key = value` or `key: value`, `#` and `;` comments, continued lines.

/// Every `(section, key, value)` in order. Lines that are none of these are passed over.
pub fn parse(text: &str) -> Vec<(String, String, String)> {
    let mut section = String::from("DEFAULT");
    let mut found: Vec<(String, String, String)> = Vec::new();
    for line in text.lines() {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with([' ', '\t']) {
            if let Some(last) = found.last_mut() {
                last.2.push('\n');
                last.2.push_str(trimmed);
            }
        } else if let Some(name) = trimmed.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim().to_owned();
        } else if let Some(at) = trimmed.find(['=', ':']) {
            let (key, value) = (trimmed[..at].trim(), trimmed[at + 1..].trim());
            found.push((section.clone(), key.to_owned(), unquote(value).to_owned()));
        }
    }
    found
}

/// A value wholly in one kind of quotes loses them.
fn unquote(value: &str) -> &str {
    ['"', '\''].into_iter().find_map(|quote| value.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_comments_quotes_and_continued_lines() {
        let text =
            "# x\n[DEFAULT]\napi_url = http://a:1,\n  http://b:2\n; y\n[disk_utils]\nsize: \"550\"\nnonsense\n\"=1";
        let found = parse(text);
        assert_eq!(found[0], ("DEFAULT".into(), "api_url".into(), "http://a:1,\nhttp://b:2".into()));
        assert_eq!(found[1], ("disk_utils".into(), "size".into(), "550".into()));
        assert_eq!(found.len(), 3);
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_taken(text in "\\PC{0,400}|[\\[\\]=:;# \na-z\"']{0,200}") {
            parse(&text);
        }
    }
}
