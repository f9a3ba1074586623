//! The `agent` program: reads what was asked for, joins the rooms, and ends with a code that tells why.
//!
//! Exit codes: 0 told to stop · 1 could not start or could not find its node · 2 wrong use · 3 the token went to somebody else.

mod serve;

use agent::command::{Commands, End, Facts, Power};
use agent::config::{Config, KernelLine};
use agent::home::chain;
use agent::inventory_command::{Format, diff_command, inventory_command, root_device};
use agent::life::LifeError;
use agent::sys::apart::hide_memory;
use agent::sys::log_ring::LogRing;
use agent::sys::mask::mask_secrets;
use agent::sys::wiped_memory::WipedMemory;
use agent::vmedia;
use clap::{Args, Parser, Subcommand};
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What this program gives back holds no secrets.
#[global_allocator]
static MEMORY: WipedMemory = WipedMemory;

/// For a name look-up that is under way when the agent ends: it has a thread of its own, and holds nothing secret.
const LEAVE_TIME: Duration = Duration::from_secs(1);

#[derive(Parser)]
#[command(name = "agent", version, about = "The deploy ramdisk's side of a bare-metal conductor")]
struct Cli {
    #[command(subcommand)]
    command: What,
}

#[derive(Subcommand)]
enum What {
    /// Find the node, then serve the conductor until told to stop (what the ramdisk runs)
    Serve(Serve),
    /// Show what this machine has; touches nothing
    Inventory {
        /// A table for people, or what the conductor gets
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
        /// Print what is different from this saved inventory, instead (exit code 0: nothing, 1: something, 2: error)
        #[arg(long, value_name = "FILE")]
        diff: Option<PathBuf>,
        /// With --diff: also compare what changes by itself, such as addresses and host name
        #[arg(long, requires = "diff")]
        all: bool,
    },
    /// Show which disk a deployment would take, and why not each other one; touches nothing (exit code 0: one, 1: none, 2: error)
    RootDevice {
        /// A root device hint, NAME=VALUE, for example 'size=>= 400'; may be repeated; all must hold
        #[arg(long, value_name = "NAME=VALUE")]
        hint: Vec<String>,
        /// A node as `baremetal node show -f json` prints it: its hints and its skip list
        #[arg(long, value_name = "FILE")]
        node: Option<PathBuf>,
        /// A table for people, or JSON
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Args)]
struct Serve {
    /// Base URLs of the API, separated by commas [kernel line: ipa-api-url]
    #[arg(long, value_name = "URLS")]
    api_url: Option<String>,
    /// Directory of configuration files [default: /etc/ironic-python-agent.d, if it exists]
    #[arg(long, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    /// A configuration file, read after those of the directory; may be repeated
    #[arg(long, value_name = "FILE")]
    config_file: Vec<PathBuf>,
    /// A device that may be destroyed although this is no ramdisk; may be repeated
    #[arg(long, value_name = "DEVICE")]
    allow_erase: Vec<PathBuf>,
    /// A step that may be run although this is no ramdisk and it may change anything (steps that run containers, declared
    /// programs or a burn-in, or write firmware); may be repeated
    #[arg(long, value_name = "STEP")]
    allow_step: Vec<String>,
    /// Listen here, ADDRESS:PORT [default: every address, port 9999]
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// What to tell the conductor, ADDRESS or ADDRESS:PORT [default: the source address of the route to the API]
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    advertise: Option<String>,
    /// Run this with `poweroff`, `reboot` or `lockdown` instead of asking the kernel (sandboxes, tests)
    #[arg(long, value_name = "PROGRAM")]
    power_program: Option<PathBuf>,
    /// Use this folder in place of /etc for the rescue password and its marker (sandboxes, tests)
    #[arg(long, value_name = "DIR", default_value = "/etc")]
    etc: PathBuf,
    /// Say more in the log
    #[arg(long)]
    debug: bool,
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        What::Serve(flags) => serve(flags),
        What::Inventory { format, diff: Some(saved), all } => {
            let compared = diff_command(&saved, format, all, &mut std::io::stdout().lock(), &mut std::io::stderr());
            return answer(compared.map_err(Into::into));
        }
        What::Inventory { format, .. } => {
            inventory_command(format, &mut std::io::stdout().lock(), &mut std::io::stderr()).map_err(Into::into)
        }
        What::RootDevice { hint, node, format } => {
            let found = root_device::node(node.as_deref(), &hint).and_then(|node| {
                root_device::root_device(&node, format == Format::Json, &mut std::io::stdout().lock())
            });
            return answer(found.map_err(Into::into));
        }
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            match tracing::dispatcher::has_been_set() {
                true => tracing::error!(error = %chain(cause.as_ref()), "the agent ends"),
                false => eprintln!("agent: {}", chain(cause.as_ref())),
            }
            let refused = matches!(cause.downcast_ref(), Some(LifeError::TokenRefused));
            ExitCode::from(if refused { 3 } else { 1 })
        }
    }
}

