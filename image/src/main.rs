//! The `image` program: builds the deploy ramdisk.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use image::build::{Order, build};
use image::manifest::Manifest;

/// Builds what a server boots while it is provisioned.
#[derive(Parser)]
#[command(name = "image", version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make deploy.kernel, deploy.initramfs, deploy.iso and manifest.json from Debian packages. Needs no root.
    Build(BuildArgs),
}

#[derive(Args)]
struct BuildArgs {
    /// Folder for the files.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The agent's program [default: beside this program, else target/release/agent].
    #[arg(long, value_name = "PATH")]
    agent: Option<PathBuf>,
    /// Folder that keeps packages between builds [default: wrought-image in the user's cache folder].
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
    /// Folder whose files go into the ramdisk at the same paths (etc/wrought/steps.d, usr/bin, ...), owned by root; the
    /// libraries of its programs come along. May be repeated.
    #[arg(long, value_name = "DIR")]
    add: Vec<PathBuf>,
    /// Firmware for network cards and storage controllers, in an archive of its own (firmware.initramfs): a folder, a .deb,
    /// or a package of this machine's apt (firmware-bnx2x, ...). What the ramdisk's modules ask for is taken. May be
    /// repeated.
    #[arg(long, value_name = "DIR|DEB|PACKAGE")]
    firmware: Vec<String>,
    /// For use with Ironic: files named ironic-python-agent.*, the firmware inside, digests, and ironic.txt with the
    /// options that name them.
    #[arg(long)]
    for_ironic: bool,
    /// The ISO's kernel command line.
    #[arg(long, value_name = "WORDS", default_value = "console=tty0 console=ttyS0,115200 quiet panic=30")]
    kernel_args: String,
    /// Time stamp of every file, seconds since 1970 [default: the kernel package's].
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    source_date: Option<u32>,
}

fn main() -> ExitCode {
    let level = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_target(false)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr)
        .init();
    let Cli { command: Command::Build(args) } = Cli::parse();
    match order(args).and_then(|order| build(&order).map(|made| (order, made)).map_err(|error| chain(&error))) {
        Ok((order, manifest)) => {
            report(&order.out, &manifest);
            ExitCode::SUCCESS
        }
        Err(message) => {
            eprintln!("image: {message}");
            ExitCode::FAILURE
        }
    }
}

fn order(args: BuildArgs) -> Result<Order, String> {
    let cache = match args.cache.or_else(default_cache) {
        Some(cache) => cache,
        None => {
            return Err("there is no cache folder (neither XDG_CACHE_HOME nor HOME is set); give --cache DIR".into());
        }
    };
    let agent = match args.agent.or_else(default_agent) {
        Some(agent) => agent,
        None => return Err("there is no agent; run `cargo build --release -p agent`, or give --agent PATH".into()),
    };
    Ok(Order {
        out: args.out,
        agent,
        cache,
        additions: args.add,
        arguments: args.kernel_args,
        firmware: args.firmware,
        ironic: args.for_ironic,
        time: args.source_date,
    })
}

fn default_cache() -> Option<PathBuf> {
    let folder = |name, below: &str| std::env::var_os(name).map(|value| PathBuf::from(value).join(below));
    folder("XDG_CACHE_HOME", "wrought-image").or_else(|| folder("HOME", ".cache/wrought-image"))
}

fn default_agent() -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|me| Some(me.parent()?.join("agent")));
    beside.into_iter().chain([PathBuf::from("target/release/agent")]).find(|path| path.is_file())
}

fn report(out: &Path, manifest: &Manifest) {
    for artifact in &manifest.artifacts {
        let size = artifact.bytes.div_ceil(1 << 10);
        println!("{:>9} KiB  {}  {}", size, &artifact.sha256[..16], out.join(&artifact.file).display());
    }
    let modules = manifest.contents.iter().filter(|content| content.path.ends_with(".ko.zst")).count();
    let files = manifest.contents.iter().filter_map(|content| content.bytes).sum::<u64>() >> 20;
    println!("kernel {}, {modules} modules, {files} MiB unpacked", manifest.kernel_release);
    if !manifest.firmware.is_empty() {
        let found = manifest.firmware.iter().filter(|firmware| firmware.source.is_some()).count();
        let asked = manifest.firmware.len();
        println!(
            "{found} firmware files; {} that modules ask for were not found, manifest.json names them",
            asked - found
        );
    }
}

/// The error and its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
