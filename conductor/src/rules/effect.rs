//! What an action asks of the world outside; `flow` does it.

use super::RuleError;
use super::value::{text, type_name};
use serde_json::{Map, Value};
use std::time::Duration;
use url::Url;

/// Longest time one try of a call may take.
const TIMEOUT_MAX: f64 = 60.0;

/// Most tries after the first.
const RETRIES_MAX: u64 = 10;

/// Longest pause grows from this, in seconds.
const BACKOFF_MAX: f64 = 10.0;

/// Something that is not a change of the records.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Nothing is left to do.
    Nothing,
    /// A line for the log.
    Log(Level, String),
    /// An HTTP request.
    Call(Box<Call>),
}

/// How loud a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For developers.
    Debug,
    /// Normal.
    Info,
    /// Somebody should look.
    Warning,
    /// Something is wrong.
    Error,
}

impl Level {
    /// By the reference's words; `critical` is an error here.
    ///
    /// # Errors
    /// No such level.
    pub fn parse(value: Option<&Value>) -> Result<Level, RuleError> {
        let word = value.map_or(Ok("info".into()), text)?.to_lowercase();
        Ok(match word.as_str() {
            "debug" => Level::Debug,
            "info" => Level::Info,
            "warning" => Level::Warning,
            "error" | "critical" => Level::Error,
            _ => {
                let text = format!("Invalid log level: {word}. Choose from debug, info, warning, error, critical");
                return Err(RuleError::Action(text));
            }
        })
    }
}

/// A `GET` with its patience: every number is bounded.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// http or https.
    pub url: Url,
    /// Name and value; may hold secrets.
    pub headers: Vec<(String, String)>,
    /// Scheme and proxy.
    pub proxies: Vec<(String, Url)>,
    /// For one try.
    pub timeout: Duration,
    /// Tries after the first, when the answer is 429, 500, 502, 503, 504 or none.
    pub retries: u32,
    /// Seconds; the n-th pause is `backoff * 2^(n-1)`, at most 10 s.
    pub backoff: f64,
}

impl Call {
    /// From the action's arguments.
    ///
    /// # Errors
    /// What is wrong with which argument.
    pub fn parse(args: &Map<String, Value>) -> Result<Call, RuleError> {
        let url = web_url("url", args.get("url").unwrap_or(&Value::Null))?;
        let timeout = number(args, "timeout", 5.0)?;
        if timeout <= 0.0 {
            return Err(invalid("timeout must be greater than zero"));
        }
        let retries = number(args, "retries", 3.0)?;
        let backoff = number(args, "backoff_factor", 0.3)?;
        Ok(Call {
            url,
            headers: pairs(args, "headers")?
                .map(|(name, value)| Ok((name, text(&value)?)))
                .collect::<Result<_, RuleError>>()?,
            proxies: pairs(args, "proxies")?
                .map(|(scheme, value)| Ok((scheme, web_url("proxies", &value)?)))
                .collect::<Result<_, RuleError>>()?,
            timeout: Duration::from_secs_f64(timeout.min(TIMEOUT_MAX)),
            retries: (retries.max(0.0) as u64).min(RETRIES_MAX) as u32,
            backoff: backoff.clamp(0.0, BACKOFF_MAX),
        })
    }

    /// How long to wait before the n-th retry, n from 1.
    pub fn pause(&self, retry: u32) -> Duration {
        // The first retry comes at once, as in the reference's client.
        let factor = if retry <= 1 { 0.0 } else { f64::from(2u32.saturating_pow(retry - 1)) };
        Duration::from_secs_f64((self.backoff * factor).min(BACKOFF_MAX))
    }
}

fn invalid(text: impl std::fmt::Display) -> RuleError {
    RuleError::Action(format!("Invalid parameter: {text}"))
}

fn web_url(name: &str, value: &Value) -> Result<Url, RuleError> {
    let text = value.as_str().ok_or_else(|| invalid(format!("{name} must be a text, not a {}", type_name(value))))?;
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        _ => Err(invalid(format!("{name} must be an http or https URL with a host"))),
    }
}

fn number(args: &Map<String, Value>, name: &str, default: f64) -> Result<f64, RuleError> {
    let number = match args.get(name) {
        None => Some(default),
        Some(Value::String(text)) => text.trim().parse().ok(),
        Some(value) => value.as_f64(),
    };
    number.filter(|number: &f64| number.is_finite()).ok_or_else(|| invalid(format!("{name} must be a number")))
}

fn pairs(args: &Map<String, Value>, name: &str) -> Result<impl Iterator<Item = (String, Value)>, RuleError> {
    let map = match args.get(name) {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(map)) if map.len() <= 64 => map.clone(),
        Some(Value::Object(_)) => return Err(invalid(format!("{name} has more than 64 entries"))),
        Some(other) => return Err(invalid(format!("{name} must be an object, not a {}", type_name(other)))),
    };
    Ok(map.into_iter())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(args: Value) -> Result<Call, RuleError> {
        Call::parse(args.as_object().unwrap())
    }

    #[test]
    fn calls_have_the_reference_s_defaults_and_our_bounds() {
        let plain = call(json!({"url": "http://h/x"})).unwrap();
        assert_eq!((plain.timeout, plain.retries, plain.backoff), (Duration::from_secs(5), 3, 0.3));
        assert_eq!([1, 2, 3].map(|n| plain.pause(n).as_millis()), [0, 600, 1200]);
        let greedy = call(json!({"url": "https://h", "timeout": 1e9, "retries": 1e12, "backoff_factor": 1e9})).unwrap();
        assert_eq!((greedy.timeout.as_secs(), greedy.retries), (60, 10));
        assert_eq!(greedy.pause(10).as_secs(), 10);
    }

    #[test]
    fn other_schemes_and_odd_numbers_are_refused() {
        for args in [
            json!({"url": "file:///etc/passwd"}),
            json!({"url": "gopher://h"}),
            json!({"url": 3}),
            json!({"url": "http://h", "timeout": 0}),
            json!({"url": "http://h", "timeout": "soon"}),
            json!({"url": "http://h", "headers": ["a"]}),
            json!({"url": "http://h", "proxies": {"http": "socks5://p"}}),
        ] {
            assert!(matches!(call(args), Err(RuleError::Action(_))));
        }
        assert!(Level::parse(Some(&json!("loud"))).is_err() && Level::parse(None) == Ok(Level::Info));
    }
}
