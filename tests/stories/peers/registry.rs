//! A disk image in a real registry (`docker-registry`, filled by `skopeo`), written by our agent's own code.

use agent::command::Facts;
use agent::config::Config;
use agent::step::Rules;
use agent::step::write_image::write_into;
use agent::sys::progress::Progress;
use common::image_ref::ImageInfo;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// User and password.
pub const LOGIN: &str = "me:secret";
/// bcrypt of the password.
const HTPASSWD: &str = "me:$2a$05$VapelIZu9EoJnfxkPoFlZO3SlSk55qS6ZRnvFMwOtEZcNI.51AY1W\n";

/// One that wants [`LOGIN`] for everything; it ends with this.
pub struct Registry {
    child: Child,
    address: SocketAddr,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Starts it at this address, over plain HTTP, with its data below `dir`.
    pub fn start(dir: &Path, address: SocketAddr) -> Self {
        let (users, config) = (dir.join("htpasswd"), dir.join("registry.yml"));
        fs::write(&users, HTPASSWD).expect("a file");
        let text = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
             http: {{addr: \"{address}\"}}\nauth: {{htpasswd: {{realm: here, path: {}}}}}\n",
            dir.join("data").display(),
            users.display()
        );
        fs::write(&config, text).expect("a file");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("docker-registry (`.ci/setup-peers` installs it)");
        let registry = Self { child, address };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "the registry does not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        registry
    }

    /// Pushes the image that [`layout`] made, and returns its name, which begins with the registry's.
    pub fn push(&self, dir: &Path, name: &str, options: &[&str]) -> String {
        let from = format!("oci:{}:image", dir.join("layout").display());
        let name = format!("{}/{name}", self.address);
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--dest-tls-verify=false", "--dest-creds", LOGIN]).args(options);
        let output = skopeo.args([from, format!("docker://{name}")]).output().expect("skopeo (`.ci/setup-peers`)");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        name
    }
}

/// As images name their parts.
pub fn digest(bytes: &[u8]) -> String {
    let hex: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// An OCI layout of one layer; returns the manifest's digest.
pub fn layout(dir: &Path, config: &str, layer: &[u8]) -> String {
    let blobs = dir.join("layout/blobs/sha256");
    fs::create_dir_all(&blobs).expect("a folder");
    let put = |bytes: &[u8], kind: &str| {
        let digest = digest(bytes);
        fs::write(blobs.join(&digest["sha256:".len()..]), bytes).expect("a blob");
        json!({"digest": digest, "size": bytes.len(), "mediaType": kind})
    };
    let config = put(config.as_bytes(), "application/vnd.oci.image.config.v1+json");
    let layer = put(layer, "application/vnd.oci.image.layer.v1.tar");
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": config, "layers": [layer]}).to_string();
    let mut entry = put(manifest.as_bytes(), kind);
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "image"});
    let index = json!({"schemaVersion": 2, "manifests": [entry]}).to_string();
    fs::write(dir.join("layout/index.json"), index).expect("a file");
    fs::write(dir.join("layout/oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).expect("a file");
    digest(manifest.as_bytes())
}

fn write(address: &str, password: &str, target: &Path) -> Result<(), String> {
    let login: Value = json!({"image_server_auth_strategy": "http_basic", "image_server_user": "me",
        "image_server_password": password, "id": "disk", "urls": [address]});
    let info: ImageInfo = serde_json::from_value(login).expect("image_info");
    let rules = Facts::new(&Config::default(), Vec::new()).rules();
    let rules = Rules { download_retries: 1, download_retry_interval: 0, ..rules };
    write_into(&info, target, None, &rules, &Progress::default()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn a_disk_is_written_out_of_a_real_registry() {
    let dir = tempfile::tempdir().expect("a folder");
    let (file, _) = super::image::image(dir.path(), "disk.raw", 5);
    let disk = fs::read(file).expect("the image");
    let pin = layout(dir.path(), "{}", &disk);
    let free = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port");
    let registry = Registry::start(dir.path(), free);
    // As it is, so that its digest stays; and packed on the way, as skopeo does when nobody says otherwise.
    let plain = registry.push(dir.path(), "os/disk:plain", &["--preserve-digests"]);
    let packed = registry.push(dir.path(), "os/disk:packed", &[]);
    let target = dir.path().join("target");
    let pinned = plain.replace(":plain", &format!("@{pin}"));
    for address in [&plain, &pinned, &packed].map(|name| format!("oci://{name}")) {
        File::create(&target).and_then(|made| made.set_len(80 << 20)).expect("a target");
        write(&address, "secret", &target).unwrap_or_else(|error| panic!("{address}: {error}"));
        assert!(fs::read(&target).expect("the target")[..disk.len()] == disk, "{address}");
    }
    let refused = write(&format!("oci://{plain}"), "wrong", &target).expect_err("a wrong password");
    assert!(refused.contains("registry") || refused.contains("401"), "{refused}");
}
