//! The settings of a burn-in: `driver_info.agent_burnin_*`, with the reference's defaults.

use super::BurnIn;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::time::Duration;

/// Reads one node's settings.
pub struct Settings<'a>(Option<&'a Map<String, Value>>);

/// How much memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// Of what is available.
    Percent(f64),
    /// For each worker.
    Bytes(u64),
}

impl<'a> Settings<'a> {
    /// Of this node.
    pub fn of(node: &'a Map<String, Value>) -> Self {
        Self(node.get("driver_info").and_then(Value::as_object))
    }

    fn get(&self, name: &str) -> Option<&'a Value> {
        self.0?.get(&format!("agent_burnin_{name}")).filter(|value| !value.is_null())
    }

    /// A whole number, also as text.
    ///
    /// # Errors
    /// Something else.
    pub fn number(&self, name: &str, default: u64) -> Result<u64, BurnIn> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let number = value.as_u64().or_else(|| value.as_str()?.trim().parse().ok());
        number.ok_or_else(|| wrong(name, value, "a whole number"))
    }

    /// Seconds, or a number with `s`, `m`, `h`, `d`.
    ///
    /// # Errors
    /// Something else, or more than a year.
    pub fn time(&self, name: &str, default: u64) -> Result<Duration, BurnIn> {
        let Some(value) = self.get(name) else { return Ok(Duration::from_secs(default)) };
        let seconds = match value {
            Value::String(text) => {
                let text = text.trim();
                let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
                let unit = match &text[digits.len()..] {
                    "" | "s" => 1,
                    "m" => 60,
                    "h" => 3600,
                    "d" => 86_400,
                    _ => 0,
                };
                digits.parse::<u64>().ok().and_then(|number| number.checked_mul(unit)).filter(|_| unit > 0)
            }
            other => other.as_u64(),
        };
        let seconds = seconds.filter(|seconds| *seconds <= 366 * 86_400);
        seconds.map(Duration::from_secs).ok_or_else(|| wrong(name, value, "seconds, or a number with s, m, h or d"))
    }

    /// `98%`, or bytes with `b`, `k`, `m`, `g`.
    ///
    /// # Errors
    /// Something else.
    pub fn amount(&self, name: &str, default: Amount) -> Result<Amount, BurnIn> {
        let Some(value) = self.get(name) else { return Ok(default) };
        let read = || -> Option<Amount> {
            let Some(text) = value.as_str() else { return value.as_u64().map(Amount::Bytes) };
            let text = text.trim().to_ascii_lowercase();
            if let Some(percent) = text.strip_suffix('%') {
                let percent: f64 = percent.parse().ok()?;
                return (percent > 0.0 && percent <= 100.0).then_some(Amount::Percent(percent));
            }
            let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
            let shift = match &text[digits.len()..] {
                "" | "b" => 0,
                "k" => 10,
                "m" => 20,
                "g" => 30,
                _ => return None,
            };
            digits.parse::<u64>().ok()?.checked_mul(1 << shift).map(Amount::Bytes)
        };
        let amount = read().filter(|amount| *amount != Amount::Bytes(0));
        amount.ok_or_else(|| wrong(name, value, "a share like 98%, or bytes with k, m or g"))
    }

    /// A text.
    ///
    /// # Errors
    /// Something else.
    pub fn text(&self, name: &str) -> Result<Option<&'a str>, BurnIn> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.len() <= 1024 => Ok(Some(text)),
            Some(value) => Err(wrong(name, value, "a text of at most 1024 characters")),
        }
    }

    /// An absolute path.
    ///
    /// # Errors
    /// A relative one.
    pub fn path(&self, name: &str) -> Result<Option<PathBuf>, BurnIn> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        match PathBuf::from(text) {
            path if path.is_absolute() => Ok(Some(path)),
            _ => Err(wrong(name, &Value::from(text), "an absolute path")),
        }
    }

    /// True or false, also as text.
    ///
    /// # Errors
    /// Something else.
    pub fn flag(&self, name: &str) -> Result<bool, BurnIn> {
        match self.get(name) {
            None => Ok(false),
            Some(Value::Bool(flag)) => Ok(*flag),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("true") => Ok(true),
            Some(Value::String(text)) if text.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(wrong(name, value, "true or false")),
        }
    }

    /// An object.
    ///
    /// # Errors
    /// Something else.
    pub fn object(&self, name: &str) -> Result<Option<&'a Map<String, Value>>, BurnIn> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(map)),
            Some(value) => Err(wrong(name, value, "an object")),
        }
    }
}

fn wrong(name: &str, value: &Value, wanted: &str) -> BurnIn {
    let shown: String = value.to_string().chars().take(80).collect();
    BurnIn::Settings(format!(
        "driver_info.agent_burnin_{name} is {shown}, which is not {wanted}; correct it and clean again"
    ))
}

#[cfg(test)]
mod tests {
    use super::{Amount, Settings};
    use serde_json::{Value, json};
    use std::time::Duration;

    fn with<T>(info: Value, read: impl Fn(&Settings<'_>) -> T) -> T {
        let node = json!({ "driver_info": info });
        read(&Settings::of(node.as_object().unwrap()))
    }

    #[test]
    fn defaults_numbers_and_texts() {
        assert_eq!(with(json!({}), |set| set.number("cpu_cpu", 7).unwrap()), 7);
        assert_eq!(with(json!({"agent_burnin_cpu_cpu": "4"}), |set| set.number("cpu_cpu", 0).unwrap()), 4);
        for (given, seconds) in
            [(json!(90), 90), (json!("90"), 90), (json!("2m"), 120), (json!("1h"), 3600), (json!("1d"), 86_400)]
        {
            let time = with(json!({ "agent_burnin_cpu_timeout": given }), |set| set.time("cpu_timeout", 1).unwrap());
            assert_eq!(time, Duration::from_secs(seconds));
        }
        for (given, amount) in [
            (json!("98%"), Amount::Percent(98.0)),
            (json!("64m"), Amount::Bytes(64 << 20)),
            (json!("2G"), Amount::Bytes(2 << 30)),
            (json!(4096), Amount::Bytes(4096)),
        ] {
            let key = json!({ "agent_burnin_vm_vm-bytes": given });
            assert_eq!(with(key, |set| set.amount("vm_vm-bytes", Amount::Percent(98.0)).unwrap()), amount);
        }
    }

    #[test]
    fn nonsense_names_its_key() {
        for bad in [json!("x"), json!(-1), json!("1w"), json!("99999999999999999999"), json!([]), json!("")] {
            let info = json!({"agent_burnin_cpu_timeout": bad});
            let error = with(info, |set| set.time("cpu_timeout", 1).unwrap_err()).to_string();
            assert!(error.contains("agent_burnin_cpu_timeout"), "{error}");
        }
        for bad in [json!("0%"), json!("101%"), json!("10t"), json!(0), json!("NaN%"), json!(true)] {
            let info = json!({"agent_burnin_vm_vm-bytes": bad});
            assert!(with(info, |set| set.amount("vm_vm-bytes", Amount::Percent(1.0)).is_err()), "{bad}");
        }
        assert!(with(json!({"agent_burnin_cpu_outputfile": "a"}), |set| set.path("cpu_outputfile").is_err()));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,40}") {
            let info = json!({"agent_burnin_t": text});
            with(info, |set| { let _ = (set.time("t", 1), set.amount("t", Amount::Percent(1.0)), set.number("t", 1)); });
        }
    }
}
