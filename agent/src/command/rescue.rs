//! `rescue.finalize_rescue`: leaves the rescue user's password for the ramdisk, and ends the agent (agent-protocol 7.2).
//!
//! The ramdisk makes the user `rescue` of it and opens the door ([`PASSWORD_FILE`] and [`MARKER`]; agent-protocol 19.5). From then on
//! a tenant is root here, so nothing secret of the conductor may be left behind: `serve` sees to it.

use super::call::{Call, Failure};
use super::ending::Ending;
use super::refused::Refused;
use serde_json::{Map, Value};
use sha_crypt::{PasswordHasher, ShaCrypt};
use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Where the ramdisk waits for the hash, below its `/etc`.
pub const PASSWORD_FILE: &str = "ipa-rescue-config/ipa-rescue-password";
/// An agent that finds it below `/etc` does not start.
pub const MARKER: &str = ".rescued";

/// Longest password or hash taken; a line of the password file has its limits.
const LONGEST: usize = 512;
/// Random bytes of a salt: 16 characters of it are used (the crypt format's own limit).
const SALT: usize = 12;

/// `rescue_password` must be a text that can stand in a password file, `hashed` a truth value.
pub fn check(params: &Map<String, Value>) -> Result<(), Refused> {
    let hashed = hashed(params)?;
    let password = password(params)?;
    match hashed {
        true if !is_hash(password) => {
            refuse("`rescue_password` is said to be hashed, but is no crypt hash ($id$salt$hash)")
        }
        _ => Ok(()),
    }
}

/// Writes the hash and ends the agent once the answer has left.
pub fn finalize(call: &Call) -> Result<Value, Failure> {
    let given = || -> Result<(bool, &str), Refused> { Ok((hashed(&call.params)?, password(&call.params)?)) };
    let (hashed, password) = given().map_err(|refused| Failure::execution(refused.to_string()))?;
    let hash = match hashed {
        true => Zeroizing::new(password.to_owned()),
        false => hash(password)?,
    };
    let etc = &call.agent.0.etc;
    leave(etc, &hash)?;
    if let Err(cause) = fs::write(etc.join(MARKER), "") {
        tracing::warn!(error = %cause, "the marker of a finished rescue was not written");
    }
    tracing::info!("the rescue user has its password; this agent ends");
    call.agent.end(Ending::Rescued);
    Ok(Value::Null)
}

fn hashed(params: &Map<String, Value>) -> Result<bool, Refused> {
    match params.get("hashed") {
        None | Some(Value::Null) => Ok(false),
        Some(Value::Bool(hashed)) => Ok(*hashed),
        Some(_) => refuse("`hashed` is neither true nor false"),
    }
}

fn password(params: &Map<String, Value>) -> Result<&str, Refused> {
    let Some(Value::String(password)) = params.get("rescue_password") else {
        return refuse("`rescue_password` is missing, or no text");
    };
    match password {
        none if none.is_empty() => refuse("`rescue_password` is empty: anybody could log in"),
        long if long.len() > LONGEST => refuse("`rescue_password` is longer than 512 bytes"),
        _ => Ok(password),
    }
}

fn refuse<T>(why: &str) -> Result<T, Refused> {
    Err(Refused::Params(why.into()))
}

/// `$5$salt$hash` and the like: what cannot end a field or a line of the password file.
fn is_hash(text: &str) -> bool {
    let fields: Vec<&str> = text.split('$').collect();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./=,$_-".contains(&byte);
    fields.len() >= 4
        && fields[0].is_empty()
        && fields[1..].iter().all(|field| !field.is_empty())
        && text.bytes().all(plain)
}

/// SHA-256 crypt, which every ramdisk's login knows.
fn hash(password: &str) -> Result<Zeroizing<String>, Failure> {
    let salt: [u8; SALT] = rand::random();
    let hash = ShaCrypt::SHA256.hash_password_with_salt(password.as_bytes(), &salt);
    let hash = hash.map_err(|cause| Failure::execution(format!("the rescue password could not be hashed: {cause}")))?;
    Ok(Zeroizing::new(hash.as_str().to_owned()))
}

