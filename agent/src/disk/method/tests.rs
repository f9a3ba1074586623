//! The table, row by row.

use super::{Abilities, Method, Options, choose};
use crate::disk::ata::{Identity, Security};
use crate::disk::facts::Disk;
use crate::disk::{nvme, scsi};
use serde_json::{Value, json};
use std::collections::BTreeSet;

fn options(info: Value) -> Options {
    Options::of(json!({"driver_internal_info": info}).as_object().unwrap(), false).unwrap()
}

fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| name.to_string()).collect()
}

fn nvme(change: impl FnOnce(&mut nvme::Abilities)) -> Abilities {
    let mut nvme = nvme::Abilities { can_format: true, ..Default::default() };
    change(&mut nvme);
    Abilities { nvme: Some(nvme), ..Default::default() }
}

fn ata(security: Security) -> Abilities {
    let identity = Identity { security: Security { supported: true, ..security }, ..Default::default() };
    Abilities { ata: Some(identity), scsi: scsi::Abilities { ata: true, ..Default::default() }, ..Default::default() }
}

fn alone(abilities: &Abilities, info: Value) -> Result<Method, String> {
    let disk = Disk { kernel_name: "x".into(), namespaces: names(&["x"]), ..Default::default() };
    choose(&disk, abilities, &options(info), &names(&["x"])).map_err(|error| error.to_string())
}

#[test]
fn defaults_hold_where_the_conductor_says_nothing() {
    let expected = Options {
        iterations: 1,
        zeroize: true,
        continue_if_failed: false,
        nvme: true,
        ata: true,
        scsi: true,
        discard: false,
        concurrency: 1,
        skip_read_only: false,
    };
    assert_eq!(options(json!({"agent_erase_devices_iterations": null})), expected);
    assert_eq!(Options::of(&serde_json::Map::new(), false).unwrap(), expected);
    let set = options(json!({"agent_erase_devices_iterations": "3", "disk_erasure_concurrency": 4,
        "agent_continue_if_ata_erase_failed": true, "agent_enable_nvme_secure_erase": "False",
        "agent_enable_ata_secure_erase": false}));
    assert_eq!(
        (set.iterations, set.concurrency, set.continue_if_failed, set.nvme, set.ata),
        (3, 4, true, false, false)
    );
}

#[test]
fn options_that_erase_nothing_or_make_no_sense_are_refused() {
    for info in [
        json!({"agent_erase_devices_iterations": 0, "agent_erase_devices_zeroize": false}),
        json!({"agent_erase_devices_iterations": -1}),
        json!({"agent_erase_devices_zeroize": "perhaps"}),
    ] {
        assert!(Options::of(json!({"driver_internal_info": info}).as_object().unwrap(), false).is_err(), "{info}");
    }
}

#[test]
fn the_devices_own_zeroes_count_only_where_they_give_what_was_asked() {
    let disk = Disk { zeroes_itself: true, ..Default::default() };
    let nothing = Abilities::default();
    let method = |info: Value| choose(&disk, &nothing, &options(info), &BTreeSet::new()).unwrap();
    assert_eq!(method(json!({})), Method::DiscardAndZero);
    assert_eq!(method(json!({"agent_erase_devices_iterations": 2})), Method::Overwrite);
    assert_eq!(method(json!({"agent_erase_devices_zeroize": false})), Method::Overwrite);
    assert_eq!(alone(&nothing, json!({})), Ok(Method::Overwrite));
}

