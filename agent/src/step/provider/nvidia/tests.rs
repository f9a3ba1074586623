//! Both steps with programs that answer as the maker's do, and note what they were asked.

use super::tools::Tools;
use super::{settings, update};
use crate::step::tests::context;
use serde_json::{Value, json};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// A folder with the four programs; `flash` is what the adapter's firmware says, `image` what any file says.
struct Bench(tempfile::TempDir);

impl Bench {
    fn new(flash: &str, image: &str) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().display().to_string();
        let write = |name: &str, text: String| {
            std::fs::write(folder.path().join(name), text).unwrap();
            std::fs::set_permissions(folder.path().join(name), PermissionsExt::from_mode(0o755)).unwrap();
        };
        write("flash", flash.into());
        write("image", image.into());
        write(
            "config",
            "Configurations:   Next Boot\n NUM_OF_VFS 8\n SRIOV_EN True(1)\n PF_TOTAL_SF 0\n ARR Array[0..7]\n".into(),
        );
        let note = format!("echo \"${{0##*/}} $*\" >> {place}/notes");
        write("lspci", "#!/bin/sh\necho 0000:18:00.0 0200: 15b3:1017\necho 0000:18:00.1 0200: 15b3:1017\necho 0000:20:00.0 0604: 15b3:9\n".into());
        write(
            "mstflint",
            format!(
                "#!/bin/sh\ncase \"$*\" in *query) case \"$1\" in -d) cat {place}/flash;; *) cat {place}/image;; esac;; *burn) {note};; esac\n"
            ),
        );
        write("mstfwreset", format!("#!/bin/sh\n[ \"$1\" = -v ] || {note}\n"));
        write(
            "mstconfig",
            format!(
                "#!/bin/sh\ncase \"$3\" in q) cat {place}/config;; i) echo NUM_OF_VFS SRIOV_EN PF_TOTAL_SF ARR NEWER;; esac\ncase \"$4\" in set) {note};; esac\n"
            ),
        );
        Bench(folder)
    }

    fn tools(&self) -> Tools {
        Tools::in_folder(self.0.path())
    }

    fn notes(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.0.path().join("notes")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

const OLD: &str = "FW Version:  24.33.900\nPSID:  MT_0000000540\n";
const NEW: &str = "FW Version:  24.34.1002\nPSID:  MT_0000000540\n";

fn image(file: &Path, changes: Value) -> Value {
    let hash = common::digest::Hasher::new(common::image_ref::DigestKind::Sha256);
    let mut hash = hash;
    hash.update(b"firmware");
    let mut entry = json!({"url": format!("file://{}", file.display()), "checksum": hash.hex(), "checksumType": "sha256",
        "componentFlavor": "MT_0000000540", "version": "24.34.1002"});
    for (key, value) in changes.as_object().unwrap() {
        entry[key] = value.clone();
    }
    json!([entry])
}

fn update(bench: &Bench, changes: Value) -> Result<Value, String> {
    let file = bench.0.path().join("fw.bin");
    std::fs::write(&file, "firmware").unwrap();
    let context = context(vec![], json!({}));
    update::run(&bench.tools(), &image(&file, changes), &context).map_err(|error| error.kind.to_owned())
}

#[test]
fn an_older_firmware_is_replaced_once_an_adapter() {
    let bench = Bench::new(OLD, NEW);
    assert_eq!(update(&bench, json!({})), Ok(Value::Null));
    let notes = bench.notes();
    assert_eq!(notes.len(), 1, "two ports, one adapter: {notes:?}");
    assert!(notes[0].starts_with("mstflint -d 0000:18:00.0 -i /") && notes[0].ends_with(" -y burn"), "{notes:?}");
    let bench = Bench::new(&format!("{OLD}FW Version(Running): 24.30.1\n"), NEW);
    update(&bench, json!({})).unwrap();
    assert_eq!(
        bench.notes()[0],
        "mstfwreset -d 0000:18:00.0 -y --sync 1 reset",
        "the update before it is started first"
    );
    let bench = Bench::new(NEW, NEW);
    update(&bench, json!({})).unwrap();
    assert_eq!(bench.notes(), [""; 0], "the same version is not written again");
}

#[test]
fn nothing_is_written_that_is_not_what_it_should_be() {
    let bench = Bench::new(OLD, NEW);
    for (changes, kind) in [
        (json!({"checksum": "00"}), "MismatchChecksumError"),
        (json!({"version": "1.2.3"}), "MismatchFWVersion"),
        (json!({"checksumType": "md5"}), "InvalidFirmwareImageConfig"),
        (json!({"version": ""}), "InvalidFirmwareImageConfig"),
        (json!({"url": "ftp://x/y"}), "InvalidURLScheme"),
        (json!({"url": "file:///nowhere/fw"}), "ImageDownloadError"),
    ] {
        assert_eq!(update(&bench, changes.clone()), Err(kind.into()), "{changes}");
    }
    let other = Bench::new(OLD, "FW Version: 24.34.1002\nPSID: MT_1\n");
    assert_eq!(update(&other, json!({})), Err("MismatchComponentFlavor".into()));
    assert_eq!(update(&bench, json!({"componentFlavor": "MT_OTHER"})), Ok(Value::Null), "for a board that is not here");
    let context = context(vec![], json!({}));
    let twice = image(&bench.0.path().join("fw.bin"), json!({}))[0].clone();
    let error = update::run(&bench.tools(), &json!([twice, twice]), &context).unwrap_err();
    assert_eq!(error.kind, "DuplicateComponentFlavor");
    assert_eq!(
        update::run(&bench.tools(), &json!({"url": 1}), &context).unwrap_err().kind,
        "InvalidFirmwareImageConfig"
    );
    assert_eq!((bench.notes(), other.notes()), (vec![], vec![]));
}

#[test]
fn a_missing_tool_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = update::run(&Tools::in_folder(folder.path()), &json!([]), &context(vec![], json!({}))).unwrap_err();
    assert!(error.details.contains("mstflint") && error.details.contains("not installed"), "{error}");
}

