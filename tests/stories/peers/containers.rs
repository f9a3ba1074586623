//! A real podman pulls out of a real registry what our agent is told to run under the real Ironic: a tool as a step, and a
//! system that installs itself (bootc) and looks for its pull secret meanwhile.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::{FileExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use tests::machine::{Firmware, GIB};
use tests::network;
use tests::peers::loop_disk::LoopDisk;
use tests::peers::require_sandbox;
use tests::peers::sandbox::{self, Boot, Containers};
use tests::story::{Stage, story_after};

use super::image::config_drive;
use super::on_disk::partitions;
use super::our_images::{UNCLEANED, holds};
use super::our_rig::{Rig, Server};
use super::registry::{LOGIN, Registry, digest, layout};

/// The sandbox's podman knows this registry as one without TLS.
const PORT: u16 = 5000;
/// In the sandbox nobody may make device nodes or raise limits, which any other way to run a container would want.
const RUN: [&str; 5] = ["--rm", "--privileged", "--network=host", "-v", "/dev:/dev"];
const KEYS: &str = "ssh-ed25519 AAAAC3Nza heron";
const SECTOR: u64 = 512;
/// Agents take no disk below 4 GiB.
const DISK: u64 = 5 * GIB;
/// Where the system puts its report: at the start of its partition.
const REPORT: u64 = 2048 * SECTOR;
/// The programs of busybox that the image's scripts call.
const APPLETS: [&str; 8] = ["sh", "blockdev", "cat", "dd", "echo", "find", "grep", "tr"];

/// The tool.
const CHECK: &str = "#!/bin/sh
echo \"a container is at work on $(cat /proc/sys/kernel/ostype)\" >&2
";

