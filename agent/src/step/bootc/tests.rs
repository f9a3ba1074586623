//! A podman of the test: it notes its arguments, its environment and the files it could see, and makes a partition table.

use super::{Tools, run};
use crate::step::{StepError, tests::context};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::step::StepKind;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

const SECRET: &str = "dXNlcjp2ZXJ5LXNlY3JldC1wYXNzd29yZA==";

struct Bench {
    dir: tempfile::TempDir,
    disk: tempfile::NamedTempFile,
}

impl Bench {
    /// `behaviour` is run by the fake for `podman run`.
    fn new(behaviour: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().display();
        std::fs::create_dir(dir.path().join("scratch")).unwrap();
        let behaviour = behaviour.replace("{at}", &at.to_string());
        let script = format!(
            "#!/bin/sh\nverb=$1; [ \"$verb\" = --log-level=debug ] && verb=$2\nfor word; do echo \"arg $word\"; case $word in --authfile=*) echo \"auth $(cat ${{word#--authfile=}}) $(stat -c %a ${{word#--authfile=}})\" ;; --root-ssh-authorized-keys=*) echo \"keys $(cat ${{word#--root-ssh-authorized-keys=}})\" ;; esac; done > {at}/$verb.log\nenv > {at}/$verb.env\nfind {at}/scratch -type f > {at}/$verb.files\nfor word; do device=$word; done\n[ $verb = pull ] && exit ${{PULL:-0}}\n{behaviour}\n"
        );
        let podman = dir.path().join("podman");
        std::fs::write(&podman, script).unwrap();
        std::fs::set_permissions(&podman, std::fs::Permissions::from_mode(0o755)).unwrap();
        let disk = tempfile::NamedTempFile::new().unwrap();
        disk.as_file().set_len(2 << 30).unwrap();
        Self { dir, disk }
    }

    fn run(&self, args: Value, info: Value, rebuild: impl FnOnce(&mut crate::step::Rules)) -> Result<Value, StepError> {
        let path = |name: &str| self.dir.path().join(name);
        let tools = Tools {
            podman: path("podman"),
            configuration: path("conf.d"),
            scratch: path("scratch"),
            selinux: "/nowhere".into(),
        };
        let node = json!({"instance_info": {"root_device": {"name": self.disk.path().canonicalize().unwrap()}}});
        let mut context = context(vec![self.disk.path().to_path_buf()], node);
        rebuild(&mut context.rules);
        let args = args.as_object().unwrap();
        run(StepKind::Deploy, args, args.get("oci_pull_secret"), info.as_object().unwrap(), &context, &tools)
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        std::fs::read_dir(self.dir.path().join("scratch")).unwrap().map(|entry| entry.unwrap().path()).collect()
    }
}

fn order() -> Value {
    json!({"image_source": "oci://registry.example:5000/team/system:1", "configdrive": null, "oci_pull_secret": STANDARD.encode(SECRET)})
}

const TABLE: &str = "sgdisk -n 1:2048:+64M $device > /dev/null";

#[test]
fn the_secret_is_there_for_the_pull_alone_and_the_arguments_are_the_references() {
    let bench = Bench::new(TABLE);
    let info = json!({"bootc_authorized_keys": "ssh-ed25519 AAAA me", "bootc_tpm2_luks": true});
    let result = bench.run(order(), info, |_| {}).unwrap();
    let device = bench.disk.path().canonicalize().unwrap().display().to_string();
    let text = format!(
        "execute_bootc_install: Container image (oci://registry.example:5000/team/system:1) written to device {device}"
    );
    assert_eq!(result, json!({"result": text}));

    let pulled = bench.text("pull.log");
    let auth = json!({"auths": {"registry.example:5000": {"auth": SECRET}}});
    assert!(pulled.contains(&format!("auth {auth} 600")), "{pulled}");
    let args: Vec<&str> = pulled.lines().filter_map(|row| row.strip_prefix("arg ")).collect();
    assert!(args[..2] == ["pull", args[1]] && args[1].starts_with("--authfile="), "{pulled}");
    assert_eq!(args[2..], ["registry.example:5000/team/system:1"], "podman of Debian 12 takes nothing else");
    assert!(bench.text("conf.d/01-wrought.conf").contains("no_pivot_root = true"));

    let log = bench.text("run.log");
    let args: Vec<&str> = log.lines().filter_map(|row| row.strip_prefix("arg ")).collect();
    let fixed = [
        "--log-level=debug",
        "run",
        "--rm",
        "--privileged",
        "--pid=host",
        "--pull=never",
        "-v",
        "/var/lib/containers:/var/lib/containers",
        "-v",
        "/dev:/dev",
        "-v",
    ];
    assert_eq!(args[..11], fixed);
    assert_eq!(
        args[12..19],
        [
            "registry.example:5000/team/system:1",
            "bootc",
            "install",
            "to-disk",
            "--wipe",
            "--skip-fetch-check",
            "--root-size=1280M"
        ]
    );
    assert_eq!(args[19], "--block-setup=tpm2-luks");
    assert!(args[20].starts_with("--root-ssh-authorized-keys=") && log.contains("keys ssh-ed25519 AAAA me"));
    assert_eq!(args[21..], ["--disable-selinux", device.as_str()]);

    // What the image's code could have found.
    let files = bench.text("run.files");
    assert!(files.contains("authorized_keys") && !files.contains("auth.json"), "{files}");
    for name in ["run.log", "run.env", "pull.env", "run.files"] {
        let text = bench.text(name);
        assert!(
            !text.contains(SECRET) && !text.contains("very-secret") && !text.contains(&STANDARD.encode(SECRET)),
            "{name}: {text}"
        );
    }
    assert!(!pulled.lines().any(|row| row.starts_with("arg ") && row.contains(SECRET)), "{pulled}");
    assert!(bench.leftovers().is_empty());
}

