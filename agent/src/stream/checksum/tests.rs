//! Tests of `checksum`.

use super::{ChecksumError, Choice, choose, from_file};
use common::image_ref::{DigestKind, ImageInfo};
use proptest::prelude::{any, proptest};
use serde_json::{Value, json};

fn info(more: Value) -> ImageInfo {
    let mut all = json!({"id": "a", "urls": ["http://h/a"]});
    all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(all).unwrap()
}

#[test]
fn the_choice_of_a_checksum() {
    let (sha256, sha512, md5, sha1) = ("A".repeat(64), "b".repeat(128), "c".repeat(32), "d".repeat(40));
    let kind = |more: Value| match choose(&info(more), true) {
        Ok(Choice::Known(expected)) => expected.kind,
        other => panic!("{other:?}"),
    };
    assert_eq!(kind(json!({"checksum": sha256})), DigestKind::Sha256);
    assert_eq!(kind(json!({"checksum": md5})), DigestKind::Md5);
    assert_eq!(kind(json!({"checksum": md5, "os_hash_algo": "sha512", "os_hash_value": sha512})), DigestKind::Sha512);
    assert_eq!(
        kind(json!({"checksum": sha256, "os_hash_algo": "blake2b", "os_hash_value": sha512})),
        DigestKind::Sha256
    );
    assert_eq!(kind(json!({"os_hash_algo": "SHA1", "os_hash_value": sha1})), DigestKind::Sha1);
    for bad in [
        json!({}),
        json!({"checksum": null}),
        json!({"checksum": ""}),
        json!({"checksum": sha1}),
        json!({"checksum": "none"}),
        json!({"os_hash_algo": "sha256"}),
        json!({"os_hash_algo": "sha256", "os_hash_value": sha512}),
        json!({"checksum": "file:///etc/passwd"}),
    ] {
        assert!(matches!(choose(&info(bad.clone()), true), Err(ChecksumError::Unusable(_))), "{bad}");
    }
    assert!(matches!(choose(&info(json!({"checksum": md5})), false), Err(ChecksumError::Md5Forbidden)));
    let by_url = choose(&info(json!({"os_hash_algo": "sha256", "os_hash_value": "http://h/SUMS"})), false).unwrap();
    assert!(matches!(by_url, Choice::File { kind: Some(DigestKind::Sha256), .. }));
}

#[test]
fn checksum_files_of_every_style() {
    let url = "http://h/SHA256SUMS".parse().unwrap();
    let (want, other) = ("1a".repeat(32), "2b".repeat(32));
    let find = |text: String| from_file(text.as_bytes(), &url, "disk.raw", None, false).map(|found| found.hex);
    for text in [
        format!("{want}\n"),
        format!("# made today\n\n{}\n", want.to_uppercase()),
        format!("{other}  other.raw\n{want}  disk.raw\n"),
        format!("{other} *other.raw\r\n{want} *disk.raw\r\n"),
        format!("{want}  ./disk.raw\n"),
        format!("SHA256 (other.raw) = {other}\nSHA256 (disk.raw) = {want}\n"),
        format!("# disk.raw: 5 bytes\nMD5 (disk.raw) = {}\nSHA256 (disk.raw) = {want}\n", "3c".repeat(16)),
        format!("disk.raw {want}\n"),
    ] {
        assert_eq!(find(text.clone()).expect(&text), want, "{text}");
    }
    for text in [
        String::new(),
        format!("{other}  other.raw\n"),
        format!("{other}  xdisk.raw\n"),
        format!("{want}  disk.raw\n{other}  disk.raw\n"),
        format!("{want}\n{other}\n"),
        "<html>not found</html>".into(),
    ] {
        assert!(matches!(find(text.clone()), Err(ChecksumError::File { .. })), "{text}");
    }
    let md5 = format!("{}  disk.raw", "3c".repeat(16));
    assert!(matches!(find(md5), Err(ChecksumError::Md5Forbidden)));
}

proptest! {
    #[test]
    fn no_checksum_file_breaks_the_reader(text in any::<Vec<u8>>(), name in ".{0,9}") {
        let _ = from_file(&text, &"http://h/s".parse().unwrap(), &name, None, true);
    }
}
