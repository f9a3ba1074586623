//! Puts the tree together: the recipe's rows looked up in the unpacked packages, libraries followed through ELF. Every
//! file keeps the name of the package it came from. The kernel's modules come from `kernel`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use crate::elf::{self, Damaged};
use crate::packages::Package;
use crate::recipe;
use crate::recipe::texts::TEXTS;
use crate::tree::{Node, Tree, TreeError};

/// Why a tree cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The recipe names a file no package has.
    #[error("no package of the recipe has `{0}`; correct the recipe")]
    Absent(String),
    /// A library nobody has.
    #[error("`{user}` needs the library `{library}`, which no package of the recipe has; add its package")]
    Library {
        /// The soname.
        library: String,
        /// Who needs it.
        user: String,
    },
    /// The agent is something else.
    #[error("{} is no program for this machine (ELF, 64 bit); give the built agent with --agent", .0.display())]
    Agent(PathBuf),
    /// A damaged program or library.
    #[error("{}: {source}", path.display())]
    Elf {
        /// Which.
        path: PathBuf,
        /// Why.
        source: Damaged,
    },
    /// Something in an operator's folder that cannot be taken.
    #[error(
        "{}: neither file, folder nor link, or a name that is no UTF-8, or the folder has more than {MAX_ADDED} files; give a smaller folder with --add",
        .0.display()
    )]
    Added(PathBuf),
    /// Two packages disagree about a path.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// A file could not be read.
    #[error("{}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
}

/// Everything but the agent.
///
/// # Errors
/// The recipe and the packages do not fit together.
pub fn base(packages: &[Package]) -> Result<Tree, GatherError> {
    let mut tree = Tree::merged()?;
    for (path, mode) in recipe::FOLDERS {
        tree.insert(path, Node::Directory { mode: *mode }, "recipe")?;
    }
    for (path, mode, text) in TEXTS {
        tree.insert(path, Node::File { mode: *mode, data: text.as_bytes().to_vec() }, "recipe")?;
    }
    let links = recipe::LINKS.iter().map(|(path, target)| ((*path).to_owned(), *target));
    let applets = recipe::APPLETS.iter().map(|applet| (format!("usr/bin/{applet}"), "busybox"));
    for (path, target) in links.chain(applets) {
        tree.insert(&path, Node::Link { target: target.to_owned() }, "recipe")?;
    }
    // The kernel opens the console before anything is mounted.
    tree.insert("dev/console", Node::Device { mode: 0o600, number: (5, 1) }, "recipe")?;
    for path in recipe::FILES {
        let found = find(packages, path).ok_or_else(|| GatherError::Absent((*path).to_owned()))?;
        tree.insert(path, file(&found.1)?, &found.0.name)?;
    }
    for (path, from) in recipe::PROGRAMS {
        let (package, found) = find(packages, from).ok_or_else(|| GatherError::Absent((*from).to_owned()))?;
        let node = file(&found)?;
        follow(&mut tree, packages, &found, &node)?;
        tree.insert(path, node, &package.name)?;
    }
    for library in recipe::LIBRARIES {
        add_library(&mut tree, packages, library, "the agent")?;
    }
    certificates(&mut tree, packages)?;
    Ok(tree)
}

/// Adds the agent and the libraries it needs.
///
/// # Errors
/// The file is no program, or needs a library no package of the recipe has.
pub fn add_agent(tree: &mut Tree, agent: &Path, packages: &[Package]) -> Result<(), GatherError> {
    let data = fs::read(agent).map_err(|source| io(agent, source))?;
    if !data.starts_with(b"\x7fELF\x02\x01") {
        return Err(GatherError::Agent(agent.to_owned()));
    }
    let node = Node::File { mode: 0o755, data };
    follow(tree, packages, agent, &node)?;
    Ok(tree.insert("usr/sbin/agent", node, "agent")?)
}

/// Most files of one folder, and its deepest path: more is a mistake, such as `/`.
const MAX_ADDED: usize = 20_000;
const MAX_DEPTH: usize = 32;

