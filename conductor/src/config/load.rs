//! Fills the configuration: defaults, then the file, then the environment, then flags. A key nobody knows is an error.

use super::options::{DOCS, OptionDoc};
use super::{
    Agent, AgentContainers, Api, AutoDiscovery, Boot, Conductor, Config, Cors, Deploy, Dhcp, Events, Fake, Healthcheck,
    InspectionRules, Inspector, Ipmi, KeystoneAuthtoken, Metrics, MetricsStatsd, Notifications, Oidc, OsloMiddleware,
    Pxe, Rabbit, Top, Vnc,
};
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toml::{Table, Value};

/// Every environment name begins with it: `WROUGHT_<SECTION>_<KEY>`, at the top level `WROUGHT_<KEY>`.
const PREFIX: &str = "WROUGHT_";

/// Names in the environment that are not options but belong to the program.
const NOT_OPTIONS: &[&str] = &["WROUGHT_CONFIG", "WROUGHT_DATA_DIR", "WROUGHT_LOG", "WROUGHT_CRASH_FILE"];

/// Ways to find out who asks.
const STRATEGIES: [&str; 4] = ["noauth", "http_basic", "keystone", "oidc"];

/// Larger files are no configuration.
const MAX_FILE: u64 = 1024 * 1024;

/// What flags say.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--listen`: replaces `[api] host_ip` and `port`.
    pub listen: Option<SocketAddr>,
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is larger than any configuration.
    #[error("the configuration file {0} is larger than 1 MiB; is it the right file?")]
    TooLarge(PathBuf),
    /// Not TOML.
    #[error("the configuration file {path} is not valid TOML: {text}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What the parser says, with line and column.
        text: String,
    },
    /// Nobody knows the key.
    #[error("{place}: there is no option `{key}` {section}{hint} `conductor config` prints every option")]
    Unknown {
        /// File or environment.
        place: String,
        /// The key.
        key: String,
        /// `in [api]` or `at the top level`.
        section: String,
        /// `; did you mean ...?`, or a full stop.
        hint: String,
    },
    /// A value of the wrong type or out of range.
    #[error("{place}: {text}")]
    Value {
        /// File or environment.
        place: String,
        /// What is wrong.
        text: String,
    },
}

/// Reads everything. `environment` is passed in so that tests need not touch the process's own.
///
/// # Errors
/// [`ConfigError`] names the file or variable, the key, and what to do.
pub fn load(
    file: Option<&Path>,
    environment: impl IntoIterator<Item = (String, String)>,
    overrides: &Overrides,
) -> Result<Config, ConfigError> {
    let mut table = Table::new();
    if let Some(path) = file {
        table = read(path)?;
        check(&path.display().to_string(), &table)?;
    }
    let place = file.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    for (name, text) in environment {
        if name.starts_with(PREFIX) && !NOT_OPTIONS.contains(&name.as_str()) {
            put_variable(&mut table, &name, &text)?;
        }
    }
    if let Some(address) = overrides.listen {
        put(&mut table, "api", "host_ip", Value::String(address.ip().to_string()));
        put(&mut table, "api", "port", Value::Integer(address.port().into()));
    }
    build(&place, table)
}

/// Where nodes are kept when nobody says: the system's place for root, the user's own otherwise.
pub fn default_data_dir() -> PathBuf {
    if nix::unistd::geteuid().is_root() {
        return "/var/lib/wrought".into();
    }
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_DATA_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".local/share")))
        .unwrap_or_else(std::env::temp_dir)
        .join("wrought")
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.into(), source };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_FILE {
        return Err(ConfigError::TooLarge(path.into()));
    }
    let text = std::fs::read_to_string(path).map_err(failed)?;
    text.parse::<Table>().map_err(|error| ConfigError::Syntax { path: path.into(), text: error.to_string() })
}

