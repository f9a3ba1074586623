//! What a burn-in leaves: a line in the log, and the file that the operator named, for the log bundle.

use super::BurnIn;
use nix::fcntl::OFlag;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes the report; a file that is there already gets another line. Nothing but a plain file is written to: the name comes from the
/// node's record, and must not be able to mean a disk.
///
/// # Errors
/// No such folder, or something else than a file has that name.
pub fn leave(file: Option<&Path>, text: &str) -> Result<(), BurnIn> {
    tracing::info!(report = text, "burn-in");
    let Some(path) = file else { return Ok(()) };
    let fail = |why: String| BurnIn::Settings(format!("the report cannot be written to {}: {why}", path.display()));
    let flags = (OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC).bits();
    if let Ok(there) = std::fs::symlink_metadata(path)
        && !there.is_file()
    {
        return Err(fail("it is there and is no plain file".into()));
    }
    let opened = OpenOptions::new().append(true).create(true).custom_flags(flags).open(path);
    let mut file = opened.map_err(|cause| fail(cause.to_string()))?;
    if !file.metadata().is_ok_and(|facts| facts.is_file()) {
        return Err(fail("it is no plain file".into()));
    }
    file.write_all(format!("{text}\n").as_bytes()).map_err(|cause| fail(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::leave;

    #[test]
    fn only_plain_files_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("cpu.log");
        leave(Some(&path), "one").unwrap();
        leave(Some(&path), "two").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "one\ntwo\n");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        for bad in [link.as_path(), "/dev/null".as_ref(), folder.path(), "/no/such/folder/x".as_ref()] {
            assert!(leave(Some(bad), "x").is_err(), "{}", bad.display());
        }
        leave(None, "x").unwrap();
    }
}
