//! What the operator asked for: defaults, kernel line, configuration files, flags — the later beats the earlier (but for
//! `ipa-debug`, which beats the files).
//!
//! Names and defaults: ipa-features sections 2 and 3. This room only reads and checks; it acts on nothing.

pub mod container;
pub mod ini;
mod kernel_line;
mod options;
mod values;

pub use kernel_line::KernelLine;
pub use values::{Config, Mdns};

use std::path::{Path, PathBuf};

/// Where configuration files are looked for when no flag says otherwise.
pub const DEFAULT_DIR: &str = "/etc/ironic-python-agent.d";

/// Largest configuration file that is read, bytes.
const MAX_FILE: u64 = 1024 * 1024;

/// A configuration that cannot be worked with.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A URL that is none.
    #[error("`{option}`: `{text}` is not an http or https URL ({why})")]
    Url {
        /// Which option.
        option: String,
        /// What was given.
        text: String,
        /// What is wrong.
        why: String,
    },
    /// A file that cannot be read.
    #[error("configuration {path}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A flag with an unusable value. (The same in a file or on the kernel line is a complaint in the log.)
    #[error("`{option}`: {why}")]
    Flag {
        /// Which flag.
        option: String,
        /// What is wrong.
        why: String,
    },
}

impl Config {
    /// Reads `kernel_line`, then every `*.conf` file in `dir` in order of names, then the named `files`, then `flags` (pairs of
    /// option name and value).
    ///
    /// # Errors
    /// [`ConfigError`] for what makes the agent useless; everything else is noted in [`Config::complaints`].
    pub fn load(
        kernel_line: &KernelLine,
        dir: Option<&Path>,
        files: &[PathBuf],
        flags: &[(&str, String)],
    ) -> Result<Self, ConfigError> {
        let mut config = Self::default();
        options::apply_kernel_line(&mut config, kernel_line)?;
        let of_dir = config_files(dir.unwrap_or(Path::new(DEFAULT_DIR)), dir.is_some())?;
        for file in of_dir.iter().chain(files) {
            config.read(&file.display().to_string(), &read_bounded(file)?)?;
        }
        options::apply_debug(&mut config, kernel_line);
        for (key, value) in flags {
            options::apply_flag(&mut config, key, value)?;
        }
        let nothing_said = config.api_urls.is_empty() && config.inspection_callback_urls.is_empty();
        config.api_by_mdns |= config.mdns.use_mdns && nothing_said && !config.inspection_by_mdns;
        config.complain_of_halves();
        Ok(config)
    }

    /// Options that mean nothing without each other.
    fn complain_of_halves(&mut self) {
        if self.certfile.is_some() != self.keyfile.is_some() {
            self.complaints.push("only one of `certfile` and `keyfile` is set: both are ignored".into());
        }
        if self.tls_cert_file.is_some() != self.tls_key_file.is_some() {
            self.complaints.push("only one of `tls_cert_file` and `tls_key_file` is set: both are ignored".into());
        } else if self.listen_tls && self.tls_cert_file.is_none() {
            self.complaints
                .push("`listen_tls` is set without `tls_cert_file` and `tls_key_file`: it has no effect".into());
        }
    }

    /// Takes what a configuration file says; `name` is the file's, for people.
    ///
    /// # Errors
    /// A URL that is none.
    pub fn read(&mut self, name: &str, text: &str) -> Result<(), ConfigError> {
        for (section, key, value) in ini::parse(text) {
            options::apply_file(self, name, &section, &key, &value)?;
        }
        Ok(())
    }

    /// Sets one option by its name in a file.
    ///
    /// # Errors
    /// No such option, or an unusable value: nothing is changed then.
    pub fn set(&mut self, option: &str, value: &str) -> Result<(), ConfigError> {
        options::apply_flag(self, option, value)
    }

    /// Inspection is wanted: a place to send to, or collectors together with an API.
    pub fn wants_inspection(&self) -> bool {
        !self.inspection_callback_urls.is_empty() || (self.inspection_collectors.is_some() && !self.api_urls.is_empty())
    }

    /// The certificate for servers that ask for one, if both files are named.
    pub fn client_files(&self) -> Option<(PathBuf, PathBuf)> {
        self.certfile.clone().zip(self.keyfile.clone())
    }

    /// Certificate and key files that the operator provided, if both are there.
    pub fn static_tls(&self) -> Option<(&Path, &Path)> {
        self.tls_cert_file.as_deref().zip(self.tls_key_file.as_deref())
    }
}

/// The files in order; a missing directory is an error only when it was named (`must_exist`).
fn config_files(dir: &Path, must_exist: bool) -> Result<Vec<PathBuf>, ConfigError> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(_) if !must_exist => return Ok(Vec::new()),
        Err(source) => return Err(ConfigError::Read { path: dir.into(), source }),
    };
    let mut files: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|end| end == "conf") && path.is_file())
        .collect();
    files.sort();
    Ok(files)
}

fn read_bounded(path: &Path) -> Result<String, ConfigError> {
    use std::io::Read;
    let read = || -> std::io::Result<String> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?.take(MAX_FILE).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().map_err(|source| ConfigError::Read { path: path.into(), source })
}

#[cfg(test)]
mod tests;
