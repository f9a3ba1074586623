//! The simulated agent: look-up, its HTTPS door, heartbeats. Written apart from the real agent, to the same contract.

use super::board::Board;
use super::machine::{Body, spawn};
use super::{door, home};
use agent::tls::{Identity, Signer, Wish};
use common::heartbeat::Heartbeat;
use common::token::Token;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// One start of an agent.
pub struct Agent {
    /// The machine it runs on.
    pub body: Arc<Body>,
    /// Ends with the power.
    pub boot: CancellationToken,
    /// Ends with this process of the agent.
    pub life: CancellationToken,
    pub board: Board,
    pub token: Token,
    /// Signs proofs with the key of its certificate.
    pub signer: Signer,
    /// It neither answers nor beats.
    pub silent: AtomicBool,
}

/// Runs agents until the power goes: one after another when a fault restarts them.
pub async fn run(body: Arc<Body>, boot: CancellationToken, api: String) {
    loop {
        let life = boot.child_token();
        tokio::select! {
            () = life.cancelled() => {}
            () = live(&body, &boot, &life, &api) => {}
        }
        if boot.is_cancelled() || !life.is_cancelled() {
            return; // no power, or it has ended by itself: nothing starts it again
        }
        body.note("agent restarted");
    }
}

async fn live(body: &Arc<Body>, boot: &CancellationToken, life: &CancellationToken, api: &str) {
    if let Some(time) = body.set_time("agent start") {
        tokio::time::sleep(time).await;
    }
    let reply = home::lookup(body, api).await;
    let Some(config) = reply.config else { return body.note("look-up without config") };
    let Some(token) = config.agent_token.filter(Token::is_usable) else {
        // The token went to somebody else: an agent without it must not serve (agent-protocol section 3).
        return body.note("no token");
    };
    body.note("token");
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a loopback port");
    let port = listener.local_addr().expect("it is bound").port();
    let wish = Wish {
        address: Ipv4Addr::LOCALHOST.into(),
        hostname: "simulated",
        curve: "p384",
        skew: Duration::from_secs(3600),
    };
    let identity = Identity::generate(&wish, SystemTime::now()).expect("a certificate");
    let tls = identity.server_config("1.3", None).expect("TLS settings");
    let agent = Arc::new(Agent {
        body: Arc::clone(body),
        boot: boot.clone(),
        life: life.clone(),
        board: Board::new(),
        token: token.clone(),
        signer: identity.signer().expect("its own key"),
        silent: AtomicBool::new(false),
    });
    spawn(life, door::serve(listener, tls, Arc::clone(&agent)));
    let beat = Heartbeat {
        callback_url: format!("https://127.0.0.1:{port}"),
        agent_token: Some(token),
        agent_version: Some("11.0.0".into()),
        agent_verify_ca: Some(identity.certificate_pem.clone()),
        agent_status: None,
        agent_status_message: None,
    };
    let timeout = Duration::from_secs(config.heartbeat_timeout);
    let gap = Duration::from_secs_f64(config.agent_heartbeat_min_gap.unwrap_or(5.0));
    beats(&agent, api, &reply.node.uuid, &beat, timeout.mul_f64(0.4), gap).await;
}

async fn beats(agent: &Agent, api: &str, node: &str, beat: &Heartbeat, interval: Duration, gap: Duration) {
    loop {
        let sent = Instant::now();
        let status = home::beat(&agent.body, api, node, beat).await;
        let pause = if status == Some(202) { interval } else { Duration::from_millis(200) };
        if status == Some(400) {
            agent.body.note("heartbeat refused");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = agent.board.bell.notified() => tokio::time::sleep(gap.saturating_sub(sent.elapsed())).await,
        }
        if agent.silent.load(Ordering::Relaxed) {
            return std::future::pending().await;
        }
    }
}
