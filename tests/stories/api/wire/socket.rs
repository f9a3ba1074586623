//! The API on a Unix socket: in place of TCP, with the rights that were asked for, never taken from who serves it.

use crate::site::Site;
use conductor::api::listen::Listeners;
use conductor::config::Config;
use std::os::unix::fs::PermissionsExt;

#[tokio::test]
async fn the_api_lives_on_a_socket_with_its_rights_and_is_gone_after_a_stop() {
    let mut place = std::path::PathBuf::new();
    let site = Site::with(|config, folder| {
        place = folder.join("api.sock");
        config.api.unix_socket = Some(place.clone());
        config.api.unix_socket_mode = Some("660".into());
        // Loopback only is not asked for: no address of the network is listened on.
        config.api.host_ip = "0.0.0.0".into();
    })
    .await;
    assert_eq!(std::fs::metadata(&place).unwrap().permissions().mode() & 0o777, 0o660);
    let node = site.node("on-a-socket").await;
    let links = site.get(&format!("/v1/nodes/{node}")).await.expect(200).body["links"].clone();
    assert_eq!(links[0]["href"], format!("http://localhost/v1/nodes/{node}"));
    site.provision(&node, "manage", "manageable").await;
    // Calls without credentials work without an address to count them by.
    site.get("/v1/lookup?addresses=52:54:00:00:00:01").await.expect(404);
    assert_eq!(site.get("/v1/nodes").await.expect(200).body["nodes"].as_array().unwrap().len(), 1);
    let mut second = Config::default();
    second.api.unix_socket = Some(place.clone());
    let refused = Listeners::bind(&second).await.err().unwrap().to_string();
    assert!(refused.contains("somebody serves it already"), "{refused}");
    site.get("/v1").await.expect(200);
    site.stop().await;
    assert!(!place.exists());
}

#[tokio::test]
async fn a_socket_that_nobody_serves_is_replaced_and_anything_else_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("api.sock");
    drop(std::os::unix::net::UnixListener::bind(&place).unwrap());
    assert!(place.exists(), "as after a power cut");
    let mut config = Config::default();
    config.api.unix_socket = Some(place.clone());
    let listeners = Listeners::bind(&config).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((listeners.local(), listeners.socket()), (Vec::new(), Some(place.clone())));
    drop(listeners);
    std::fs::write(&place, "a file").unwrap();
    let refused = Listeners::bind(&config).await.err().unwrap().to_string();
    assert!(refused.contains("no socket") && place.exists(), "{refused}");
    config.api.unix_socket_mode = Some("rw".into());
    let refused = Listeners::bind(&config).await.err().unwrap().to_string();
    assert!(refused.contains("unix_socket_mode `rw`"), "{refused}");
}

#[tokio::test]
async fn agents_keep_their_address_beside_a_socket() {
    let mut config = Config::default();
    let folder = tempfile::tempdir().unwrap();
    config.api.unix_socket = Some(folder.path().join("s"));
    config.api.port = 0;
    config.boot.provisioning_address = Some("127.0.0.1".into());
    let listeners = Listeners::bind(&config).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(listeners.local().len(), 1);
}
