//! Where things lie in this workspace: the target folder, our programs.

use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned()
}

/// cargo's target folder, two above the folder of a test's program (`target/debug/deps/lab-…`) or one above that of a program
/// (`target/release/bench`), wherever `CARGO_TARGET_DIR` puts it.
pub fn target() -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    let mut above = me.ancestors().filter(|path| path.file_name().is_some_and(|name| name == "deps"));
    let profile = above.next().map_or_else(|| me.parent(), Path::parent);
    profile.and_then(Path::parent).map_or_else(|| root().join("target"), Path::to_owned)
}

/// One of our programs as users run it: optimised. `LAB_BIN_DIR` names another folder.
///
/// # Panics
/// When it is not built, with the command that builds it.
pub fn program(name: &str) -> PathBuf {
    let folder = std::env::var_os("LAB_BIN_DIR").map_or_else(|| target().join("release"), PathBuf::from);
    let path = folder.join(name);
    assert!(
        path.is_file(),
        "{} is not built; run `make test-lab`, or `cargo build --release -p conductor -p agent -p image`",
        path.display()
    );
    path.canonicalize().unwrap_or(path)
}

/// A small program of the test crate itself, built beside this test; `make test` has these in a folder of their own, `tested`,
/// for in `release` are those of `make demo` and `make bench`.
///
/// # Panics
/// When cargo did not build it, which it does for every test of this crate.
pub fn own_program(name: &str) -> PathBuf {
    let me = std::env::current_exe().unwrap_or_default();
    let tested = cfg!(debug_assertions).then(|| target().join("tested"));
    let tested = tested.filter(|_| me.starts_with(target().join("release"))).map(|folder| folder.join("release"));
    let folders = tested.into_iter().chain(me.ancestors().skip(1).map(Path::to_owned));
    let path = folders.map(|folder| folder.join(name)).find(|path| path.is_file());
    path.unwrap_or_else(|| panic!("{name} is not beside {}", me.display()))
}