/// Adds the files of an operator's folder at the same paths, with the libraries of its programs. Files become 0644, or
/// 0755 if their owner may run them; links stay links; what the ramdisk has already cannot be replaced.
///
/// # Errors
/// An unreadable file, a clash, a library that no package has, or something that is neither file, folder nor link.
pub fn add_folder(tree: &mut Tree, folder: &Path, packages: &[Package]) -> Result<(), GatherError> {
    let origin = folder.display().to_string();
    // Libraries may come with the folder; those of the recipe's packages go first.
    let own = Package { name: origin.clone(), version: String::new(), sha256: String::new(), root: folder.to_owned() };
    let packages: Vec<Package> = packages.iter().cloned().chain([own]).collect();
    let mut open = vec![(folder.to_owned(), String::new(), 0)];
    let mut count = 0;
    while let Some((place, below, depth)) = open.pop() {
        let entries = fs::read_dir(&place).map_err(|source| io(&place, source))?;
        for entry in entries {
            let path = entry.map_err(|source| io(&place, source))?.path();
            count += 1;
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.filter(|_| count <= MAX_ADDED && depth < MAX_DEPTH);
            let name = name.ok_or_else(|| GatherError::Added(path.clone()))?;
            let inside = format!("{below}/{name}");
            let facts = fs::symlink_metadata(&path).map_err(|source| io(&path, source))?;
            if facts.is_dir() {
                open.push((path, inside, depth + 1));
                continue;
            }
            let node = if facts.is_symlink() {
                let target = fs::read_link(&path).map_err(|source| io(&path, source))?;
                Node::Link { target: target.to_str().ok_or_else(|| GatherError::Added(path.clone()))?.to_owned() }
            } else if facts.is_file() {
                file(&path)?
            } else {
                return Err(GatherError::Added(path));
            };
            follow(tree, &packages, &path, &node)?;
            tree.insert(&inside, node, &origin)?;
        }
    }
    Ok(())
}

/// Adds the interpreter and the libraries a program or library needs.
fn follow(tree: &mut Tree, packages: &[Package], path: &Path, node: &Node) -> Result<(), GatherError> {
    let Node::File { data, .. } = node else { return Ok(()) };
    let needs = elf::needs(data).map_err(|source| GatherError::Elf { path: path.to_owned(), source })?;
    let Some(needs) = needs else { return Ok(()) };
    if let Some(interpreter) = needs.interpreter {
        let bare = interpreter.trim_start_matches('/');
        let absent = || GatherError::Library { library: interpreter.clone(), user: path.display().to_string() };
        let (package, found) = find(packages, bare).ok_or_else(absent)?;
        tree.insert(bare, file(&found)?, &package.name)?;
    }
    for library in needs.libraries {
        add_library(tree, packages, &library, &path.display().to_string())?;
    }
    Ok(())
}

fn add_library(tree: &mut Tree, packages: &[Package], library: &str, user: &str) -> Result<(), GatherError> {
    let lookup = |folder: &'static str| Some((folder, find(packages, &format!("{folder}/{library}"))?));
    let absent = || GatherError::Library { library: library.to_owned(), user: user.to_owned() };
    let (folder, (package, path)) = recipe::LIBRARY_FOLDERS.iter().copied().find_map(lookup).ok_or_else(absent)?;
    // One name for the two folders: Debian's merged layout makes them one.
    let place = format!("{}/{library}", folder.trim_start_matches("usr/"));
    if tree.has(&place) {
        return Ok(());
    }
    let node = file(&path)?;
    tree.insert(&place, node.clone(), &package.name)?;
    follow(tree, packages, &path, &node)
}

fn certificates(tree: &mut Tree, packages: &[Package]) -> Result<(), GatherError> {
    let absent = || GatherError::Absent(recipe::CERTIFICATES.to_owned());
    let (package, folder) = find(packages, recipe::CERTIFICATES).ok_or_else(absent)?;
    let entries = fs::read_dir(&folder).map_err(|source| io(&folder, source))?;
    let files: BTreeSet<PathBuf> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    let mut data = Vec::new();
    for path in files {
        data.extend(fs::read(&path).map_err(|source| io(&path, source))?);
        if !data.ends_with(b"\n") {
            data.push(b'\n');
        }
    }
    Ok(tree.insert(recipe::CERTIFICATE_BUNDLE, Node::File { mode: 0o644, data }, &package.name)?)
}

fn file(path: &Path) -> Result<Node, GatherError> {
    let data = fs::read(path).map_err(|source| io(path, source))?;
    let mode = fs::metadata(path).map_err(|source| io(path, source))?.permissions().mode();
    Ok(Node::File { mode: if mode & 0o111 == 0 { 0o644 } else { 0o755 }, data })
}

/// The first package that has `path`, and where it lies.
pub fn find<'a>(packages: &'a [Package], path: &str) -> Option<(&'a Package, PathBuf)> {
    packages.iter().find_map(|package| rooted(&package.root, path).map(|found| (package, found)))
}

/// `path` below `root`, its symbolic links followed as if `root` were `/`: an absolute link in a package must not lead
/// to this machine's own files.
fn rooted(root: &Path, path: &str) -> Option<PathBuf> {
    let mut open: Vec<String> = parts(Path::new(path));
    let (mut at, mut links) = (PathBuf::new(), 0);
    while let Some(part) = open.pop() {
        if part == ".." {
            at.pop();
            continue;
        }
        let next = root.join(&at).join(&part);
        let Ok(target) = fs::read_link(&next) else {
            at.push(part);
            continue;
        };
        links += 1;
        if links > 32 {
            return None;
        }
        if target.is_absolute() {
            at.clear();
        }
        open.extend(parts(&target));
    }
    let found = root.join(at);
    found.exists().then_some(found)
}

