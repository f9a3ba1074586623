//! Tests of `format`.

use super::{FormatError, Found, HEAD, Policy, Way, decide, detect, detect_end};
use proptest::prelude::{any, proptest};

fn with(parts: &[(usize, &[u8])]) -> Vec<u8> {
    let mut head = vec![0; HEAD];
    for (at, bytes) in parts {
        head[*at..at + bytes.len()].copy_from_slice(bytes);
    }
    head
}

#[test]
fn formats_are_found_by_content() {
    type Parts<'a> = &'a [(usize, &'a [u8])];
    let cases: &[(Parts<'_>, Found)] = &[
        (&[], Found::Raw),
        (&[(510, b"\x55\xaa")], Found::Mbr),
        (&[(510, b"\x55\xaa"), (512, b"EFI PART")], Found::Gpt),
        (&[(510, b"\x55\xaa"), (4096, b"EFI PART")], Found::Gpt),
        (&[(510, b"\x55\xaa"), (0x8001, b"CD001")], Found::Iso),
        (&[(0, b"QFI\xfb\0\0\0\x03")], Found::Qcow2),
        (&[(0, b"QFI\xfb\0\0\0\x01")], Found::Foreign("qcow")),
        (&[(0, b"conectix")], Found::Foreign("vpc")),
        (&[(0, b"KDMV"), (510, b"\x55\xaa")], Found::Foreign("vmdk")),
    ];
    for (parts, found) in cases {
        assert_eq!(detect(&with(parts)).unwrap(), *found, "{parts:?}");
    }
    let both = with(&[(0, b"QFI\xfb\0\0\0\x03"), (0x8001, b"CD001")]);
    assert!(matches!(detect(&both), Err(FormatError::Polyglot { first: "qcow2", second: "iso" })));
    let vdi = with(&[(0, b"QFI\xfb\0\0\0\x03"), (0x40, b"\x7f\x10\xda\xbe")]);
    assert!(matches!(detect(&vdi), Err(FormatError::Polyglot { first: "qcow2", second: "vdi" })));
    let tar = with(&[(0, b"conectix"), (257, b"ustar")]);
    assert!(matches!(detect(&tar), Err(FormatError::Polyglot { first: "vpc", .. })));
    let boot = with(&[(0, b"QFI\xfb\0\0\0\x03"), (510, b"\x55\xaa")]);
    assert!(matches!(detect(&boot), Err(FormatError::Polyglot { second: "raw (MBR)", .. })));
    assert!(matches!(detect(b""), Err(FormatError::Empty)));
    assert_eq!(detect(b"x").unwrap(), Found::Raw);
}

#[test]
fn formats_are_found_by_their_end() {
    let mut end = vec![0; 1024];
    detect_end(&end).unwrap();
    end[512..520].copy_from_slice(b"conectix");
    assert!(matches!(detect_end(&end), Err(FormatError::Foreign("vpc"))));
    detect_end(&end[..1000]).unwrap();
    detect_end(b"").unwrap();
}

#[test]
fn declared_and_permitted_formats() {
    let usual: Vec<String> = ["raw", "gpt", "qcow2"].map(String::from).to_vec();
    let way = |found, declared, permitted: &[String], inspect| {
        decide(found, Policy { declared, permitted, inspect }).map_err(|error| error.to_string())
    };
    for found in [Found::Raw, Found::Mbr, Found::Gpt] {
        for declared in [None, Some("raw"), Some("gpt"), Some("unknown")] {
            assert_eq!(way(found, declared, &usual, true), Ok(Way::Copy), "{found:?} {declared:?}");
        }
        assert!(way(found, Some("qcow2"), &usual, true).is_err());
    }
    assert_eq!(way(Found::Qcow2, None, &usual, true), Ok(Way::Qcow2));
    assert!(way(Found::Qcow2, Some("raw"), &usual, true).unwrap_err().contains("declared as `raw`"));
    assert_eq!(way(Found::Qcow2, Some("raw"), &usual, false), Ok(Way::Copy));
    assert!(way(Found::Qcow2, None, &["raw".into()], true).unwrap_err().contains("permitted_image_formats: raw"));
    assert!(way(Found::Iso, None, &usual, true).is_err());
    assert_eq!(way(Found::Iso, Some("raw"), &usual, true), Ok(Way::Copy));
    assert_eq!(way(Found::Iso, Some("iso"), &["iso".into()], true), Ok(Way::Copy));
    let advice = way(Found::Foreign("vmdk"), Some("vmdk"), &["vmdk".into()], true).unwrap_err();
    assert!(advice.contains("qemu-img convert -f vmdk -O qcow2"), "{advice}");
}

proptest! {
    #[test]
    fn any_bytes_have_a_verdict(head in any::<Vec<u8>>()) {
        let _ = detect(&head);
    }
}
