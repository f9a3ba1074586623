//! The Makefile names every file of tests: one that it forgot would never run.

use std::fs;

use super::sources::{complain, root};

/// Names of what `cargo test` knows as test targets: files of a crate's `tests` folder, and `[[test]]` of the crates
/// `tests` and `fuzz`.
fn targets() -> Vec<String> {
    let mut names = Vec::new();
    for krate in ["common", "conductor", "agent", "image"] {
        let Ok(folder) = fs::read_dir(root().join(krate).join("tests")) else { continue };
        let files = folder.map(|entry| entry.expect("a folder of our own").path());
        let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "rs"));
        names.extend(files.map(|path| path.file_stem().expect("a file").to_string_lossy().into_owned()));
    }
    for manifest in ["tests/Cargo.toml", "tests/fuzz/Cargo.toml"] {
        let manifest = fs::read_to_string(root().join(manifest)).expect("the manifest");
        let manifest: toml::Table = manifest.parse().expect("TOML");
        let listed = manifest["test"].as_array().expect("[[test]]");
        names.extend(listed.iter().map(|test| test["name"].as_str().expect("a name").to_owned()));
    }
    names
}

#[test]
fn every_file_of_tests_is_in_a_lane() {
    let makefile = fs::read_to_string(root().join("Makefile")).expect("the Makefile");
    let named: Vec<&str> =
        makefile.split("--test ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    let missing: Vec<String> = targets().into_iter().filter(|name| !named.contains(&name.as_str())).collect();
    complain("every test target is run by the Makefile (`--test NAME`)", &missing);
}
