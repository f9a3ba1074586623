//! The whole life of a serving agent, joined from the rooms: find the node, listen, beat, stop.

use agent::command::{Commands, End, Ending};
use agent::config::Config;
use agent::home::{ApiVersion, Home, HomeOptions};
use agent::http;
use agent::life::{self, Introduction, ThisMachine};
use agent::sys::boot_memory::BootMemory;
use agent::tls::{self, Identity, Wish};
use common::heartbeat::Heartbeat;
use std::error::Error;
use std::sync::Arc;
use std::time::SystemTime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// Runs until SIGTERM or SIGINT, then lets answers under way leave. Returns how the machine is to end, if a command said so:
/// whoever called does that once the runtime and all that is on it is gone, too.
///
/// # Errors
/// Whatever keeps the agent from serving; whoever started the process starts it again.
pub async fn run(config: Config, commands: Commands) -> Result<Option<End>, Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    if commands.was_rescued() {
        tracing::warn!(
            "a rescue ended in this ramdisk before: the machine is its rescue user's, so this agent never serves"
        );
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
        return Ok(None);
    }
    let (stop, stopped) = watch::channel(false);
    let life = whole_life(&config, &commands, stopped);
    tokio::pin!(life);
    tokio::select! {
        ended = &mut life => return ended.map(|()| None),
        ending = commands.ended() => {
            // Answers under way leave first, the one to this very command among them.
            stop.send_replace(true);
            life.await?;
            commands.forget();
            match ending {
                Ending::Rescued => {}
                Ending::Machine(end) => return Ok(Some(end)),
                Ending::LockedDown => {
                    if let Err(cause) = commands.lock_down() {
                        tracing::error!(error = %cause, "the network stays as it is");
                    }
                    tracing::info!("locked down: nothing is served and nothing will be, until the machine restarts");
                    tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
                }
            }
            return Ok(None);
        }
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("told to stop");
    commands.cancel();
    stop.send_replace(true);
    if commands.facts().is_serving() {
        life.await?;
    }
    Ok(None)
}

async fn whole_life(
    config: &Config,
    commands: &Commands,
    stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error>> {
    let config = &life::discover::run(config).await?;
    let home = Arc::new(Home::new(home_options(config), &config.inspection_callback_urls)?);
    let machine = Arc::new(ThisMachine::new(commands.facts().hardware_options()));
    let memory = BootMemory::recall(tls::RUN_DIR.as_ref());
    if let Some(memory) = &memory {
        tracing::info!("this agent was restarted: it keeps the token and, if its address is the same, the certificate");
        commands.facts().remember(memory.token.clone());
        commands.recall();
    }
    let who = life::introduce(config, &home, &machine, commands).await?;
    let listener = http::listen(config.listen_host.as_deref(), config.listen_port).await?;
    let port = listener.local_addr()?.port();
    let advertised = match &who {
        Some(_) => Some(life::address::find(config, &home, machine.as_ref(), port).await?),
        None => None,
    };
    let identity = identity(config, &home, advertised.as_ref(), memory.as_ref()).await?;
    if let Some(token) = commands.facts().token() {
        let address = advertised.as_ref().map(|advertised| advertised.address);
        if let Err(cause) = BootMemory::leave(tls::RUN_DIR.as_ref(), token, address) {
            tracing::warn!(error = %cause, "a restarted agent will not know the token");
        }
    }
    let (min_version, suites) = commands.facts().server_tls();
    let server =
        identity.as_ref().map(|identity| identity.server_config(&min_version, suites.as_deref())).transpose()?;
    commands.facts().set_signer(identity.as_ref().map(Identity::signer).transpose()?);
    commands.facts().set_serving();
    let site = http::Site::new(commands.clone(), server.is_some());
    let serving = http::run(listener, server, site, stopped);
    let (Some(who), Some(advertised)) = (who, advertised) else {
        tracing::info!(port, "listening");
        serving.await;
        return Ok(());
    };
    let auto = config.static_tls().is_none();
    let protocol = if identity.is_some() { "https" } else { config.advertise_protocol.as_str() };
    let body = Heartbeat {
        callback_url: advertised.url(protocol),
        agent_token: commands.facts().token(),
        agent_version: Some(agent::VERSION.to_owned()),
        agent_verify_ca: identity.filter(|_| auto).map(|identity| identity.certificate_pem),
        agent_status: None,
        agent_status_message: None,
    };
    tracing::info!(callback = %body.callback_url, node = %who.node_uuid, "listening");
    beat_while(serving, &home, commands, &who, &body).await;
    Ok(())
}

/// The server decides when it is over; heartbeats stop with it.
async fn beat_while(
    serving: impl Future<Output = ()>,
    home: &Home,
    commands: &Commands,
    who: &Introduction,
    body: &Heartbeat,
) {
    tokio::select! {
        () = serving => {}
        () = life::beat::run(home, commands, who, body) => {}
    }
}

/// The operator's certificate, or one of our own where the API can take it (1.68), or none: plain HTTP.
async fn identity(
    config: &Config,
    home: &Home,
    advertised: Option<&life::Advertised>,
    memory: Option<&BootMemory>,
) -> Result<Option<Identity>, Box<dyn Error>> {
    if let Some((certificate, key)) = config.static_tls() {
        return Ok(Some(Identity::from_files(certificate, key)?));
    }
    let Some(advertised) = advertised else { return Ok(None) };
    if !config.enable_auto_tls || home.version().await? < ApiVersion::VERIFY_CA {
        tracing::warn!("serving plain HTTP: automatic TLS is off, or the API is older than {}", ApiVersion::VERIFY_CA);
        return Ok(None);
    }
    // The conductor pinned the first certificate of this boot; another one would be refused until the power goes off.
    if memory.is_some_and(|memory| memory.address == Some(advertised.address))
        && let Ok(identity) = Identity::left_in(tls::RUN_DIR.as_ref())
    {
        return Ok(Some(identity));
    }
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let wish = Wish {
        address: advertised.address,
        hostname: &hostname,
        curve: &config.tls_certificate_curve,
        skew: config.auto_tls_allowed_clock_skew,
    };
    let identity = Identity::generate(&wish, SystemTime::now())?;
    if let Err(cause) = identity.leave_files(tls::RUN_DIR.as_ref()) {
        tracing::info!(error = %cause, directory = tls::RUN_DIR, "certificate and key were not left as files");
    }
    Ok(Some(identity))
}

fn home_options(config: &Config) -> HomeOptions {
    HomeOptions {
        urls: config.api_urls.clone(),
        request_id: config.global_request_id.clone(),
        timeout: config.http_request_timeout,
        insecure: config.insecure,
        ca_file: config.cafile.clone(),
        client: config.client_files().map(Into::into),
        tls_min_version: config.tls_min_version.clone(),
        version: config.ironic_api_version.as_deref().and_then(ApiVersion::parse),
    }
}
