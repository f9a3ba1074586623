//! The `conductor` program: flags, configuration, logs, signals. What runs is put together in `service` and `api`.

use clap::{Args, Parser, Subcommand, ValueEnum};
use conductor::api::Site;
use conductor::api::auth::Auth;
use conductor::api::listen::Listeners;
use conductor::api::openapi;
use conductor::config::{self, Config, Overrides};
use conductor::model::fsm::TABLE;
use conductor::service::Service;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use std::error::Error;
use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Files that are open besides connections of the API: database, BMCs, agents, images.
const OTHER_FILES: usize = 1024;

/// A fifth of the work of a request was the C library's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A bare-metal provisioner that speaks the OpenStack Ironic API.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the API and look after nodes until told to stop (SIGTERM, Ctrl-C).
    Serve(Serve),
    /// Print every option with its default and meaning, as a TOML file.
    Config,
    /// Print the description of the API (OpenAPI 3.1): docs/openapi.json.
    Openapi,
    /// Print every move a node may make.
    States {
        /// How.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// TOML file; `conductor config` prints one. Without it every option has its default.
    #[arg(long, value_name = "FILE", env = "WROUGHT_CONFIG")]
    config: Option<PathBuf>,
    /// Where the API listens; overrides [api] host_ip and port. Port 0: any free one.
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<SocketAddr>,
    /// Where nodes are kept [default: /var/lib/wrought for root, else below the user's data folder].
    #[arg(long, value_name = "DIR", env = "WROUGHT_DATA_DIR")]
    data_dir: Option<PathBuf>,
}

/// Forms of the transition table.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    /// Columns for people.
    Table,
    /// A graph for graphviz.
    Dot,
    /// An object with a list.
    Json,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Config => print(&config::printed()),
        Command::Openapi => print(&format!("{:#}\n", openapi::document())),
        Command::States { format } => print(&states(format)),
        Command::Serve(flags) => match serve(&flags) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("conductor: {error}");
                let mut cause = error.source();
                while let Some(error) = cause {
                    eprintln!("  because: {error}");
                    cause = error.source();
                }
                ExitCode::FAILURE
            }
        },
    }
}

/// A reader that has had enough (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn serve(flags: &Serve) -> Result<(), Box<dyn Error>> {
    // A second provider in the same process is no reason to stop.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let filter = EnvFilter::try_from_env("WROUGHT_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    let overrides = Overrides { listen: flags.listen };
    // Names or values that are no text can be none of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Arc::new(config::load(flags.config.as_deref(), environment, &overrides)?);
    let data_dir = flags.data_dir.clone().unwrap_or_else(config::default_data_dir);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run(config, &data_dir))
}

/// The folder holds passwords of BMCs: nobody else looks in. One that exists keeps the rights its owner gave it.
fn make_private(folder: &Path) -> Result<(), String> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| {
        format!("the data folder {} cannot be made: {error}. Choose another --data-dir", folder.display())
    })
}

async fn run(config: Arc<Config>, data_dir: &Path) -> Result<(), Box<dyn Error>> {
    let stop = stop_on_signals()?;
    raise_open_files(config.api.max_connections);
    if config.top.auth_strategy.as_deref() == Some("noauth") {
        tracing::warn!("auth_strategy is noauth: whoever reaches the API commands every machine");
    }
    let auth = Auth::open(&config)?;
    // Bound before the rest starts: a port that is taken must not cost a half-started conductor.
    let listeners = Listeners::bind(&config).await?;
    make_private(data_dir)?;
    let patience = config.conductor.graceful_shutdown_timeout.duration();
    let service = Service::open(config, data_dir).await?;
    if let Some(socket) = listeners.socket() {
        tracing::info!(socket = %socket.display(), data_dir = %data_dir.display(), "listening on {}", socket.display());
    }
    for address in listeners.local() {
        tracing::info!(%address, data_dir = %data_dir.display(), "listening on {address}");
    }
    let site = Arc::new(Site { conductor: service.conductor.clone(), auth });
    let serving = listeners.run(site, stop.clone());
    tokio::pin!(serving);
    tokio::select! {
        () = &mut serving => {}
        () = stop.cancelled() => {
            tracing::info!("stopping: running requests are finished first");
            if tokio::time::timeout(patience, serving).await.is_err() {
                tracing::warn!("some requests did not end in time");
            }
        }
    }
    service.stop().await;
    tracing::info!("stopped");
    Ok(())
}

/// As many open files as the system lets us have: each connection is one, and distributions start with 1024.
fn raise_open_files(connections: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        if soft < hard {
            setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        }
        Ok(hard)
    });
    match raised {
        Ok(limit) if usize::try_from(limit).unwrap_or(usize::MAX) < connections.saturating_add(OTHER_FILES) => {
            tracing::warn!(
                limit,
                connections,
                "fewer files may be open than [api] max_connections needs; raise LimitNOFILE of the service, or lower the option"
            );
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it is"),
    }
}

/// The first signal asks to stop, the second does not ask.
fn stop_on_signals() -> Result<CancellationToken, std::io::Error> {
    let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = CancellationToken::new();
    let asked = stop.clone();
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
            if asked.is_cancelled() {
                tracing::warn!("second signal: ending at once");
                std::process::exit(130);
            }
            asked.cancel();
        }
    });
    Ok(stop)
}

fn states(format: Format) -> String {
    match format {
        Format::Table => {
            let rows = TABLE.iter().map(|(from, event, to)| format!("{:<16} {:<9} {to}\n", from.name(), event.name()));
            format!("{:<16} {:<9} {}\n", "FROM", "EVENT", "TO") + &rows.collect::<String>()
        }
        Format::Dot => {
            let rows = TABLE.iter().map(|(from, event, to)| format!("  \"{from}\" -> \"{to}\" [label=\"{event}\"];\n"));
            format!("digraph states {{\n  rankdir=LR;\n{}}}\n", rows.collect::<String>())
        }
        Format::Json => {
            let row = |(from, event, to): &(_, _, _)| serde_json::json!({"from": from, "event": event, "to": to});
            let rows: Vec<_> = TABLE.iter().map(row).collect();
            serde_json::json!({ "transitions": rows }).to_string() + "\n"
        }
    }
}