#[test]
fn failures_have_their_types_and_leave_no_secret() {
    let kind = |bench: &Bench| {
        let error = bench.run(order(), json!({}), |_| {}).unwrap_err();
        assert!(bench.leftovers().is_empty());
        assert!(!error.details.contains(SECRET), "{error}");
        (error.kind, error.details)
    };
    let (name, text) = kind(&Bench::new("echo 'Error: executable file `bootc` not found in $PATH'; exit 127"));
    assert!(name == "ImageDownloadError" && text.contains("required bootc binary"), "{text}");
    let (name, text) = kind(&Bench::new("echo broken >&2; exit 3"));
    assert!(name == "ImageWriteError" && text.contains("exit code 3") && text.contains("broken"), "{text}");
    let (name, text) = kind(&Bench::new("exit 0"));
    assert!(name == "DeploymentError" && text.contains("No partitions found"), "{text}");
    let bench = Bench::new(TABLE);
    let script = bench.text("podman").replace("${PULL:-0}", "5");
    std::fs::write(bench.dir.path().join("podman"), script).unwrap();
    let (name, text) = kind(&bench);
    assert!(name == "ImageDownloadError" && text.contains("Failed to pull container image"), "{text}");
    assert_eq!(bench.text("run.log"), "", "nothing was started");
    std::fs::remove_file(bench.dir.path().join("podman")).unwrap();
    let (name, text) = kind(&bench);
    assert!(name == "CommandExecutionError" && text.contains("no podman"), "{text}");
    let small = Bench::new(TABLE);
    small.disk.as_file().set_len(700 << 20).unwrap();
    assert!(kind(&small).1.contains("larger disk"));
}

#[test]
fn what_cannot_be_meant_is_refused_before_podman_is_asked() {
    let bench = Bench::new(TABLE);
    let with = |key: &str, value: Value| {
        let mut args = order();
        args[key] = value;
        args
    };
    for source in [
        "",
        "registry.example/x",
        "oci://",
        "oci://host",
        "oci://--privileged/x",
        "oci://host/x y",
        "oci://host/$(x)",
        "docker://h/x",
    ] {
        let error = bench.run(with("image_source", json!(source)), json!({}), |_| {}).unwrap_err();
        assert_eq!(error.kind, "InvalidCommandParamsError", "{source}");
    }
    let error = bench.run(with("oci_pull_secret", json!("%%%")), json!({}), |_| {}).unwrap_err();
    assert!(error.details.contains("pull secret") && !error.details.contains("%%%"), "{error}");
    let error = bench.run(order(), json!({}), |rules| rules.disable_bootc_deploy = true).unwrap_err();
    assert!(error.kind == "CommandExecutionError" && error.details.contains("disable_bootc_deploy"), "{error}");
    let error = bench.run(order(), json!({}), |rules| rules.allow_erase.clear()).unwrap_err();
    assert_eq!(error.kind, "DeviceNotFound", "the gate is closed: {error}");
    assert!(!Path::new(&bench.dir.path().join("pull.log")).exists());
}

#[test]
fn the_images_code_is_alone_with_its_own_processes() {
    let bench = Bench::new(&format!("ls /proc > {{at}}/seen; echo $$ > {{at}}/pid\n{TABLE}"));
    bench.run(order(), json!({}), |_| {}).unwrap();
    let seen = bench.text("seen");
    assert!(bench.text("pid") == "1\n" && seen.contains("self"), "{seen}");
    assert!(!seen.lines().any(|name| name == std::process::id().to_string()), "{seen}");
}

#[test]
fn a_config_drive_goes_behind_what_bootc_made() {
    let bench = Bench::new(TABLE);
    let files = [("openstack/latest/meta_data.json".to_string(), b"{}".to_vec())];
    let drive = crate::disk::fat_write::image(512, "config-2", &files).unwrap();
    let mut args = order();
    args["configdrive"] = json!(STANDARD.encode(&drive));
    bench.run(args, json!({}), |_| {}).unwrap();
    let bytes = std::fs::read(bench.disk.path()).unwrap();
    let at = (2_usize << 30) - (66 << 20);
    assert!(bytes[at..].windows(drive.len()).step_by(512).any(|part| part == drive), "no config drive at the end");
}
