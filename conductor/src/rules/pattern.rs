//! Regular expressions of the operators `matches` and `contains`: the reference's dialect, matched in linear time.
//!
//! What the two dialects write differently is rewritten; look-around and back-references have no linear matcher and are
//! refused with a text that says so.

use super::RuleError;
use regex::{Regex, RegexBuilder};

/// Longest pattern, in bytes.
const PATTERN_MAX: usize = 4096;

/// Most bytes a compiled pattern may take.
const COMPILED_MAX: usize = 4 * 1024 * 1024;

/// `re.match` with the pattern's end tied to the end of the text.
///
/// # Errors
/// The pattern is none, or is not supported.
pub fn matches(pattern: &str, text: &str) -> Result<bool, RuleError> {
    if pattern.is_empty() {
        return Err(RuleError::Condition("the regular expression is empty".into()));
    }
    let end = if pattern.ends_with('$') { "" } else { "$" };
    // Checked alone first: `a)(b` must not become whole by what is put around it.
    compile(pattern)?;
    let (flags, rest) = hoisted(pattern);
    // Only the start is tied by a group: in `a|b` the end belongs to the last alternative, as in the reference.
    Ok(compile(&format!("{flags}\\A(?:{rest}{end})"))?.is_match(text))
}

/// Global flags at the start, `(?i)`, and what follows.
fn hoisted(pattern: &str) -> (&str, &str) {
    let letters = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_lowercase());
    match pattern.strip_prefix("(?").and_then(|rest| rest.split_once(')')) {
        Some((flags, rest)) if letters(flags) => (&pattern[..flags.len() + 3], rest),
        _ => ("", pattern),
    }
}

/// `re.search`.
///
/// # Errors
/// As [`matches`].
pub fn contains(pattern: &str, text: &str) -> Result<bool, RuleError> {
    Ok(compile(pattern)?.is_match(text))
}

fn compile(pattern: &str) -> Result<Regex, RuleError> {
    if pattern.len() > PATTERN_MAX {
        return Err(RuleError::Condition(format!("a regular expression is longer than {PATTERN_MAX} bytes")));
    }
    RegexBuilder::new(&translated(pattern))
        .size_limit(COMPILED_MAX)
        .dfa_size_limit(COMPILED_MAX)
        .nest_limit(50)
        .build()
        .map_err(|error| {
            let text = error.to_string();
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            RuleError::Condition(format!(
                "invalid regular expression: {reason} (look-around and back-references are not supported)"
            ))
        })
}

/// The reference's dialect in ours.
fn translated(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let many_lines = hoisted(pattern).0.contains('m');
    let mut chars = pattern.char_indices().peekable();
    let mut in_class = false;
    let mut class_start = 0;
    while let Some((at, char)) = chars.next() {
        match char {
            '\\' => match chars.next() {
                Some((_, 'Z')) => out.push_str("\\z"),
                Some((_, next @ ('<' | '>'))) => out.push(next),
                Some((_, next)) => out.extend(['\\', next]),
                None => out.push('\\'),
            },
            // Sets inside of sets and set arithmetic are ours only.
            '[' | '&' | '~' if in_class => out.extend(['\\', char]),
            '[' => {
                in_class = true;
                out.push('[');
                if let Some((_, '^')) = chars.peek() {
                    chars.next();
                    out.push('^');
                }
                class_start = chars.peek().map_or(pattern.len(), |(at, _)| *at);
            }
            ']' if in_class && at == class_start => out.push_str("\\]"),
            ']' if in_class => {
                in_class = false;
                out.push(']');
            }
            // Not at the very end only: before a last line break too.
            '$' if !in_class && !many_lines => out.push_str("(?:\\n?\\z)"),
            '{' if !in_class => match repetition(&pattern[at..]) {
                Some((text, length)) => {
                    out.push_str(&text);
                    while chars.peek().is_some_and(|(next, _)| *next < at + length) {
                        chars.next();
                    }
                }
                None => out.push_str("\\{"),
            },
            '}' if !in_class => out.push_str("\\}"),
            other => out.push(other),
        }
    }
    out
}

/// `{2}`, `{2,}`, `{,3}`, `{2,3}` and how long it is; any other brace stands for itself.
fn repetition(from: &str) -> Option<(String, usize)> {
    let end = from.find('}')?;
    let inner = &from[1..end];
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let text = match inner.split_once(',') {
        Some((low, high)) if digits(low) && digits(high) => {
            format!("{{{},{high}}}", if low.is_empty() { "0" } else { low })
        }
        None if !inner.is_empty() && digits(inner) => format!("{{{inner}}}"),
        _ => return None,
    };
    Some((text, end + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matches_is_tied_to_both_ends_as_the_reference_ties_it() {
        for (pattern, text, answer) in [
            ("ab", "ab", true),
            ("ab", "abc", false),
            ("b", "ab", false),
            ("ab", "ab\n", true),
            ("a|b", "axx", true), // the tie belongs to the last alternative only
            ("a|b", "xb", false),
            ("b|ab", "ab", true),
            ("(?i)AB", "ab", true),
            ("a{,2}", "aa", true),
            ("a{x}", "a{x}", true),
            ("[[a]+", "[a[", true),
            ("[]a]+", "]a", true),
            (r"\d+\Z", "12", true),
            (r"ab\$", "ab$", true),
        ] {
            assert_eq!(matches(pattern, text), Ok(answer), "{pattern} {text}");
        }
    }

    #[test]
    fn contains_searches() {
        assert_eq!(contains("b$", "ab\n"), Ok(true));
        assert_eq!(contains("^b", "ab"), Ok(false));
        assert_eq!(contains("", "ab"), Ok(true));
        assert_eq!(contains("(?m)^b$", "a\nb\nc"), Ok(true));
    }

    #[test]
    fn what_cannot_be_matched_in_linear_time_is_refused() {
        for pattern in ["(", "a)(b", "(?=a)", r"(a)\1", "(?<!a)b", "a{1000}{1000}{1000}", "*"] {
            assert!(matches!(contains(pattern, "a"), Err(RuleError::Condition(_))), "{pattern}");
        }
        assert!(matches(&"a".repeat(5000), "a").is_err() && matches("", "a").is_err());
    }

    proptest::proptest! {
        #[test]
        fn any_pattern_is_answered_or_refused(pattern in "[ab\\\\\\[\\](){}*+?.^$|,0-9Z<-]{0,24}", text in "[ab\n]{0,20}") {
            let _ = matches(&pattern, &text);
            let _ = contains(&pattern, &text);
        }

        #[test]
        fn a_plain_text_matches_itself(text in "[a-z0-9:]{1,30}") {
            proptest::prop_assert_eq!(matches(&text, &text), Ok(true));
        }
    }
}
