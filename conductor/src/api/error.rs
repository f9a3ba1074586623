//! Every refusal on its way out: the one place that picks status codes and writes error bodies (rest-api section 2).

use crate::flow::request::RequestError;
use crate::store::StoreError;
use http::{Method, StatusCode};
use serde_json::{Value, json};

/// The two inner shapes of an error body, and the bare one of the guards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A handler refused.
    Fault,
    /// Routing, negotiation or an identifier refused.
    Routing,
    /// The guards before routing answer the inner object without its wrapping.
    Guard,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    /// Status of the answer.
    pub status: StatusCode,
    /// What happened and what to do.
    pub text: String,
    /// Which body.
    pub shape: Shape,
    /// Methods that would have worked, for 405.
    pub allow: Option<String>,
}

impl ApiError {
    fn fault(status: StatusCode, text: impl Into<String>) -> Self {
        ApiError { status, text: text.into(), shape: Shape::Fault, allow: None }
    }

    fn routing(status: StatusCode, text: impl Into<String>) -> Self {
        ApiError { status, text: text.into(), shape: Shape::Routing, allow: None }
    }

    fn guard(status: StatusCode, text: impl Into<String>) -> Self {
        ApiError { status, text: text.into(), shape: Shape::Guard, allow: None }
    }

    /// 400 by a handler.
    pub fn invalid(text: impl Into<String>) -> Self {
        Self::fault(StatusCode::BAD_REQUEST, text)
    }

    /// 403 by a handler.
    pub fn forbidden(text: impl Into<String>) -> Self {
        Self::fault(StatusCode::FORBIDDEN, text)
    }

    /// 403: the policy does not allow it.
    pub fn denied(rule: &str) -> Self {
        Self::forbidden(format!("Access was denied to the following resource: {rule}"))
    }

    /// 404 by a handler.
    pub fn not_found(text: impl Into<String>) -> Self {
        Self::fault(StatusCode::NOT_FOUND, text)
    }

    /// 409 by a handler.
    pub fn conflict(text: impl Into<String>) -> Self {
        Self::fault(StatusCode::CONFLICT, text)
    }

    /// 412: a condition of the request does not hold for what its path names.
    pub fn precondition(path: &str) -> Self {
        let text = format!(
            "A condition (If-Match, If-None-Match) does not hold for what {path} names: it was changed or removed since it was \
             read, or has no state to compare. Read it again and repeat the change."
        );
        Self::fault(StatusCode::PRECONDITION_FAILED, text)
    }

    /// 501 by a handler: the route is known, the feature is not there.
    pub fn not_served(text: impl Into<String>) -> Self {
        Self::fault(StatusCode::NOT_IMPLEMENTED, text)
    }

    /// 406: a field, filter or verb is too new for the version of the request.
    pub fn too_new() -> Self {
        Self::fault(StatusCode::NOT_ACCEPTABLE, "Request not acceptable.")
    }

    /// 406: a filter or an argument is there since 1.`minor`.
    pub fn too_new_before(minor: u16) -> Self {
        let text = format!("Request not acceptable. The minimal required API version should be 1.{minor}");
        Self::fault(StatusCode::NOT_ACCEPTABLE, text)
    }

    /// 406: an argument is too new for the version of the request.
    pub fn too_new_argument(name: &str) -> Self {
        Self::fault(StatusCode::NOT_ACCEPTABLE, format!("{name} is not acceptable in this API version"))
    }

    /// 406 by negotiation.
    pub fn version(text: impl Into<String>) -> Self {
        Self::routing(StatusCode::NOT_ACCEPTABLE, text)
    }

    /// 404: the version of the request does not have the resource.
    pub fn not_in_version() -> Self {
        Self::not_found("Resource could not be found.")
    }

    /// 404 to a GET, 405 to the rest: the version of the request does not have this whole resource.
    pub fn resource_not_in_version(parts: &[String], method: &Method, shape: Shape) -> Self {
        let resource = parts.get(1).map_or("this", String::as_str);
        if resource == "runbooks" && parts.get(3).is_some_and(|part| part == "traits") {
            return Self::routing(StatusCode::NOT_FOUND, "The API version does not allow runbook traits");
        }
        let get = *method == Method::GET;
        let status = if get { StatusCode::NOT_FOUND } else { StatusCode::METHOD_NOT_ALLOWED };
        // Changing an allocation came later than allocations.
        let verb = if resource == "allocations" && *method == Method::PATCH { "updating " } else { "" };
        let text = format!("The API version does not allow {verb}{}", resource.replace('_', " "));
        if shape == Shape::Fault { Self::fault(status, text) } else { Self::routing(status, text) }
    }