/// Plays bootc. Refuses a call that bootc would not take, and tells on the disk what it was called with, and where it found what
/// it looked for: in what processes were started with, and in all files that it was given or that the first process has. A pattern
/// in brackets does not find itself. `-xdev`, for the container's own `/proc` and `/sys` appear once more among the images.
const BOOTC: &str = r#"#!/bin/sh
set -eu
for device; do :; done
bytes=$(blockdev --getsize64 "$device")
case "$*" in
"install to-disk --wipe --skip-fetch-check --root-size=$((bytes / 1048576 - 768))M --root-ssh-authorized-keys="*" --disable-selinux $device") ;;
*) echo "bootc does not know this call: $*" >&2; exit 64 ;;
esac
first=/proc/1/root
where() {
  for file in /proc/[0-9]*/cmdline /proc/[0-9]*/environ \
    $(find /etc /run /run/* /tmp /var $first/etc/containers $first/run $first/var/lib/containers $first/var/log $first/var/tmp \
      -xdev -type f 2> /dev/null)
  do
    if tr '\0' '\n' < "$file" 2> /dev/null | grep -q -E "$1"; then echo "$2 $file"; fi
  done
}
{
  echo "installed with $*"
  where '[s]sh-ed25519 AAAA' keys
  where '^HOME=/root' home
  where '[r]oot-ssh-authorized-keys' argument
  where '@SECRET@' secret
  echo "that is all"
} > /tmp/report
dd if=/gpt.head of="$device" bs=512 conv=notrunc
dd if=/gpt.tail of="$device" bs=512 conv=notrunc seek=$((bytes / 512 - 33))
dd if=/tmp/report of="$device" bs=512 conv=notrunc,fsync seek=2048
"#;

#[test]
fn the_real_podman_runs_a_tool_and_a_system_that_installs_itself_for_our_agent() {
    story_after(require_sandbox, async |stage: Stage| {
        let (dir, secret) = (stage.dir.clone(), STANDARD.encode(LOGIN));
        let layer = image(&dir, &secret);
        if let Err(said) = podman_works(&dir, &layer) {
            println!("podman runs no container on this machine, so this story is not told: {said}");
            return;
        }
        let registry = Registry::start(&dir, SocketAddr::from((network::CONDUCTOR, PORT)));
        let [system, tool] = ["os/heron:1", "tools/check:1"].map(|name| registry.push(&dir, name, &[]));
        let login = dir.join("operators-login.json");
        let auth = json!({"auths": {format!("{}:{PORT}", network::CONDUCTOR): {"auth": secret}}});
        fs::write(&login, auth.to_string()).expect("a file");
        let settings = format!(
            "{UNCLEANED}[DEFAULT]\nenabled_deploy_interfaces = direct,bootc\n[agent_containers]\nallowed_containers = {tool}\n\
             pull_options = --authfile={}\nrun_options = {}\n",
            login.display(),
            RUN.join(",")
        );
        let rig = Rig::start(stage, &settings).await;
        let server = rig.server_with(Containers::Real, 0, Firmware::Uefi, &[DISK]).await;

        let step = json!([{"interface": "deploy", "step": "generic_container_step", "args": {"container_url": tool}}]);
        server.node("clean", &["--clean-steps", &step.to_string()]);
        server.says("a container is at work on Linux").await;
        server.reaches("manageable").await;
        assert_eq!(server.error().await, "");

        installs_itself(&server, &system, &secret).await;
    });
}

async fn installs_itself(server: &Server, system: &str, secret: &str) {
    server.node("set", &["--deploy-interface", "bootc"]);
    server.instance_info(&[("image_source", json!(format!("oci://{system}"))), ("bootc_authorized_keys", json!(KEYS))]);
    server.node("provide", &[]);
    server.reaches("available").await;
    let soiled = server.machine.disk.dirt();
    server.node("deploy", &[]);
    server.reaches("deploy failed").await;
    let error = server.error().await;
    assert!(error.contains("Failed to pull") && error.contains("uthoriz"), "without the secret: {error}");
    assert_eq!(server.machine.disk.dirt(), soiled, "the disk was touched before there was an image");

    server.instance_info(&[("image_pull_secret", json!(secret))]);
    server.node("deploy", &["--config-drive", &config_drive("heron-bootc")]);
    server.reaches("active").await;
    let disk = &server.machine.disk;
    let [own, drive] = partitions(disk.settled())[..] else { panic!("not the system's partition and a config drive") };
    assert_eq!(own.start, REPORT);
    assert!(holds(disk.settled(), drive.start, "heron-bootc"), "no config drive");

    let report = report(disk);
    let found = |what: &str| report.lines().filter_map(|line| line.strip_prefix(what)).collect::<Vec<_>>();
    let ends = |what: &str, end: &str| found(what).iter().any(|place| place.ends_with(end));
    let device = disk.device.display().to_string();
    assert!(report.starts_with("installed with install to-disk ") && report.contains(&device), "{report}");
    assert!(report.contains("that is all"), "{report}");
    // It looks well: what is there, it finds in each kind of place.
    assert!(found("keys ").iter().any(|place| place.starts_with("/proc/1/root/run/")), "{report}");
    assert!(ends("home ", "/proc/1/environ") && ends("argument ", "/proc/1/cmdline"), "{report}");
    assert_eq!(found("secret "), Vec::<&str>::new(), "the image's code saw the pull secret: {report}");
    for secret in [secret, LOGIN, &STANDARD.encode(secret)] {
        assert!(!server.machine.said().contains(secret), "the pull secret is in the agent's log");
    }
}

fn report(disk: &LoopDisk) -> String {
    let mut bytes = vec![0; 64 << 10];
    fs::File::open(disk.settled()).and_then(|file| file.read_exact_at(&mut bytes, REPORT)).expect("the disk's file");
    String::from_utf8_lossy(bytes.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

/// Makes the image from nothing, as layout and as the archive of its only layer, whose path is returned.
fn image(dir: &Path, secret: &str) -> PathBuf {
    let root = dir.join("image");
    for folder in ["bin", "dev", "etc", "proc", "run", "sys", "tmp", "var"] {
        fs::create_dir_all(root.join(folder)).expect("a folder of the image");
    }
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox (package busybox-static)");
    for applet in APPLETS {
        symlink("busybox", root.join("bin").join(applet)).expect("a link of the image");
    }
    // As it is, as it came over the wire, and as a person writes it; none of them finds itself.
    let forms = [secret.to_owned(), STANDARD.encode(secret), LOGIN.to_owned()];
    let pattern = forms.map(|form| format!("[{}]{}", &form[..1], &form[1..])).join("|");
    for (name, text) in [("bin/check", CHECK.to_owned()), ("bin/bootc", BOOTC.replace("@SECRET@", &pattern))] {
        fs::write(root.join(name), text).expect("a script of the image");
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o755)).expect("a script of the image");
    }
    partition_table(dir, &root);
    let layer = dir.join("layer.tar");
    let status = Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&layer).arg(".").status().expect("tar");
    assert!(status.success(), "tar");
    let bytes = fs::read(&layer).expect("the layer");
    let config = json!({
        "architecture": "amd64", "os": "linux",
        "config": {"Cmd": ["/bin/check"], "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [digest(&bytes)]},
    });
    layout(dir, &config.to_string(), &bytes);
    layer
}

/// Both ends of a disk with one partition: the image has no program that makes them.
fn partition_table(dir: &Path, root: &Path) {
    let model = dir.join("model.raw");
    let file = fs::File::create(&model).expect("a model of the disk");
    file.set_len(DISK).expect("a model of the disk");
    let made = Command::new("sgdisk").args(["--new=1:2048:+64M"]).arg(&model).output().expect("sgdisk (package gdisk)");
    assert!(made.status.success(), "sgdisk: {}", String::from_utf8_lossy(&made.stderr));
    let file = fs::File::open(&model).expect("a model of the disk");
    for (name, at, sectors) in [("gpt.head", 0, 34), ("gpt.tail", DISK - 33 * SECTOR, 33)] {
        let mut bytes = vec![0; sectors * 512];
        file.read_exact_at(&mut bytes, at).expect("a model of the disk");
        fs::write(root.join(name), bytes).expect("a file of the image");
    }
}

/// Before our agent is involved: this kernel lets podman run the image in the sandbox, or what podman said.
fn podman_works(dir: &Path, layer: &Path) -> Result<(), String> {
    let folder = dir.join("probe");
    fs::create_dir_all(&folder).expect("a folder");
    let disk = LoopDisk::new(&folder, "disk.raw", 1 << 20);
    let (layer, options) = (layer.display(), RUN.join(" "));
    let line = format!(
        "podman --version && podman import {layer} localhost/probe && podman run {options} localhost/probe /bin/check"
    );
    let mut probe = sandbox::start(&Boot {
        folder: &folder,
        disks: &[&disk],
        mac: "52:54:00:70:00:33",
        address: "172.22.0.63",
        firmware: Firmware::Bios,
        containers: Containers::Real,
        command: &["sh".into(), "-c".into(), line],
    });
    let well = probe.ends();
    let said = probe.said();
    assert!(said.contains("podman version"), "podman (`.ci/setup-peers` installs it): {said}");
    if well && said.contains("a container is at work") { Ok(()) } else { Err(said) }
}