#[test]
fn only_settings_that_differ_are_set_after_all_were_checked() {
    let bench = Bench::new(OLD, NEW);
    let set =
        |given: Value| settings::run(&bench.tools(), &given, &context(vec![], json!({}))).map_err(|error| error.kind);
    set(json!([{"deviceID": "1017", "globalConfig": {"NUM_OF_VFS": 127, "SRIOV_EN": true}, "function0Config": {"PF_TOTAL_SF": 500},
        "function1Config": {"PF_TOTAL_SF": 0, "ARR[1..3]": 4}}, {"deviceID": "ffff"}])).unwrap();
    assert_eq!(
        bench.notes(),
        [
            "mstconfig -d 0000:18:00.0 -y set NUM_OF_VFS=127 PF_TOTAL_SF=500",
            "mstconfig -d 0000:18:00.1 -y set ARR[1..3]=4"
        ]
    );
    for (config, kind) in [
        (json!({"UNHEARD_OF": 1}), "UnSupportedConfigByMstflintPackage"),
        (json!({"--help": 1}), "UnSupportedConfigByMstflintPackage"),
        (json!({"NEWER": 1}), "UnSupportedConfigByFW"),
        (json!({"ARR[9]": 1}), "UnSupportedConfigByFW"),
    ] {
        assert_eq!(
            set(json!([{"deviceID": "1017", "globalConfig": {"NUM_OF_VFS": 1}, "function1Config": config}])),
            Err(kind),
            "{config}"
        );
    }
    assert_eq!(set(json!([{"deviceID": "1017"}, {"deviceID": "1017"}])), Err("DuplicateDeviceID"));
    assert_eq!(set(json!([{"globalConfig": {}}])), Err("InvalidFirmwareSettingsConfig"));
    assert_eq!(set(json!({})), Err("InvalidFirmwareSettingsConfig"));
    assert_eq!(bench.notes().len(), 2, "nothing was set by a list with a mistake");
}
