//! Every call between conductor and agent, declared once: method, path, body, answer.
//!
//! Handlers and clients are both written against these declarations (style.md, "A call is declared once").
//! Paths with `{}` have one parameter; [`path_with`] fills it.

use crate::command::{AgentStatus, CommandList, CommandRequest, CommandResult};
use crate::heartbeat::{ApiRoot, Heartbeat, InspectionData, InspectionReply, LookupReply};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// One call.
pub trait Endpoint {
    /// The verb.
    const METHOD: Method;
    /// The path, with `{}` for a parameter.
    const PATH: &'static str;
    /// JSON body; `()` when there is none.
    type Request: Serialize + DeserializeOwned;
    /// JSON answer; `()` when it is empty.
    type Reply: Serialize + DeserializeOwned;
}

/// Fills the one parameter of a path. The caller passes a UUID: no escaping is done.
pub fn path_with(path: &str, parameter: &str) -> String {
    path.replacen("{}", parameter, 1)
}

macro_rules! endpoints {
    ($($(#[$doc:meta])* $name:ident $method:ident $path:literal $request:ty => $reply:ty;)*) => {
        $($(#[$doc])* pub enum $name {}
        impl Endpoint for $name {
            const METHOD: Method = Method::$method;
            const PATH: &'static str = $path;
            type Request = $request;
            type Reply = $reply;
        })*
        /// Method and path of every call, for tests and documents.
        pub const ALL: &[(&str, &str)] = &[$((stringify!($method), $path)),*];
    };
}

endpoints! {
    /// Agent to API: which versions there are.
    Discover GET "/" () => ApiRoot;
    /// Agent to API: which node am I? Query: `addresses`, `node_uuid`.
    Lookup GET "/v1/lookup" () => LookupReply;
    /// Agent to API: I am here. 202 with an empty body.
    Beat POST "/v1/heartbeat/{}" Heartbeat => ();
    /// Agent to API: this is what the machine has.
    ContinueInspection POST "/v1/continue_inspection" InspectionData => InspectionReply;
    /// Conductor to agent: how are you? Needs no token.
    Status GET "/v1/status" () => AgentStatus;
    /// Conductor to agent: run this. Query: `wait`, `agent_token`.
    RunCommand POST "/v1/commands/" CommandRequest => CommandResult;
    /// Conductor to agent: what has been run? Query: `agent_token`.
    ListCommands GET "/v1/commands/" () => CommandList;
    /// Conductor to agent: one command. Query: `agent_token`, `wait`.
    GetCommand GET "/v1/commands/{}" () => CommandResult;
}
