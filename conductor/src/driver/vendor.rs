//! Vendor methods: what an interface offers beyond the API, by name (rest-api section 8.2, vendor_passthru).

use super::traits::DriverError;
use async_trait::async_trait;
use serde_json::{Map, Value};

/// A method as the list of methods shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VendorMethod {
    /// Its name.
    pub name: &'static str,
    /// HTTP verbs it takes.
    pub http_methods: &'static [&'static str],
    /// Answers before it runs: 202.
    pub is_async: bool,
    /// For people.
    pub description: &'static str,
    /// It needs the node for itself.
    pub exclusive: bool,
}

/// Vendor methods of one node.
#[async_trait]
pub trait Vendor: Send + Sync {
    /// What there is.
    fn methods(&self) -> &'static [VendorMethod];
    /// Checks the arguments of a method that exists; nothing is sent.
    ///
    /// # Errors
    /// [`DriverError::Invalid`]: the sentence of the refusal.
    fn check(&self, method: &str, args: &Map<String, Value>) -> Result<(), DriverError>;
    /// Runs a method that was checked; the value is the answer of a synchronous one.
    ///
    /// # Errors
    /// [`DriverError`].
    async fn call(&self, method: &str, args: &Map<String, Value>) -> Result<Value, DriverError>;
}

/// The method of a name that takes a verb.
///
/// # Errors
/// The contract's sentences for an unknown method and for a wrong verb.
pub fn find(methods: &'static [VendorMethod], name: &str, verb: &str) -> Result<&'static VendorMethod, DriverError> {
    let shown: String = name.chars().take(255).collect();
    let Some(method) = methods.iter().find(|method| method.name == name) else {
        return Err(DriverError::Invalid(format!("No handler for method {shown}")));
    };
    if method.http_methods.contains(&verb) {
        Ok(method)
    } else {
        Err(DriverError::Invalid(format!("The method {shown} does not support HTTP {verb}")))
    }
}