#[test]
fn nvme_takes_the_first_row_that_the_controller_has() {
    let all = || vec![nvme::Sanitize::Crypto, nvme::Sanitize::Block, nvme::Sanitize::Overwrite];
    let format = |crypto| Method::NvmeFormat { crypto, all: false };
    for (abilities, method) in [
        (nvme(|can| (can.format_crypto, can.sanitize) = (true, all())), format(true)),
        (nvme(|can| can.sanitize = all()), Method::NvmeSanitize(nvme::Sanitize::Crypto)),
        (nvme(|can| can.sanitize = vec![nvme::Sanitize::Block]), format(false)),
        (nvme(|_| ()), format(false)),
        (
            nvme(|can| {
                (can.can_format, can.sanitize) = (false, vec![nvme::Sanitize::Block, nvme::Sanitize::Overwrite])
            }),
            Method::NvmeSanitize(nvme::Sanitize::Block),
        ),
        (
            nvme(|can| (can.can_format, can.sanitize) = (false, vec![nvme::Sanitize::Overwrite])),
            Method::NvmeSanitize(nvme::Sanitize::Overwrite),
        ),
        (nvme(|can| can.sanitize = vec![nvme::Sanitize::Overwrite]), format(false)),
        (nvme(|can| can.format_crypto = true), format(true)),
    ] {
        assert_eq!(alone(&abilities, json!({})), Ok(method), "{abilities:?}");
        assert_eq!(alone(&abilities, json!({"agent_enable_nvme_secure_erase": false})), Ok(Method::Overwrite));
    }
}

#[test]
fn what_reaches_a_kept_or_unseen_namespace_is_passed_over_or_refused() {
    let disk = Disk { kernel_name: "nvme0n1".into(), namespaces: names(&["nvme0n1", "nvme0n2"]), ..Default::default() };
    let (one, both) = (names(&["nvme0n1"]), names(&["nvme0n1", "nvme0n2"]));
    let (default, lenient) = (options(json!({})), options(json!({"agent_continue_if_secure_erase_failed": true})));
    let sanitizes = nvme(|can| can.sanitize = vec![nvme::Sanitize::Crypto]);
    let alone_format = Method::NvmeFormat { crypto: false, all: false };
    assert_eq!(choose(&disk, &sanitizes, &default, &one).unwrap(), alone_format, "a sanitize would hit the kept one");
    assert_eq!(choose(&disk, &sanitizes, &default, &both).unwrap(), Method::NvmeSanitize(nvme::Sanitize::Crypto));
    for bit in [0, 1] {
        let hits = nvme(|can| {
            (can.format_hits_all, can.erase_hits_all, can.format_crypto) = (bit == 0, bit == 1, true);
            can.sanitize = vec![nvme::Sanitize::Block];
        });
        let error = choose(&disk, &hits, &default, &one).unwrap_err().to_string();
        assert!(error.contains("would also erase nvme0n2") && error.contains("agent_enable_nvme"), "{error}");
        assert_eq!(choose(&disk, &hits, &lenient, &one).unwrap(), Method::Overwrite);
        let off = options(json!({"agent_enable_nvme_secure_erase": false}));
        assert_eq!(choose(&disk, &hits, &off, &one).unwrap(), Method::Overwrite);
        assert_eq!(choose(&disk, &hits, &default, &both).unwrap(), Method::NvmeFormat { crypto: true, all: true });
        let unseen = nvme(|can| (can.format_hits_all, can.allocated) = (true, Some(3)));
        let error = choose(&disk, &unseen, &default, &both).unwrap_err().to_string();
        assert!(error.contains("1 namespaces that this machine does not see"), "{error}");
    }
}

#[test]
fn an_nvme_disk_that_cannot_erase_itself_is_overwritten_only_when_that_was_allowed() {
    let silent = Abilities { unknown: Some("it does not answer".into()), ..Default::default() };
    for (abilities, word) in [(nvme(|can| can.can_format = false), "neither format"), (silent, "does not answer")] {
        let error = alone(&abilities, json!({})).unwrap_err();
        assert!(error.contains(word) && error.contains("agent_continue_if_secure_erase_failed"), "{error}");
        for info in [
            json!({"agent_continue_if_secure_erase_failed": true}),
            json!({"agent_continue_if_ata_erase_failed": true}),
            json!({"agent_enable_nvme_secure_erase": false}),
        ] {
            assert_eq!(alone(&abilities, info.clone()), Ok(Method::Overwrite), "{info}");
        }
        let both = json!({"agent_continue_if_secure_erase_failed": false, "agent_continue_if_ata_erase_failed": true});
        assert!(alone(&abilities, both).is_err(), "the new name decides");
    }
}

