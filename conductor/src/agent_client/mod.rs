//! Makes the calls to agents that `common::endpoint` declares.
//!
//! An agent has a certificate of its own making: the conductor keeps the one that came with the first heartbeat and
//! accepts exactly that one ([`pin`]). Calls are bounded in time and answer size; a reply that was lost is looked for in
//! the agent's list before anything is sent twice (agent-protocol section 9.1).

mod pin;
pub mod signed;

use crate::figures;
use common::command::{CommandList, CommandRequest, CommandResult, CommandStatus, Fault};
use common::endpoint::{Endpoint, ListCommands, RunCommand};
use common::token::Token;
use serde_json::{Map, Value};
use std::time::{Duration, Instant};

/// Largest answer that is read: a log bundle fits, an endless body does not.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Where an agent is and how it is known.
#[derive(Clone, Debug)]
pub struct AgentAddress {
    /// `https://host:port`.
    pub url: String,
    /// PEM of the certificate that came with the first heartbeat.
    pub certificate: Option<String>,
    /// The secret of this boot.
    pub token: Token,
}

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// It works on another command: try at the next heartbeat.
    #[error("the agent is busy: {0}")]
    Busy(String),
    /// Connection, TLS or time-out, after all tries.
    #[error("the agent at {url} does not answer: {cause}")]
    Unreachable {
        /// Where it should be.
        url: String,
        /// What the last try ended with.
        cause: String,
    },
    /// It answered with an error.
    #[error("the agent refused `{call}` with status {status}: {text}")]
    Refused {
        /// Which call.
        call: String,
        /// HTTP status.
        status: u16,
        /// The fault's text.
        text: String,
    },
    /// It answered with something that is not an answer.
    #[error("the agent's answer to `{call}` makes no sense: {cause}")]
    Nonsense {
        /// Which call.
        call: String,
        /// What is wrong.
        cause: String,
    },
}

/// Times of one client.
#[derive(Clone, Debug)]
pub struct AgentClient {
    timeout: Duration,
    attempts: u32,
}

impl AgentClient {
    /// `timeout` for one try; up to `attempts` tries when the connection fails, none after the first that took the whole time.
    pub fn new(timeout: Duration, attempts: u32) -> Self {
        Self { timeout, attempts: attempts.max(1) }
    }

    /// Starts a command; with `wait` the answer comes when it has ended.
    ///
    /// # Errors
    /// [`AgentError`]. A lost reply is looked up in the list first, so the command is not run twice.
    pub async fn run(
        &self,
        agent: &AgentAddress,
        name: &str,
        params: Map<String, Value>,
        wait: bool,
    ) -> Result<CommandResult, AgentError> {
        noted(self.try_run(agent, name, params, wait).await)
    }

    async fn try_run(
        &self,
        agent: &AgentAddress,
        name: &str,
        params: Map<String, Value>,
        wait: bool,
    ) -> Result<CommandResult, AgentError> {
        let http = self.http(agent)?;
        let short = name.rsplit('.').next().unwrap_or(name);
        let body = CommandRequest { name: name.into(), params };
        let mut cause = String::new();
        let begun = Instant::now();
        for attempt in 0..self.attempts {
            if attempt > 0 && begun.elapsed() >= self.timeout {
                break; // silent, not refused: asking again would hold the node for as long once more
            }
            if attempt > 0
                && let Ok(list) = self.list_with(&http, agent).await
                && let Some(newest) = list.last()
                && newest.short_name() == short
                && newest.command_status == CommandStatus::Running
            {
                return Ok(newest.clone());
            }
            let sent = http
                .post(format!("{}{}", agent.url, RunCommand::PATH))
                .query(&[("wait", if wait { "true" } else { "false" }), ("agent_token", agent.token.expose())])
                .json(&body)
                .send()
                .await;
            match sent {
                Ok(answer) => return read(answer, name).await,
                Err(error) => cause = without_query(error),
            }
        }
        Err(AgentError::Unreachable { url: agent.url.clone(), cause })
    }

    /// Every command since the agent started, oldest first.
    ///
    /// # Errors
    /// [`AgentError`].
    pub async fn list(&self, agent: &AgentAddress) -> Result<Vec<CommandResult>, AgentError> {
        noted(self.try_list(agent).await)
    }

    async fn try_list(&self, agent: &AgentAddress) -> Result<Vec<CommandResult>, AgentError> {
        let http = self.http(agent)?;
        let mut last = None;
        let begun = Instant::now();
        for attempt in 0..self.attempts {
            if attempt > 0 && begun.elapsed() >= self.timeout {
                break;
            }
            match self.list_with(&http, agent).await {
                Err(error @ AgentError::Unreachable { .. }) => last = Some(error),
                other => return other,
            }
        }
        Err(last.unwrap_or(AgentError::Unreachable { url: agent.url.clone(), cause: "no try was made".into() }))
    }

    async fn list_with(&self, http: &reqwest::Client, agent: &AgentAddress) -> Result<Vec<CommandResult>, AgentError> {
        let sent = http
            .get(format!("{}{}", agent.url, ListCommands::PATH))
            .query(&[("agent_token", agent.token.expose())])
            .send()
            .await;
        match sent {
            Ok(answer) => Ok(read::<CommandList>(answer, "list commands").await?.commands),
            Err(error) => Err(AgentError::Unreachable { url: agent.url.clone(), cause: without_query(error) }),
        }
    }

    fn http(&self, agent: &AgentAddress) -> Result<reqwest::Client, AgentError> {
        let nonsense = |cause: String| AgentError::Nonsense { call: "connect".into(), cause };
        let tls = pin::client_config(agent.certificate.as_deref()).map_err(nonsense)?;
        reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .timeout(self.timeout)
            .connect_timeout(self.timeout.min(Duration::from_secs(10)))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| nonsense(error.to_string()))
    }
}

/// Counts what went wrong.
fn noted<T>(result: Result<T, AgentError>) -> Result<T, AgentError> {
    if let Err(error) = &result {
        figures::agent_error(match error {
            AgentError::Busy(_) => "busy",
            AgentError::Unreachable { .. } => "unreachable",
            AgentError::Refused { .. } => "refused",
            AgentError::Nonsense { .. } => "nonsense",
        });
    }
    result
}

/// The error's chain, without the URL: its query holds the token.
fn without_query(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}

async fn read<T: serde::de::DeserializeOwned>(mut answer: reqwest::Response, call: &str) -> Result<T, AgentError> {
    let status = answer.status().as_u16();
    let nonsense = |cause: String| AgentError::Nonsense { call: call.into(), cause };
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| nonsense(without_query(error)))? {
        if body.len() + chunk.len() > ANSWER_MAX {
            return Err(nonsense(format!("longer than {ANSWER_MAX} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    if status >= 400 {
        let text = serde_json::from_slice::<Fault>(&body).map_or_else(
            |_| String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned(),
            |fault| fault.faultstring,
        );
        if status == 409 || text.to_ascii_lowercase().contains("agent is busy") {
            return Err(AgentError::Busy(text));
        }
        return Err(AgentError::Refused { call: call.into(), status, text });
    }
    serde_json::from_slice(&body).map_err(|error| nonsense(error.to_string()))
}
