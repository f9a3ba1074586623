//! Which source wins, what is refused, and what is only complained about.

use super::*;

fn load(line: &str, files: &[(&str, &str)], flags: &[(&str, String)]) -> Result<Config, ConfigError> {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    Config::load(&KernelLine::parse(line), Some(dir.path()), &[], flags)
}

#[test]
fn a_file_beats_the_kernel_line_and_a_flag_beats_both() {
    let line = "ipa-api-url=http://192.0.2.1:6385 ipa-listen-port=1 ipa-lookup-timeout=5 quiet";
    let file = "[DEFAULT]\nlisten_port = 2\nlookup_timeout: 7\n";
    let config = load(line, &[("a.conf", file)], &[("listen_port", "3".into())]).unwrap();
    assert_eq!(config.api_urls, ["http://192.0.2.1:6385"]);
    assert_eq!((config.listen_port, config.lookup_timeout.as_secs()), (3, 7));
    assert!(config.complaints.is_empty(), "{:?}", config.complaints);
}

#[test]
fn files_are_read_in_order_of_names_and_only_conf_files() {
    let files =
        [("2.conf", "[DEFAULT]\ncafile=/two\n"), ("1.conf", "[DEFAULT]\ncafile=/one\n"), ("3.yaml", "cafile=/3")];
    assert_eq!(load("", &files, &[]).unwrap().cafile.unwrap(), Path::new("/two"));
}

#[test]
fn a_named_file_comes_after_the_directory_and_must_exist() {
    let dir = tempfile::tempdir().unwrap();
    let named = dir.path().join("site.ini");
    std::fs::write(&named, "[DEFAULT]\nlisten_port = 4\n").unwrap();
    std::fs::write(dir.path().join("a.conf"), "[DEFAULT]\nlisten_port = 5\nlookup_timeout = 6\n").unwrap();
    let load = |files: &[PathBuf]| Config::load(&KernelLine::default(), Some(dir.path()), files, &[]);
    let config = load(&[named]).unwrap();
    assert_eq!((config.listen_port, config.lookup_timeout.as_secs()), (4, 6));
    assert!(matches!(load(&[dir.path().join("none")]), Err(ConfigError::Read { .. })));
}

#[test]
fn the_kernel_lines_debug_beats_a_file_in_both_directions() {
    let debug = |line: &str, file: &str| load(line, &[("a.conf", file)], &[]).unwrap().debug;
    assert_eq!(debug("ipa-debug=0", "[DEFAULT]\ndebug = true\n"), Some(false));
    assert_eq!(debug("ipa-debug=1", "[DEFAULT]\ndebug = false\n"), Some(true));
    assert_eq!(debug("ipa-debug=perhaps", "[DEFAULT]\ndebug = true\n"), Some(true));
    assert_eq!(debug("quiet", ""), None);
}

#[test]
fn numbers_out_of_bounds_leave_the_default() {
    let line = "ipa-http-request-timeout=0 ipa-image-download-connection-timeout=0 ipa-ip-lookup-attempts=0 \
        ipa-image-download-max-duration=99999999999999999999 ipa-ironic-api-version=latest ipa-disk-wait-attempts=-1 \
        ipa-tls-min-version=1.1 ipa-inject-files-priority=100 ipa-listen-port=65536";
    let config = load(line, &[], &[]).unwrap();
    assert_eq!(config.complaints.len(), 9, "{:?}", config.complaints);
    assert_eq!(
        (config.http_request_timeout.as_secs(), config.download_timeout, config.ip_lookup_attempts),
        (30, 60, 6)
    );
    assert_eq!((config.download_max_duration, config.ironic_api_version, config.disk_wait_attempts), (0, None, 10));
    assert_eq!((config.tls_min_version.as_str(), config.inject_files_priority, config.listen_port), ("1.2", 0, 9999));
    let fine = load("ipa-ironic-api-version=1.95 ipa-enable-discard-erase=yes", &[], &[]).unwrap();
    assert_eq!((fine.ironic_api_version.as_deref(), fine.enable_discard_erase), (Some("1.95"), true));
}