#[test]
fn ata_goes_by_its_state() {
    let on = Security::default();
    let (plain, enhanced) = (ata(on), ata(Security { enhanced: true, ..on }));
    assert_eq!(alone(&plain, json!({})), Ok(Method::AtaSecurity { enhanced: false }));
    assert_eq!(alone(&enhanced, json!({})), Ok(Method::AtaSecurity { enhanced: true }));
    assert_eq!(alone(&enhanced, json!({"agent_enable_ata_secure_erase": false})), Ok(Method::Overwrite));
    for (state, word) in
        [(Security { frozen: true, ..on }, "frozen"), (Security { locked: true, enabled: true, ..on }, "locked")]
    {
        assert!(alone(&ata(state), json!({})).unwrap_err().contains(word));
        let lenient = json!({"agent_continue_if_ata_erase_failed": true});
        assert_eq!(alone(&ata(state), lenient), Ok(Method::Overwrite));
    }
    let mut without = ata(on);
    without.ata.as_mut().unwrap().security.supported = false;
    assert_eq!(alone(&without, json!({})), Ok(Method::Overwrite));
}

#[test]
fn a_discard_stands_for_a_secure_erase_only_where_it_is_allowed_and_none_can_be_had() {
    let frozen = ata(Security { frozen: true, ..Security::default() });
    let silent = Abilities { unknown: Some("it does not answer".into()), ..Default::default() };
    let able = Disk { discards: true, ..Default::default() };
    let choose = |disk: &Disk, abilities: &Abilities, options: &Options| {
        choose(disk, abilities, options, &BTreeSet::new()).map_err(|error| error.to_string())
    };
    let allowed = options(json!({"agent_enable_discard_erase": true}));
    let both = options(json!({"agent_enable_discard_erase": "true", "agent_continue_if_secure_erase_failed": true}));
    for abilities in [&frozen, &silent] {
        assert!(choose(&able, abilities, &options(json!({}))).is_err(), "off unless asked for");
        assert_eq!(choose(&able, abilities, &allowed), Ok(Method::Discard));
        assert_eq!(choose(&able, abilities, &both), Ok(Method::Discard), "before overwriting");
        assert!(choose(&Disk::default(), abilities, &allowed).is_err(), "a disk that cannot discard");
        assert_eq!(choose(&Disk::default(), abilities, &both), Ok(Method::Overwrite));
    }
    assert_eq!(choose(&able, &ata(Security::default()), &allowed), Ok(Method::AtaSecurity { enhanced: false }));
    assert_eq!(choose(&able, &Abilities::default(), &allowed), Ok(Method::Overwrite), "it has no secure erase at all");
    let site = |info: Value, site| {
        Options::of(json!({ "driver_internal_info": info }).as_object().unwrap(), site).unwrap().discard
    };
    assert!(site(json!({}), true) && !site(json!({"agent_enable_discard_erase": false}), true), "the node decides");
}

#[test]
fn scsi_sanitizes_by_crypto_before_block() {
    let sas = |crypto, block| Abilities {
        scsi: scsi::Abilities { ata: false, sanitize_crypto: crypto, sanitize_block: block },
        ..Default::default()
    };
    assert_eq!(alone(&sas(true, true), json!({})), Ok(Method::ScsiSanitize(scsi::Sanitize::Crypto)));
    assert_eq!(alone(&sas(false, true), json!({})), Ok(Method::ScsiSanitize(scsi::Sanitize::Block)));
    let off = json!({"driver_info": {"agent_enable_scsi_sanitize": "false"}});
    let off = Options::of(off.as_object().unwrap(), false).unwrap();
    let disk = Disk::default();
    assert_eq!(choose(&disk, &sas(true, true), &off, &BTreeSet::new()).unwrap(), Method::Overwrite);
    assert_eq!(alone(&sas(false, false), json!({})), Ok(Method::Overwrite));
}
