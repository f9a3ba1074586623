//! The API on a Unix socket: nobody reaches it before its rights are set, and only a socket that nobody serves is replaced.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net;
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// Rights when the option says nothing: the owner's alone.
const MODE: u32 = 0o600;

/// The file of a socket; removed when this goes, if it is still the same.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Which file it is: numbers of files that are gone are given anew, the time of their making is not.
type Identity = (u64, u64, i64, i64);

fn identity(path: &Path) -> io::Result<Identity> {
    let facts = fs::symlink_metadata(path)?;
    Ok((facts.dev(), facts.ino(), facts.ctime(), facts.ctime_nsec()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|now| now == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    _file: SocketFile,
}

impl Socket {
    /// The next connection.
    ///
    /// # Errors
    /// The system's.
    pub async fn accept(&self) -> io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// Octal rights, as the option has them.
///
/// # Errors
/// The text, when it is none.
pub fn mode(text: Option<&str>) -> Result<u32, String> {
    let Some(text) = text else { return Ok(MODE) };
    let digits = text.trim().strip_prefix("0o").unwrap_or(text.trim());
    u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o777).ok_or_else(|| text.to_owned())
}

/// Listens. The socket is made in a folder that only we can enter, gets its rights there and is then moved to its place.
///
/// # Errors
/// The system's; [`io::ErrorKind::AddrInUse`] when somebody serves it or something else is there.
pub fn bind(path: &Path, mode: u32) -> io::Result<Socket> {
    make_room(path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let private = folder.join(format!(".w{}", std::process::id()));
    let _ = fs::remove_dir_all(&private);
    DirBuilder::new().mode(0o700).create(&private)?;
    let made = made(&private.join("s"), path, mode);
    let _ = fs::remove_dir_all(&private);
    made
}

fn made(here: &Path, path: &Path, mode: u32) -> io::Result<Socket> {
    let listener = net::UnixListener::bind(here)?;
    fs::set_permissions(here, Permissions::from_mode(mode))?;
    fs::rename(here, path)?;
    let file = SocketFile { path: path.into(), identity: identity(path)? };
    listener.set_nonblocking(true)?;
    Ok(Socket { listener: UnixListener::from_std(listener)?, _file: file })
}

/// Removes a socket on which nobody listens.
fn make_room(path: &Path) -> io::Result<()> {
    let in_use = |text: &str| Err(io::Error::new(io::ErrorKind::AddrInUse, text.to_owned()));
    let facts = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        facts => facts?,
    };
    if !facts.file_type().is_socket() {
        return in_use("something is there that is no socket; remove it or choose another path");
    }
    match net::UnixStream::connect(path) {
        Ok(_) => in_use("somebody serves it already; is another conductor running?"),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_socket_has_its_rights_is_not_taken_from_its_server_and_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("api.sock");
        let first = bind(&path, 0o660).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        assert_eq!(bind(&path, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        // Nobody listens any more, but the file is there as after a power cut.
        let Socket { listener, _file: file } = first;
        drop(listener);
        let second = bind(&path, 0o600).unwrap();
        drop(file);
        assert!(path.exists(), "it is another's now");
        drop(second);
        assert!(!path.exists());
        fs::write(&path, "data").unwrap();
        assert!(bind(&path, 0o600).unwrap_err().to_string().contains("no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    }

    #[test]
    fn rights_are_octal() {
        assert_eq!((mode(None), mode(Some("660")), mode(Some("0o666"))), (Ok(0o600), Ok(0o660), Ok(0o666)));
        for bad in ["rw", "999", "10777", ""] {
            assert_eq!(mode(Some(bad)), Err(bad.to_owned()));
        }
    }
}