/// Refuses keys that are in no table. Serde could do it, but would not name the section nor the nearest key.
fn check(place: &str, table: &Table) -> Result<(), ConfigError> {
    let unknown = |key: &str, section: &str| ConfigError::Unknown {
        place: place.into(),
        key: key.into(),
        section: if section.is_empty() { "at the top level".into() } else { format!("in [{section}]") },
        hint: hint(key, section),
    };
    for (key, value) in table {
        match value {
            Value::Table(inner) if DOCS.iter().any(|doc| doc.section == key) => {
                if let Some(bad) = inner.keys().find(|name| find(key, name).is_none()) {
                    return Err(unknown(bad, key));
                }
            }
            _ if find("", key).is_some() => {}
            _ => return Err(unknown(key, "")),
        }
    }
    Ok(())
}

fn find(section: &str, name: &str) -> Option<&'static OptionDoc> {
    DOCS.iter().find(|doc| doc.section == section && doc.name == name)
}

/// The nearest option of any section; the same name elsewhere wins over a similar one here.
fn hint(key: &str, section: &str) -> String {
    let key = key.to_ascii_lowercase();
    let cost = |doc: &OptionDoc| (distance(&key, doc.name), usize::from(doc.section != section));
    let sections = DOCS.iter().map(|doc| doc.section).filter(|name| !name.is_empty());
    if section.is_empty()
        && let Some(name) = sections.min_by_key(|name| distance(&key, name)).filter(|name| distance(&key, name) <= 2)
    {
        return format!("; did you mean the section [{name}]?");
    }
    match DOCS.iter().min_by_key(|doc| cost(doc)).filter(|doc| distance(&key, doc.name) <= 1 + key.len() / 3) {
        Some(doc) if doc.section == section => format!("; did you mean `{}`?", doc.name),
        Some(doc) if doc.section.is_empty() => format!("; did you mean `{}` at the top level?", doc.name),
        Some(doc) => format!("; did you mean `{}` in [{}]?", doc.name, doc.section),
        None => ".".to_owned(),
    }
}

/// Edits between two words (Levenshtein).
fn distance(left: &str, right: &str) -> usize {
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.chars().enumerate() {
        let mut corner = row[0];
        row[0] = i + 1;
        for (j, b) in right.iter().enumerate() {
            let best = (corner + usize::from(a != *b)).min(row[j] + 1).min(row[j + 1] + 1);
            corner = row[j + 1];
            row[j + 1] = best;
        }
    }
    row[right.len()]
}

fn put(table: &mut Table, section: &str, name: &str, value: Value) {
    if section.is_empty() {
        table.insert(name.into(), value);
    } else if let Value::Table(inner) = table.entry(section).or_insert_with(|| Value::Table(Table::new())) {
        inner.insert(name.into(), value);
    }
}

fn put_variable(table: &mut Table, variable: &str, text: &str) -> Result<(), ConfigError> {
    let named = |doc: &&OptionDoc| {
        let middle = if doc.section.is_empty() { String::new() } else { format!("{}_", doc.section) };
        variable == format!("{PREFIX}{middle}{}", doc.name).to_ascii_uppercase()
    };
    let Some(doc) = DOCS.iter().find(named) else {
        let key = variable[PREFIX.len()..].to_ascii_lowercase();
        let (section, name) = DOCS
            .iter()
            .filter_map(|doc| key.strip_prefix(doc.section)?.strip_prefix('_').map(|name| (doc.section, name)))
            .next()
            .unwrap_or(("", &key));
        let section_text = if section.is_empty() { "at the top level".into() } else { format!("in [{section}]") };
        let (place, hint) = (format!("environment variable {variable}"), hint(name, section));
        return Err(ConfigError::Unknown { place, key: name.into(), section: section_text, hint });
    };
    let wrong = |what: &str| ConfigError::Value {
        place: format!("environment variable {variable}"),
        text: format!("`{text}` is not {what}"),
    };
    let kind = doc.kind.replace(' ', "");
    let kind = kind.strip_prefix("Option<").map_or(kind.as_str(), |inner| inner.trim_end_matches('>'));
    let value = match kind {
        "bool" => match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => Value::Boolean(true),
            "0" | "f" | "false" | "off" | "n" | "no" => Value::Boolean(false),
            _ => return Err(wrong("true or false")),
        },
        "Seconds" | "f64" => Value::Float(text.trim().parse().map_err(|_| wrong("a number"))?),
        "String" | "PathBuf" | "Secret" => Value::String(text.into()),
        list if list.starts_with("Vec<") => Value::Array(
            text.split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.into()))
                .collect(),
        ),
        _ => Value::Integer(text.trim().parse().map_err(|_| wrong("a whole number"))?),
    };
    put(table, doc.section, doc.name, value);
    Ok(())
}

