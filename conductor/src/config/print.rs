//! Prints every option with its default and meaning, as TOML that can be used as it is.

use super::Config;
use super::options::DOCS;
use std::fmt::Write;
use toml::Value;

/// Every option as a commented line: taking the `#` away before `name = ` gives a file that means the same as none.
pub fn printed() -> String {
    let defaults = Value::try_from(Config::default()).unwrap_or_else(|_| Value::Table(toml::Table::new()));
    let mut text = String::from(
        "# Every option of the conductor with its default. Environment: WROUGHT_<SECTION>_<KEY>, at the top level WROUGHT_<KEY>;\n\
         # lists there are separated by commas. Flags win over the environment, the environment wins over this file.\n",
    );
    let mut section = "";
    for doc in DOCS {
        if doc.section != section {
            section = doc.section;
            let _ = write!(text, "\n[{section}]\n");
        }
        let table = if section.is_empty() { Some(&defaults) } else { defaults.get(section) };
        let _ = match table.and_then(|table| table.get(doc.name)) {
            Some(value) => write!(text, "\n#{}\n#{} = {value}\n", doc.meaning, doc.name),
            None => write!(text, "\n#{} (Not set.)\n# {} = {}\n", doc.meaning, doc.name, placeholder(doc.kind)),
        };
    }
    text
}

fn placeholder(kind: &str) -> &'static str {
    match kind.replace(' ', "").as_str() {
        "Option<String>" | "Option<PathBuf>" | "Option<Secret>" => "\"...\"",
        "Option<bool>" => "true",
        _ => "0",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};

    #[test]
    fn the_print_is_valid_and_without_its_comment_signs_it_means_the_defaults() {
        let text = printed();
        text.parse::<toml::Table>().unwrap();
        let bare: Vec<&str> = text
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') => rest,
                _ => line,
            })
            .collect();
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bare.join("\n")).unwrap();
        let config = load(Some(file.path()), [], &Overrides::default()).unwrap();
        assert_eq!(Value::try_from(config).unwrap(), Value::try_from(Config::default()).unwrap());
    }

    #[test]
    fn every_option_is_printed_once() {
        let text = printed();
        for doc in DOCS {
            assert!(text.contains(&format!("{} = ", doc.name)), "{} is missing", doc.name);
        }
    }
}