/// Exit codes for scripts: 0 yes, 1 no, 2 it cannot be said.
fn answer(asked: Result<bool, Box<dyn Error>>) -> ExitCode {
    match asked {
        Ok(yes) => ExitCode::from(u8::from(!yes)),
        Err(cause) => {
            eprintln!("agent: {}", chain(cause.as_ref()));
            ExitCode::from(2)
        }
    }
}

/// Serves, and ends the machine if that was the last command: by then everything that could hold a secret is dropped.
fn serve(flags: Serve) -> Result<(), Box<dyn Error>> {
    let power = flags.power_program.clone().map_or(Power::Kernel, Power::Program);
    match served(flags, power.clone())? {
        Some(end) => Ok(power.end(end).map_err(|failure| failure.text().to_owned())?),
        None => Ok(()),
    }
}

fn served(flags: Serve, power: Power) -> Result<Option<End>, Box<dyn Error>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (line, media) = vmedia::take(KernelLine::of_this_machine());
    let mut config = Config::load(&line, flags.config_dir.as_deref(), &flags.config_file, &options(&flags))?;
    start_log(flags.debug || config.debug == Some(true));
    tracing::info!(version = agent::VERSION, api = %mask_secrets(&config.api_urls.join(",")), "agent starts");
    if let Err(cause) = hide_memory() {
        tracing::warn!(error = %cause, "other programs may look into this one's memory");
    }
    media.iter().for_each(|said| tracing::info!("virtual media: {said}"));
    for complaint in &config.complaints {
        tracing::warn!("{complaint}");
    }
    if !flags.allow_erase.is_empty() {
        config.disk_wait_attempts = 0; // the operator named the disks: no others are waited for
    }
    let facts = Facts::new(&config, flags.allow_erase);
    facts.allow_steps(flags.allow_step);
    let commands = Commands::with_etc(facts, power, flags.etc);
    // One thread for everything that waits; commands, hardware and name look-ups have threads of their own.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let ended = runtime.block_on(serve::run(config, commands));
    runtime.shutdown_timeout(LEAVE_TIME); // connections, and what they have read
    ended
}

/// The flags under the names of their options.
fn options(flags: &Serve) -> Vec<(&'static str, String)> {
    let mut options = Vec::new();
    options.extend(flags.api_url.clone().map(|urls| ("api_url", urls)));
    for (text, host_key, port_key) in
        [(&flags.listen, "listen_host", "listen_port"), (&flags.advertise, "advertise_host", "advertise_port")]
    {
        let Some(text) = text else { continue };
        // `[::1]:9999`, `192.0.2.1:9999`, `192.0.2.1`, `::1`
        match text.parse::<std::net::SocketAddr>() {
            Ok(address) => {
                options.extend([(host_key, address.ip().to_string()), (port_key, address.port().to_string())])
            }
            Err(_) => options.push((host_key, text.clone())),
        }
    }
    options
}

/// To standard error, which the ramdisk shows on its consoles, and to memory for the log bundle.
fn start_log(debug: bool) {
    let level = if debug { LevelFilter::DEBUG } else { LevelFilter::INFO };
    let filter = Targets::new().with_default(LevelFilter::WARN).with_target("agent", level);
    let console = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let memory = tracing_subscriber::fmt::layer().with_writer(LogRing::of_this_process()).with_ansi(false);
    tracing_subscriber::registry().with(filter).with(console).with(memory).init();
}