fn build(place: &str, mut table: Table) -> Result<Config, ConfigError> {
    let config = Config {
        api: section::<Api>(place, &mut table, "api")?,
        keystone_authtoken: section::<KeystoneAuthtoken>(place, &mut table, "keystone_authtoken")?,
        oidc: section::<Oidc>(place, &mut table, "oidc")?,
        oslo_middleware: section::<OsloMiddleware>(place, &mut table, "oslo_middleware")?,
        cors: section::<Cors>(place, &mut table, "cors")?,
        healthcheck: section::<Healthcheck>(place, &mut table, "healthcheck")?,
        conductor: section::<Conductor>(place, &mut table, "conductor")?,
        deploy: section::<Deploy>(place, &mut table, "deploy")?,
        fake: section::<Fake>(place, &mut table, "fake")?,
        agent: section::<Agent>(place, &mut table, "agent")?,
        agent_containers: section::<AgentContainers>(place, &mut table, "agent_containers")?,
        metrics: section::<Metrics>(place, &mut table, "metrics")?,
        metrics_statsd: section::<MetricsStatsd>(place, &mut table, "metrics_statsd")?,
        pxe: section::<Pxe>(place, &mut table, "pxe")?,
        boot: section::<Boot>(place, &mut table, "boot")?,
        dhcp: section::<Dhcp>(place, &mut table, "dhcp")?,
        ipmi: section::<Ipmi>(place, &mut table, "ipmi")?,
        inspection_rules: section::<InspectionRules>(place, &mut table, "inspection_rules")?,
        oslo_messaging_notifications: section::<Notifications>(place, &mut table, "oslo_messaging_notifications")?,
        oslo_messaging_rabbit: section::<Rabbit>(place, &mut table, "oslo_messaging_rabbit")?,
        events: section::<Events>(place, &mut table, "events")?,
        vnc: section::<Vnc>(place, &mut table, "vnc")?,
        auto_discovery: section::<AutoDiscovery>(place, &mut table, "auto_discovery")?,
        inspector: section::<Inspector>(place, &mut table, "inspector")?,
        top: typed::<Top>(place, table, "")?,
    };
    let wrong = |text: String| Err(ConfigError::Value { place: place.into(), text });
    let words: &[(&str, Option<&str>, &[&str])] = &[
        ("auth_strategy", config.top.auth_strategy.as_deref(), &STRATEGIES),
        (
            "rescue_password_hash_algorithm",
            Some(&config.conductor.rescue_password_hash_algorithm),
            &["sha256", "sha512"],
        ),
        ("automatic_lessee_source", Some(&config.conductor.automatic_lessee_source), &["instance", "request", "none"]),
        ("runner", Some(&config.agent_containers.runner), &["podman", "docker"]),
        ("agent_backend", Some(&config.metrics.agent_backend), &["noop", "statsd"]),
    ];
    for (name, word, known) in words {
        if let Some(word) = word.filter(|word| !known.contains(word)) {
            return wrong(format!("{name} `{word}` is not known; use one of {}", known.join(", ")));
        }
    }
    let fast = config.deploy.fast_track_timeout.0;
    if !(0.0..=300.0).contains(&fast) {
        return wrong(format!("[deploy] fast_track_timeout {fast}: 0 to 300 seconds"));
    }
    let group = &config.conductor.conductor_group;
    if !group.chars().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase() || "-_.".contains(c)) || group.len() > 255 {
        return wrong(format!("conductor_group `{group}`: use up to 255 of a-z, 0-9, hyphen, underscore and dot"));
    }
    Ok(config)
}

