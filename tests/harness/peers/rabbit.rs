//! A real RabbitMQ of a story's own: on loopback, with its files in the story's folder, stopped with it.

use super::program::Running;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Erlang on a busy machine.
const START: Duration = Duration::from_secs(90);
const PORT: u16 = 5672;
/// Where it speaks TLS, when it does.
pub const TLS_PORT: u16 = 5671;

/// A running broker.
#[derive(Debug)]
pub struct Rabbit {
    /// The process.
    pub process: Running,
    /// For the transport_url option.
    pub url: String,
    /// Erlang's table of names. The broker would start one that outlives everybody; this one ends with the story.
    _names: Running,
}

/// The server program of Debian's package.
///
/// # Panics
/// When it is not installed.
pub fn program() -> PathBuf {
    let found = std::fs::read_dir("/usr/lib/rabbitmq/lib").into_iter().flatten().flatten();
    let mut programs = found.map(|entry| entry.path().join("sbin/rabbitmq-server")).filter(|path| path.exists());
    programs.next().expect("rabbitmq-server is not installed; run `.ci/setup-peers` as root")
}

impl Rabbit {
    /// Starts one and waits until it listens.
    ///
    /// # Panics
    /// When it does not.
    pub async fn start(dir: &Path) -> Self {
        Self::start_with(dir, "").await
    }

    /// The same, which also speaks TLS for `localhost`; and the file that makes its certificate known.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with_tls(dir: &Path) -> (Self, PathBuf) {
        let (certificate, key) = (dir.join("bus.pem"), dir.join("bus.key"));
        let pair = rcgen::KeyPair::generate().expect("a key");
        let made = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).and_then(|it| it.self_signed(&pair));
        std::fs::write(&certificate, made.expect("a certificate").pem()).expect("the story's folder");
        std::fs::write(&key, pair.serialize_pem()).expect("the story's folder");
        let options = format!(
            "listeners.ssl.1 = 127.0.0.1:{TLS_PORT}\nssl_options.certfile = {}\nssl_options.keyfile = {}\n\
             ssl_options.cacertfile = {}\nssl_options.verify = verify_none\nssl_options.fail_if_no_peer_cert = false\n",
            certificate.display(),
            key.display(),
            certificate.display()
        );
        (Self::start_with(dir, &options).await, certificate)
    }

    async fn start_with(dir: &Path, options: &str) -> Self {
        let dir = dir.join("rabbit");
        std::fs::create_dir_all(&dir).expect("the broker's folder");
        std::fs::write(dir.join("rabbitmq.conf"), format!("listeners.tcp.1 = 127.0.0.1:{PORT}\n{options}"))
            .expect("its options");
        std::fs::write(dir.join("plugins"), "[].").expect("its plugins");
        let mut names = Command::new("epmd");
        names.args(["-address", "127.0.0.1"]);
        let names = Running::start(names, &dir.join("epmd.log"));
        let mut command = Command::new(program());
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", &dir);
        command.env("RABBITMQ_NODENAME", "story@localhost").env("RABBITMQ_CONFIG_FILE", dir.join("rabbitmq"));
        command.env("RABBITMQ_MNESIA_BASE", dir.join("mnesia")).env("RABBITMQ_LOG_BASE", dir.join("log"));
        command.env("RABBITMQ_ENABLED_PLUGINS_FILE", dir.join("plugins")).env("RABBITMQ_PID_FILE", dir.join("pid"));
        command.env("ERL_EPMD_ADDRESS", "127.0.0.1");
        let mut process = Running::start(command, &dir.join("out.log"));
        let begin = Instant::now();
        while tokio::net::TcpStream::connect(("127.0.0.1", PORT)).await.is_err() {
            assert!(process.runs() && begin.elapsed() < START, "the broker does not listen: {}", process.said());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Rabbit { process, url: format!("rabbit://guest:guest@127.0.0.1:{PORT}/"), _names: names }
    }
}