/// The parts in reverse, ready to be popped.
fn parts(path: &Path) -> Vec<String> {
    let part = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        Component::ParentDir => Some("..".to_owned()),
        _ => None,
    };
    let mut parts: Vec<String> = path.components().filter_map(part).collect();
    parts.reverse();
    parts
}

fn io(path: &Path, source: std::io::Error) -> GatherError {
    GatherError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::{GatherError, add_agent, add_folder, rooted};
    use crate::packages::Package;
    use crate::tree::{Node, Tree};

    fn package(name: &str, root: &std::path::Path) -> Package {
        Package { name: name.into(), version: "1".into(), sha256: String::new(), root: root.to_owned() }
    }

    #[test]
    fn links_of_a_package_stay_inside_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("usr/lib")).unwrap();
        fs::write(root.path().join("usr/lib/real"), "x").unwrap();
        symlink("/usr/lib/real", root.path().join("absolute")).unwrap();
        symlink("../../../usr/lib/real", root.path().join("usr/lib/climbs")).unwrap();
        symlink("/etc/passwd", root.path().join("outside")).unwrap();
        symlink("loop", root.path().join("loop")).unwrap();
        let real = Some(root.path().join("usr/lib/real"));
        assert_eq!(rooted(root.path(), "absolute"), real);
        assert_eq!(rooted(root.path(), "usr/lib/climbs"), real);
        assert_eq!(rooted(root.path(), "outside"), None);
        assert_eq!(rooted(root.path(), "loop"), None);
    }

    #[test]
    fn a_library_nobody_has_is_named_with_its_user() {
        let root = tempfile::tempdir().unwrap();
        let me = std::env::current_exe().unwrap();
        let error = add_agent(&mut Tree::merged().unwrap(), &me, &[package("empty", root.path())]).unwrap_err();
        assert!(matches!(error, GatherError::Library { .. }), "{error}");
    }

    #[test]
    fn a_script_is_no_agent() {
        let root = tempfile::tempdir().unwrap();
        let script = root.path().join("agent");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        let error = add_agent(&mut Tree::merged().unwrap(), &script, &[]).unwrap_err();
        assert!(error.to_string().contains("--agent"), "{error}");
    }

    #[test]
    fn an_operators_folder_adds_files_and_replaces_none() {
        let folder = tempfile::tempdir().unwrap();
        let steps = folder.path().join("etc/wrought/steps.d");
        fs::create_dir_all(&steps).unwrap();
        fs::write(steps.join("widget.toml"), "[[step]]").unwrap();
        fs::write(steps.join("widget"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(steps.join("widget"), fs::Permissions::from_mode(0o777)).unwrap();
        symlink("widget", steps.join("other")).unwrap();
        let mut tree = Tree::merged().unwrap();
        add_folder(&mut tree, folder.path(), &[]).unwrap();
        let mode = |path: &str| match &tree.items().find(|(at, _)| *at == path).unwrap().1.node {
            Node::File { mode, .. } => *mode,
            other => panic!("{other:?}"),
        };
        assert_eq!(mode("etc/wrought/steps.d/widget"), 0o755, "not writable for others");
        assert_eq!(mode("etc/wrought/steps.d/widget.toml"), 0o644);
        assert!(tree.has("etc/wrought/steps.d/other"));
        let taken = Node::File { mode: 0o644, data: b"x".to_vec() };
        let mut full = Tree::merged().unwrap();
        full.insert("etc/wrought/steps.d/widget", taken, "recipe").unwrap();
        let error = add_folder(&mut full, folder.path(), &[]).unwrap_err();
        assert!(matches!(error, GatherError::Tree(_)), "{error}");
        std::os::unix::net::UnixListener::bind(steps.join("socket")).unwrap();
        let error = add_folder(&mut Tree::merged().unwrap(), folder.path(), &[]).unwrap_err();
        assert!(matches!(error, GatherError::Added(_)), "{error}");
        let lonely = tempfile::tempdir().unwrap();
        fs::copy(std::env::current_exe().unwrap(), lonely.path().join("program")).unwrap();
        let error = add_folder(&mut Tree::merged().unwrap(), lonely.path(), &[]).unwrap_err();
        assert!(matches!(error, GatherError::Library { .. }), "{error}");
    }

    #[test]
    fn this_machine_as_a_package_satisfies_this_test() {
        let mut tree = Tree::merged().unwrap();
        let me = std::env::current_exe().unwrap();
        add_agent(&mut tree, &me, &[package("host", std::path::Path::new("/"))]).unwrap();
        assert!(tree.has("usr/sbin/agent") && tree.has("lib64/ld-linux-x86-64.so.2"));
        assert!(tree.has("lib/x86_64-linux-gnu/libc.so.6"));
    }
}