#[test]
fn partition_sizes_are_those_of_disk_utils_and_the_rest_of_it_is_complained_about() {
    let file = "[disk_utils]\nefi_system_partition_size = 1024\nbios_boot_partition_size = 0\ndd_block_size = 4M\n";
    let config = load("", &[("a.conf", file)], &[]).unwrap();
    assert_eq!((config.efi_system_partition_size, config.bios_boot_partition_size), (1024, 1));
    assert_eq!(config.complaints.len(), 2, "{:?}", config.complaints);
}

#[test]
fn halves_are_ignored_and_said() {
    let halves = "[DEFAULT]\ncertfile = /a\ntls_key_file = /b\nlisten_tls = true\n";
    let config = load("", &[("a.conf", halves)], &[]).unwrap();
    assert_eq!((config.client_files(), config.static_tls(), config.complaints.len()), (None, None, 2));
    let alone = load("", &[("a.conf", "[DEFAULT]\nlisten_tls = true\n")], &[]).unwrap();
    assert!(alone.complaints[0].contains("listen_tls"), "{:?}", alone.complaints);
    let whole = load("", &[("a.conf", "[DEFAULT]\ncertfile = /a\nkeyfile = /b\n")], &[]).unwrap();
    assert_eq!(whole.client_files(), Some(("/a".into(), "/b".into())));
}

#[test]
fn empty_values_are_none() {
    let config = load("ipa-agent-token= ipa-inspection-collectors= ipa-api-url=http://192.0.2.1", &[], &[]).unwrap();
    assert!(config.agent_token.is_none() && !config.wants_inspection(), "{:?}", config.inspection_collectors);
}

#[test]
fn mdns_only_when_asked_for_and_never_beside_urls() {
    let by_mdns = |line: &str| {
        let config = load(line, &[], &[]).unwrap();
        (config.api_by_mdns, config.inspection_by_mdns)
    };
    assert_eq!(by_mdns(""), (false, false));
    assert_eq!(by_mdns("ipa-api-url=mdns"), (true, false));
    assert_eq!(by_mdns("ipa-inspection-callback-url=mdns ipa-use-mdns=1"), (false, true));
    assert_eq!(by_mdns("ipa-use-mdns=1"), (true, false));
    assert_eq!(by_mdns("ipa-use-mdns=1 ipa-api-url=http://192.0.2.1"), (false, false));
    assert!(matches!(load("ipa-api-url=mdns,http://192.0.2.1", &[], &[]), Err(ConfigError::Url { .. })));
    let file =
        "[mdns]\nallowed_overrides = ntp_server,debug\nlookup_attempts = 5\ninterfaces = 192.0.2.1\nparams = a:b\n";
    let config = load("", &[("a.conf", file)], &[]).unwrap();
    assert_eq!(
        (config.mdns.allowed_overrides.len(), config.mdns.lookup_attempts, config.mdns.interfaces.len()),
        (2, 5, 1)
    );
    assert_eq!(config.complaints.len(), 1, "{:?}", config.complaints);
}

#[test]
fn odd_urls_and_time_servers_are_refused() {
    assert_eq!(load("ipa-ntp-server=pool.example", &[], &[]).unwrap().ntp_server.as_deref(), Some("pool.example"));
    let config = load("ipa-ntp-server=a;reboot", &[], &[]).unwrap();
    assert_eq!((config.ntp_server, config.complaints.len()), (None, 1));
    assert!(matches!(load("ipa-api-url=ftp://x", &[], &[]), Err(ConfigError::Url { .. })));
}

#[test]
fn what_is_not_understood_is_said_once_and_the_default_stays() {
    let config = load("ipa-lookup-timeout=soon ipa-frobnicate=1 ipa-frobnicate=2 root=/dev/x", &[], &[]).unwrap();
    assert_eq!(config.lookup_timeout.as_secs(), 600);
    assert_eq!(config.complaints.len(), 2, "{:?}", config.complaints);
}

#[test]
fn the_token_is_not_printed() {
    let secret = "0123456789012345678901234567890123456789abc";
    let config = load(&format!("ipa-agent-token={secret}"), &[], &[]).unwrap();
    assert!(config.agent_token.as_ref().unwrap().matches(secret));
    assert!(!format!("{config:?}").contains(secret));
}

#[test]
fn a_named_directory_must_exist() {
    assert!(Config::load(&KernelLine::default(), Some(Path::new("/nonexistent-dir")), &[], &[]).is_err());
}
