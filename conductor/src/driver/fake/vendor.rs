//! `fake` vendor: methods that compare a word, one of them at once, one without the node's lock, and one that does nothing.

use super::delay::Delay;
use crate::driver::traits::DriverError;
use crate::driver::vendor::{Vendor, VendorMethod};
use async_trait::async_trait;
use serde_json::{Map, Value};

/// The methods of a fake node.
pub struct FakeVendor {
    node_uuid: String,
    delay: Delay,
}

impl FakeVendor {
    /// For a node.
    pub fn new(node_uuid: &str, delay: Delay) -> Self {
        Self { node_uuid: node_uuid.into(), delay }
    }
}

const fn method(name: &'static str, description: &'static str) -> VendorMethod {
    VendorMethod { name, http_methods: &["POST"], is_async: true, description, exclusive: true }
}

/// In the order in which the reference lists them.
const METHODS: &[VendorMethod] = &[
    VendorMethod { exclusive: false, ..method("fourth_method_shared_lock", "Test if the value of bar is woof") },
    method("log_passthrough", "Test pass-through to wait."),
    method("second_method", "Test if the value of bar is kazoo"),
    VendorMethod { is_async: false, ..method("third_method_sync", "Test if the value of bar is meow") },
];

/// The word that a method compares with.
fn word(method: &str) -> Option<&'static str> {
    match method {
        "second_method" => Some("kazoo"),
        "third_method_sync" => Some("meow"),
        "fourth_method_shared_lock" => Some("woof"),
        _ => None,
    }
}

/// Python takes these for "not given".
fn is_blank(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null | Value::Bool(false)) => true,
        Some(Value::String(text)) => text.is_empty(),
        Some(Value::Array(list)) => list.is_empty(),
        Some(Value::Object(map)) => map.is_empty(),
        Some(Value::Number(number)) => number.as_f64() == Some(0.0),
        Some(Value::Bool(true)) => false,
    }
}

#[async_trait]
impl Vendor for FakeVendor {
    fn methods(&self) -> &'static [VendorMethod] {
        METHODS
    }

    fn check(&self, method: &str, args: &Map<String, Value>) -> Result<(), DriverError> {
        if word(method).is_none() {
            return Ok(());
        }
        if is_blank(args.get("bar")) {
            return Err(DriverError::Invalid(format!("Parameter 'bar' not passed to method '{method}'.")));
        }
        match args.keys().find(|name| *name != "bar") {
            Some(name) => {
                let name: String = name.chars().take(255).collect();
                Err(DriverError::Invalid(format!("The method {method} takes no argument '{name}', only 'bar'.")))
            }
            None => Ok(()),
        }
    }

    async fn call(&self, method: &str, args: &Map<String, Value>) -> Result<Value, DriverError> {
        self.delay.pass().await;
        let Some(word) = word(method) else {
            // Values may be secrets: names only.
            let names: Vec<&String> = args.keys().collect();
            tracing::debug!(node = %self.node_uuid, ?names, "{method} was called");
            return Ok(Value::Null);
        };
        Ok(Value::Bool(args.get("bar").and_then(Value::as_str) == Some(word)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Delay, FakeVendor, METHODS, Vendor};
    use crate::driver::vendor::find;
    use serde_json::{Value, json};

    fn args(value: Value) -> serde_json::Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[tokio::test]
    async fn methods_compare_their_word() {
        let fake = FakeVendor::new("a", Delay::default());
        for (method, word) in
            [("second_method", "kazoo"), ("third_method_sync", "meow"), ("fourth_method_shared_lock", "woof")]
        {
            let call = async |value: Value| fake.call(method, &args(json!({"bar": value}))).await.unwrap();
            assert_eq!((call(json!(word)).await, call(json!("x")).await), (json!(true), json!(false)));
            for blank in [json!({}), json!({"bar": ""}), json!({"bar": null}), json!({"bar": 0})] {
                let error = fake.check(method, &args(blank)).unwrap_err().to_string();
                assert_eq!(error, format!("Parameter 'bar' not passed to method '{method}'."));
            }
            assert!(fake.check(method, &args(json!({"bar": "x", "foo": 1}))).is_err());
        }
        assert!(fake.check("log_passthrough", &args(json!({"anything": 1}))).is_ok());
        assert_eq!(fake.call("log_passthrough", &args(json!({}))).await.unwrap(), Value::Null);
    }

    #[test]
    fn unknown_methods_and_verbs_have_the_contract_s_texts() {
        assert!(find(METHODS, "second_method", "POST").is_ok());
        let text = |name, verb| find(METHODS, name, verb).unwrap_err().to_string();
        assert_eq!(text("first_method", "POST"), "No handler for method first_method");
        assert_eq!(text("second_method", "GET"), "The method second_method does not support HTTP GET");
    }
}
