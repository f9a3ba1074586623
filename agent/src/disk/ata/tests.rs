//! IDENTIFY DEVICE, with hdparm as the oracle.

use super::{BLOCK, Identity, Security, minutes};
use proptest::prelude::{prop_assert, proptest};

fn answer(words: &[(usize, u16)]) -> [u8; BLOCK] {
    let mut answer = [0; BLOCK];
    for (at, word) in words {
        answer[2 * at..2 * at + 2].copy_from_slice(&word.to_le_bytes());
    }
    answer
}

#[test]
fn the_security_words_are_read_where_the_standard_puts_them() {
    let security = |words: &[(usize, u16)]| Identity::parse(&answer(words)).unwrap().security;
    assert_eq!(security(&[(0, 0x40)]), Security::default(), "no feature set, no state");
    let full = security(&[(83, 0x4000), (85, 2), (89, 0x8000 | 300), (90, 20), (128, 0b1_0011_0111)]);
    let expected = Security {
        supported: true,
        enabled: true,
        locked: true,
        frozen: false,
        expired: true,
        enhanced: true,
        master_only_erases: true,
        minutes: (Some(600), Some(40)),
    };
    assert_eq!(full, expected);
    assert!(security(&[(83, 0x4000), (85, 2), (128, 1)]).enabled, "word 85 counts, too");
    assert!(!security(&[(85, 2), (128, 1)]).enabled, "without its mark it does not");
    assert!(security(&[(128, 0b1001)]).frozen);
    assert!(!security(&[(128, 0b1110)]).locked, "without the feature set nothing is locked");
    assert_eq!((minutes(0), minutes(255), minutes(0xffff)), (None, Some(510), Some(65534)));
}

#[test]
fn what_is_no_identity_is_refused() {
    assert!(Identity::parse(&[0; BLOCK]).is_err());
    assert!(Identity::parse(&[0xff; BLOCK]).is_err());
    assert!(Identity::parse(&answer(&[(0, 0x8500)])).is_err(), "a CD drive");
    let mut signed = answer(&[(0, 0x40), (255, 0x00a5)]);
    assert!(Identity::parse(&signed).unwrap_err().contains("checksum"));
    let sum = signed.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    signed[511] = 0_u8.wrapping_sub(sum);
    Identity::parse(&signed).unwrap();
}

/// `hdparm --Istdin` reads the same words as text: it is the oracle of the parser.
#[test]
fn hdparm_reads_the_same() {
    use std::io::Write;
    use std::process::{Command, Stdio};
    for status in [0b0000_0001_u16, 0b0010_0001, 0b0000_1001, 0b0010_0011, 0b0000_0111, 0b0001_0111, 0b0000_1011] {
        let words = [
            (0, 0x40),
            (80, 0x3f0),
            (82, 2),
            (83, 0x4000),
            (84, 0x4000),
            (85, status & 2),
            (87, 0x4000),
            (89, 15),
            (90, 4),
            (128, status),
        ];
        let words = answer(&words);
        let text: String = words
            .chunks(16)
            .map(|row| row.chunks(2).map(|word| format!("{:02x}{:02x} ", word[1], word[0])).collect::<String>() + "\n")
            .collect();
        let Ok(mut child) = Command::new("hdparm").arg("--Istdin").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
        else {
            return println!("skipped: hdparm is not here");
        };
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        let said = said.split("Security:").nth(1).unwrap_or_default();
        let line = |word: &str| {
            let line = said.lines().map(str::trim).find(|line| line.trim_start_matches("not").trim() == word);
            line.is_some_and(|line| !line.starts_with("not"))
        };
        let ours = Identity::parse(&words).unwrap().security;
        assert_eq!(
            (ours.enabled, ours.locked, ours.frozen, ours.expired),
            (line("enabled"), line("locked"), line("frozen"), line("expired: security count")),
            "{status:#b}: {said}"
        );
        assert_eq!(
            ours.enhanced,
            said.contains("supported: enhanced erase") && !said.contains("not\tsupported: enhanced erase"),
            "{said}"
        );
        assert!(said.contains("30min for SECURITY ERASE UNIT") && ours.minutes == (Some(30), Some(8)), "{said}");
    }
}

proptest! {
    #[test]
    fn nothing_panics_and_no_state_is_without_the_feature(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), BLOCK)) {
        if let Ok(identity) = Identity::parse(&bytes.try_into().unwrap()) {
            let security = identity.security;
            prop_assert!(security.supported || !(security.enabled || security.locked || security.frozen || security.enhanced));
        }
    }
}