/// Whoever waits for the file sees it whole: it is written beside its name and renamed.
fn leave(etc: &Path, hash: &str) -> Result<(), Failure> {
    let path = etc.join(PASSWORD_FILE);
    let beside = path.with_extension("new");
    let write = || {
        let _ = fs::remove_file(&beside);
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
        file.write_all(hash.as_bytes())?;
        fs::rename(&beside, &path)
    };
    write().map_err(|cause: std::io::Error| {
        Failure::execution(format!(
            "the hashed rescue password was not written to {}: {cause}; the folder must exist in the ramdisk, whose start-up makes the user \
             `rescue` of the file",
            path.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::{MARKER, PASSWORD_FILE, check, is_hash};
    use crate::command::{Commands, Ending, Facts, Power};
    use crate::config::Config;
    use common::command::{CommandRequest, CommandStatus};
    use serde_json::{Map, Value, json};
    use sha_crypt::{PasswordVerifier, ShaCrypt};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    const HASH: &str = "$5$rounds=5000$saltsalt$3Y.KXwGHrs4GkHNp2hNhBWSGAzHiVFYOyl1rL3bl1d8";

    fn params(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn commands(etc: &Path) -> Commands {
        Commands::with_etc(Facts::new(&Config::default(), vec![]), Power::Kernel, etc.to_owned())
    }

    fn order(value: Value) -> CommandRequest {
        CommandRequest { name: "rescue.finalize_rescue".into(), params: params(value) }
    }

    #[test]
    fn what_cannot_be_a_password_is_refused_at_the_door() {
        for bad in [
            json!({}),
            json!({"rescue_password": ""}),
            json!({"rescue_password": 5}),
            json!({"rescue_password": "x", "hashed": "yes"}),
            json!({"rescue_password": "plain", "hashed": true}),
            json!({"rescue_password": "$5$salt$ha:sh", "hashed": true}),
            json!({"rescue_password": "$5$salt$hash\nroot::0:0", "hashed": true}),
            json!({"rescue_password": "x".repeat(513)}),
        ] {
            assert!(check(&params(bad.clone())).is_err(), "{bad}");
        }
        check(&params(json!({"rescue_password": HASH, "hashed": true}))).unwrap();
        check(&params(json!({"rescue_password": "colons: are fine in a password"}))).unwrap();
        assert!(is_hash("$6$abc$def") && is_hash("$y$j9T$salt$hash") && !is_hash("$5$$hash") && !is_hash("abc"));
    }

    #[tokio::test]
    async fn the_hash_is_left_for_the_ramdisk_and_the_agent_ends() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::create_dir(etc.path().join("ipa-rescue-config")).unwrap();
        let commands = commands(etc.path());
        let done = commands.run(order(json!({"rescue_password": HASH, "hashed": true})), false).await.unwrap();
        assert_eq!((done.command_status, done.command_result), (CommandStatus::Succeeded, None));
        let file = etc.path().join(PASSWORD_FILE);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), HASH);
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(etc.path().join(MARKER).exists());
        assert_eq!(commands.ended().await, Ending::Rescued);
    }

    #[tokio::test]
    async fn a_plain_password_is_hashed_so_that_login_knows_it() {
        let etc = tempfile::tempdir().unwrap();
        std::fs::create_dir(etc.path().join("ipa-rescue-config")).unwrap();
        commands(etc.path()).run(order(json!({"rescue_password": "open: sesame"})), false).await.unwrap();
        let hash = std::fs::read_to_string(etc.path().join(PASSWORD_FILE)).unwrap();
        assert!(hash.starts_with("$5$") && is_hash(&hash), "{hash}");
        ShaCrypt::SHA256.verify_password(b"open: sesame", hash.as_str()).unwrap();
    }

    #[tokio::test]
    async fn a_ramdisk_without_the_folder_is_told_and_the_agent_goes_on() {
        let etc = tempfile::tempdir().unwrap();
        let commands = commands(etc.path());
        let done = commands.run(order(json!({"rescue_password": HASH, "hashed": true})), false).await.unwrap();
        assert_eq!(done.command_status, CommandStatus::Failed);
        let details = done.command_error.unwrap().details;
        assert!(details.contains("must exist in the ramdisk") && !details.contains("saltsalt"), "{details}");
        assert!(!etc.path().join(MARKER).exists());
        let soon = tokio::time::timeout(std::time::Duration::from_millis(50), commands.ended()).await;
        assert!(soon.is_err(), "the agent must go on");
    }
}