    /// 406: the client does not take JSON, and there is nothing else.
    pub fn not_acceptable() -> Self {
        Self::routing(StatusCode::NOT_ACCEPTABLE, "")
    }

    /// 404: no such route.
    pub fn no_route() -> Self {
        Self::routing(StatusCode::NOT_FOUND, "")
    }

    /// 405.
    pub fn wrong_method(allow: String) -> Self {
        ApiError { allow: Some(allow), ..Self::routing(StatusCode::METHOD_NOT_ALLOWED, "") }
    }

    /// 400: what stands in the path can be no identifier.
    pub fn bad_ident(text: impl Into<String>) -> Self {
        Self::routing(StatusCode::BAD_REQUEST, text)
    }

    /// 400 before routing.
    pub fn too_deep(limit: usize) -> Self {
        Self::guard(
            StatusCode::BAD_REQUEST,
            format!("Request body JSON is nested too deeply. The maximum depth is {limit}."),
        )
    }

    /// 413 before routing.
    pub fn too_large(limit: usize) -> Self {
        let text = format!("Request body is too large. The maximum size of this request is {} KiB.", limit / 1024);
        Self::guard(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// 408 before routing: the client sends too slowly.
    pub fn too_slow() -> Self {
        Self::guard(StatusCode::REQUEST_TIMEOUT, "The request body did not arrive in time. Send it faster or smaller.")
    }

    /// 429 before routing: too many refusals for one address.
    pub fn too_often() -> Self {
        Self::guard(
            StatusCode::TOO_MANY_REQUESTS,
            "Too many calls from this address were refused. Wait, or raise [api] agent_failures_per_minute.",
        )
    }

    /// 400: the connection broke inside the body.
    pub fn broken_body() -> Self {
        Self::guard(StatusCode::BAD_REQUEST, "The request body could not be read to its end.")
    }

    /// 500: a fault of ours; details are in the log only.
    pub fn internal() -> Self {
        Self::fault(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The conductor failed while it served this request. Look for the request id in its log.",
        )
    }

    /// The body, wrapped as its shape demands.
    pub fn body(&self) -> Value {
        let title = self.status.canonical_reason().unwrap_or("Error");
        let inner = match self.shape {
            Shape::Fault => {
                let code = if self.status.is_server_error() { "Server" } else { "Client" };
                json!({"faultcode": code, "faultstring": self.text, "debuginfo": null})
            }
            Shape::Guard => json!({"faultcode": "Client", "faultstring": self.text}),
            Shape::Routing => json!({"code": self.status.as_u16(), "title": title, "description": self.text}),
        };
        if self.shape == Shape::Guard { inner } else { json!({"error_message": inner.to_string()}) }
    }
}

impl From<RequestError> for ApiError {
    fn from(error: RequestError) -> Self {
        let status = match &error {
            RequestError::Invalid(_) => StatusCode::BAD_REQUEST,
            RequestError::Forbidden(_) => StatusCode::FORBIDDEN,
            RequestError::NotFound(_) => StatusCode::NOT_FOUND,
            RequestError::Conflict(_) => StatusCode::CONFLICT,
            RequestError::Stale(_) => StatusCode::PRECONDITION_FAILED,
            RequestError::TooOften(_) => StatusCode::TOO_MANY_REQUESTS,
            RequestError::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
            RequestError::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::fault(status, error.to_string())
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let status = match &error {
            StoreError::NotFound(_) => StatusCode::NOT_FOUND,
            StoreError::Held { .. } | StoreError::Duplicate(_) | StoreError::Fenced(_) => StatusCode::CONFLICT,
            StoreError::Stale(_) => StatusCode::PRECONDITION_FAILED,
            StoreError::Database(_) | StoreError::Keys(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::fault(status, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_json_in_json_and_guards_are_not_wrapped() {
        let inner = |error: &ApiError| -> Value {
            serde_json::from_str(error.body()["error_message"].as_str().unwrap()).unwrap()
        };
        let fault = ApiError::from(RequestError::NotFound("Node foo could not be found.".into()));
        assert_eq!(
            inner(&fault),
            json!({"faultcode": "Client", "faultstring": "Node foo could not be found.", "debuginfo": null})
        );
        assert_eq!(inner(&ApiError::internal())["faultcode"], "Server");
        assert_eq!(inner(&ApiError::no_route()), json!({"code": 404, "title": "Not Found", "description": ""}));
        assert_eq!(inner(&ApiError::version("x"))["title"], "Not Acceptable");
        let guard = ApiError::too_large(1024 * 1024).body();
        assert!(guard["faultstring"].as_str().unwrap().starts_with("Request body is too large"));
    }
}