fn section<T: DeserializeOwned + Default>(place: &str, table: &mut Table, name: &str) -> Result<T, ConfigError> {
    match table.remove(name) {
        Some(Value::Table(inner)) => typed(place, inner, name),
        Some(_) => {
            Err(ConfigError::Value { place: place.into(), text: format!("`{name}` must be a section: [{name}]") })
        }
        None => Ok(T::default()),
    }
}

fn typed<T: DeserializeOwned>(place: &str, table: Table, name: &str) -> Result<T, ConfigError> {
    // One key at a time first: serde's own message does not say which key has the wrong type.
    for (key, value) in &table {
        let mut alone = Table::new();
        alone.insert(key.clone(), value.clone());
        if let Err(error) = T::deserialize(Value::Table(alone)) {
            let section = if name.is_empty() { String::new() } else { format!("[{name}] ") };
            let text = format!("{section}{key}: {}", error.message());
            return Err(ConfigError::Value { place: place.into(), text });
        }
    }
    T::deserialize(Value::Table(table))
        .map_err(|error| ConfigError::Value { place: place.into(), text: error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn from_text(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let environment: Vec<_> =
            environment.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
        load(Some(file.path()), environment, &Overrides::default())
    }

    #[test]
    fn file_then_environment_then_flags() {
        let text = "auth_strategy = \"noauth\"\n[api]\nport = 1\nhost_ip = \"127.0.0.5\"\n[conductor]\nlease_time = 3";
        let config = from_text(text, &[("WROUGHT_API_PORT", "2"), ("WROUGHT_HOST", "h"), ("OTHER", "x")]).unwrap();
        assert_eq!((config.api.port, config.api.host_ip.as_str(), config.host().as_str()), (2, "127.0.0.5", "h"));
        assert_eq!(config.conductor.lease_time.0, 3.0);
        let overrides = Overrides { listen: Some("127.0.0.9:7".parse().unwrap()) };
        let config = load(None, [("WROUGHT_API_PORT".into(), "2".into())], &overrides).unwrap();
        assert_eq!((config.api.port, config.api.host_ip.as_str()), (7, "127.0.0.9"));
    }

    #[test]
    fn lists_and_fractions_come_from_the_environment() {
        let config = from_text(
            "",
            &[
                ("WROUGHT_ENABLED_HARDWARE_TYPES", "ipmi, fake-hardware"),
                ("WROUGHT_CONDUCTOR_LEASE_TIME", "0.5"),
                ("WROUGHT_CONDUCTOR_AUTOMATED_CLEAN", "no"),
                ("WROUGHT_DEPLOY_ERASE_DEVICES_PRIORITY", "0"),
            ],
        )
        .unwrap();
        assert_eq!(config.top.enabled_hardware_types, ["ipmi", "fake-hardware"]);
        assert!(config.conductor.lease_time.0 == 0.5 && !config.conductor.automated_clean);
        assert_eq!(config.deploy.erase_devices_priority, Some(0));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_section_and_the_nearest_one() {
        for (text, words) in [
            ("[api]\nprot = 1", ["`prot` in [api]", "did you mean `port`?"]),
            ("automated_clean = true", ["`automated_clean` at the top level", "`automated_clean` in [conductor]?"]),
            ("[apy]\nport = 1", ["`apy` at the top level", "the section [api]"]),
            ("[api]\nauth_strategy = \"noauth\"", ["`auth_strategy` in [api]", "at the top level?"]),
        ] {
            let error = from_text(text, &[]).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
        let error = from_text("", &[("WROUGHT_API_PROT", "1")]).unwrap_err().to_string();
        assert!(error.contains("WROUGHT_API_PROT") && error.contains("`port`"), "{error}");
    }

    #[test]
    fn a_wrong_type_names_the_key() {
        let error = from_text("[api]\nport = \"x\"", &[]).unwrap_err().to_string();
        assert!(error.contains("[api] port:"), "{error}");
        let error = from_text("[api]\nport = 70000", &[]).unwrap_err().to_string();
        assert!(error.contains("[api] port:"), "{error}");
        let error = from_text("auth_strategy = \"kerberos\"", &[]).unwrap_err().to_string();
        assert!(error.contains("keystone") && error.contains("http_basic"), "{error}");
    }
}
