//! Parts of pages that are printed from the code and compared. `UPDATE_GOLDEN=1` writes them anew.

use super::sources::root;

const END: &str = "<!-- end of what is printed -->\n";

/// What stands in the page between a line that says where it is from and the end mark is what was printed.
pub fn stands_in(page: &str, from: &str, printed: &str) {
    let path = root().join(page);
    let begin = format!("<!-- printed from {from}: do not edit -->\n");
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{page}: {error}"));
    let (before, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{page} has no line {begin}"));
    let (shown, after) = rest.split_once(END).unwrap_or_else(|| panic!("{page} has no line {END}"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{before}{begin}{printed}{END}{after}")).expect("writable");
        return;
    }
    assert_eq!(shown, printed, "{page} is not what {from} says; run the test with UPDATE_GOLDEN=1");
}
