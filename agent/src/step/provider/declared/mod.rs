//! Steps without rebuilding: executables in a folder of the ramdisk, declared in TOML files beside them.
//!
//! How to write one is in `docs/operating.md`. Whatever is wrong with a file or a program is said in the log at the
//! start and only that step is missing; a step that has the name of a built-in one is refused, whatever machine it is.

pub mod description;
mod run;

use super::Offered;
use crate::step::{StepContext, StepError};
use common::digest::Hasher;
use common::image_ref::DigestKind;
use common::step::{ArgInfo, Step, StepKind};
use description::{Description, ReadError};
use serde_json::{Map, Value};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The manager's name in step lists.
pub const CLASS: &str = "DeclaredStepsHardwareManager";
/// Its name in version maps.
pub const NAME: &str = "declared_steps";

/// Most files in the folder, most steps in all, largest description, largest program.
const MAX_FILES: usize = 256;
const MAX_STEPS: usize = 256;
const MAX_DESCRIPTION: u64 = 256 << 10;
const MAX_PROGRAM: u64 = 256 << 20;

/// The conductor does these itself, or knows them from another manager.
const RESERVED: [&str; 7] =
    ["power_on", "power_off", "reboot", "hold", "wait", "generic_container_step", "container_clean_step"];

/// The steps of a folder, and one version for all of them: any change of a description or a program changes it.
pub struct Folder {
    /// A digest over descriptions and programs.
    pub version: String,
    /// Those that can be used.
    pub steps: Vec<Declared>,
}

/// One step.
#[derive(Debug)]
pub struct Declared {
    description: Description,
    program: PathBuf,
    digest: String,
}

/// Why a file or a step is not used.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("{} cannot be read: {source}", path.display())]
    Io { path: PathBuf, source: std::io::Error },
    #[error("{} may be changed by others than {owner}: `chown {owner}` and `chmod go-w` it", path.display(), owner = if *uid == 0 { "root".to_owned() } else { format!("user {uid}") })]
    Open { path: PathBuf, uid: u32 },
    #[error("{} is not a plain file", path.display())]
    Kind { path: PathBuf },
    #[error("{} is not executable: `chmod u+x` it", path.display())]
    NotExecutable { path: PathBuf },
    #[error("{} has more than {limit} bytes", path.display())]
    Large { path: PathBuf, limit: u64 },
    #[error(transparent)]
    Description(#[from] ReadError),
    #[error("the name `{0}` belongs to a built-in step, which a declared one can never replace; choose another")]
    Shadows(String),
    #[error("the name `{0}` is declared twice")]
    Twice(String),
}

/// Reads the folder; `None` when there is no step in it. `taken`: names of built-in steps.
pub fn load(folder: &Path, taken: &[&str]) -> Option<Folder> {
    let entries = std::fs::read_dir(folder).ok()?;
    if let Err(why) = belongs_to_us(folder) {
        tracing::error!(%why, "no declared step is offered");
        return None;
    }
    let mut files: Vec<PathBuf> = entries.take(MAX_FILES).filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    files.sort();
    let mut version = Hasher::new(DigestKind::Sha256);
    let mut steps: Vec<Declared> = Vec::new();
    for file in files {
        let text = match plain_file(&file, MAX_DESCRIPTION).and_then(|bytes| {
            version.update(&bytes);
            Ok(description::read(&file, &String::from_utf8_lossy(&bytes))?)
        }) {
            Ok(descriptions) => descriptions,
            Err(why) => {
                tracing::error!(%why, "declared steps are not offered");
                continue;
            }
        };
        for description in text {
            let name = description.name.clone();
            match accept(folder, description, taken, &steps) {
                Ok(step) if steps.len() < MAX_STEPS => {
                    tracing::info!(step = %name, program = %step.program.display(), "declared step");
                    version.update(step.digest.as_bytes());
                    steps.push(step);
                }
                Ok(_) => tracing::error!(step = %name, "more than {MAX_STEPS} declared steps: the rest is not offered"),
                Err(why) => tracing::error!(step = %name, %why, "the declared step is not offered"),
            }
        }
    }
    let version = version.hex();
    (!steps.is_empty()).then(|| Folder { version: version.get(..16).unwrap_or(&version).to_owned(), steps })
}

fn accept(folder: &Path, description: Description, taken: &[&str], others: &[Declared]) -> Result<Declared, Refused> {
    let name = &description.name;
    if taken.contains(&name.as_str()) || RESERVED.contains(&name.as_str()) {
        return Err(Refused::Shadows(name.clone()));
    }
    if others.iter().any(|other| other.description.name == *name) {
        return Err(Refused::Twice(name.clone()));
    }
    let program = folder.join(&description.program);
    let digest = program_digest(&program)?;
    Ok(Declared { description, program, digest })
}

/// The digest of a program that may be run.
fn program_digest(path: &Path) -> Result<String, Refused> {
    let bytes = plain_file(path, MAX_PROGRAM)?;
    let mode =
        std::fs::metadata(path).map_err(|source| Refused::Io { path: path.into(), source })?.permissions().mode();
    if mode & 0o100 == 0 {
        return Err(Refused::NotExecutable { path: path.into() });
    }
    let mut hasher = Hasher::new(DigestKind::Sha256);
    hasher.update(&bytes);
    Ok(hasher.hex())
}

/// The bytes of a plain file (no link) that nobody but us may change.
fn plain_file(path: &Path, limit: u64) -> Result<Vec<u8>, Refused> {
    belongs_to_us(path)?;
    let io = |source| Refused::Io { path: path.into(), source };
    if !std::fs::symlink_metadata(path).map_err(io)?.is_file() {
        return Err(Refused::Kind { path: path.into() });
    }
    let mut bytes = Vec::new();
    std::fs::File::open(path).map_err(io)?.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > limit {
        return Err(Refused::Large { path: path.into(), limit });
    }
    Ok(bytes)
}

/// Owned by root or the user of this process, and not writable for others.
fn belongs_to_us(path: &Path) -> Result<(), Refused> {
    let facts = std::fs::symlink_metadata(path).map_err(|source| Refused::Io { path: path.into(), source })?;
    let uid = nix::unistd::geteuid().as_raw();
    let safe = (facts.uid() == 0 || facts.uid() == uid) && facts.permissions().mode() & 0o022 == 0;
    if safe || facts.is_symlink() { Ok(()) } else { Err(Refused::Open { path: path.into(), uid }) }
}

impl Offered for Declared {
    fn name(&self) -> &str {
        &self.description.name
    }

    fn step(&self, kind: StepKind) -> Option<Step> {
        let step = &self.description;
        let info = |(name, arg): (&String, &description::Arg)| {
            (name.clone(), ArgInfo { description: arg.description.clone(), required: arg.required })
        };
        let argsinfo = (!step.args.is_empty()).then(|| step.args.iter().map(info).collect());
        Some(Step {
            step: step.name.clone(),
            interface: step.interface.clone(),
            priority: Some(step.priority(kind)?),
            reboot_requested: Some(step.reboot_requested),
            abortable: step.abortable.then_some(true),
            argsinfo,
            args: None,
            other: Map::new(),
        })
    }

    fn check(&self, step: &Step) -> Result<(), String> {
        self.description.check(step.args.as_ref())
    }

    fn run(&self, kind: StepKind, step: &Step, context: &StepContext) -> Result<Value, StepError> {
        run::run(self, kind, step, context)
    }
}

#[cfg(test)]
mod tests;
