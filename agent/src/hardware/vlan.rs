//! VLAN interfaces that the operator wants (`ipa-enable-vlan-interfaces`): named ones, and those that switches announce.

use crate::hardware::lldp::{self, Heard};
use crate::sys::link;
use crate::sys::sysfs::Unread;
use common::inventory::Interface;

/// Most interfaces made; a switch may announce four thousand VLANs on every port.
const MAX_MADE: usize = 128;

/// What to make for the words `IF.VLAN`, `MAC.VLAN`, `IF`, `all`: pairs of parent and VLAN. The last two need packets of
/// switches. Words that fit nothing are told.
pub fn wanted(
    words: &[String],
    interfaces: &[Interface],
    heard: Option<&Heard>,
    unread: &mut Vec<Unread>,
) -> Vec<(String, u16)> {
    let mut pairs: Vec<(String, u16)> = Vec::new();
    let mut tell = |word: &str, why: &str| {
        tracing::warn!(%word, why, "no VLAN interface is made");
        unread.push(Unread { what: format!("VLAN interface `{word}`"), why: why.into() });
    };
    for word in words {
        if let Some((parent, id)) = word.rsplit_once('.') {
            let same = |nic: &&Interface| {
                nic.name == parent || nic.mac_address.as_deref().is_some_and(|mac| mac.eq_ignore_ascii_case(parent))
            };
            match (interfaces.iter().find(same), id.parse()) {
                (Some(nic), Ok(id @ 1..=4094)) => pairs.push((nic.name.clone(), id)),
                (None, _) => tell(word, "this machine has no such interface"),
                _ => tell(word, "a VLAN is a number from 1 to 4094"),
            }
            continue;
        }
        let Some(heard) = heard else {
            tell(word, "VLANs are known only from LLDP: switch `ipa-collect-lldp` on, or name them as INTERFACE.VLAN");
            continue;
        };
        let before = pairs.len();
        for (name, pieces) in heard.iter().filter(|(name, _)| word == "all" || *name == word) {
            pairs.extend(lldp::vlans(pieces).into_iter().map(|id| (name.clone(), id)));
        }
        if pairs.len() == before {
            tell(word, "no switch announced a VLAN there");
        }
    }
    let is_made = |(parent, id): &(String, u16)| interfaces.iter().any(|nic| nic.name == format!("{parent}.{id}"));
    pairs.retain(|pair| !is_made(pair));
    pairs.sort();
    pairs.dedup();
    if pairs.len() > MAX_MADE {
        tell(&format!("{} VLANs", pairs.len()), "more than 128 are announced; only the first 128 get an interface");
        pairs.truncate(MAX_MADE);
    }
    pairs
}

/// Makes them and switches them on. What fails is told, the rest is made.
pub fn make(pairs: &[(String, u16)], unread: &mut Vec<Unread>) {
    for (parent, id) in pairs {
        let name = format!("{parent}.{id}");
        match link::add_vlan(parent, &name, *id).and_then(|()| link::set_up(&name)) {
            Ok(()) => tracing::info!(interface = %name, "made"),
            Err(error) => {
                tracing::warn!(interface = %name, %error, "the VLAN interface could not be made");
                unread.push(Unread { what: format!("VLAN interface {name}"), why: error.to_string() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wanted;
    use crate::hardware::lldp::Heard;
    use common::inventory::Interface;

    #[test]
    fn words_become_pairs_and_what_fits_nothing_is_told() {
        let nic = |name: &str, mac: &str| Interface {
            name: name.into(),
            mac_address: Some(mac.into()),
            ..Default::default()
        };
        let interfaces =
            [nic("eno1", "02:00:00:00:00:0a"), nic("eno2", "02:00:00:00:00:0b"), nic("eno2.5", "02:00:00:00:00:0b")];
        let announce = |id: u16| (127u8, format!("0080c203{id:04x}00"));
        let heard = Heard::from([("eno1".into(), vec![announce(7), announce(9)]), ("eno2".into(), vec![announce(5)])]);
        let ask = |words: &[&str], heard: Option<&Heard>| {
            let mut unread = Vec::new();
            let words: Vec<String> = words.iter().map(|word| word.to_string()).collect();
            (wanted(&words, &interfaces, heard, &mut unread), unread)
        };
        let pair = |name: &str, id: u16| (name.to_owned(), id);
        let (pairs, unread) = ask(&["eno1.100", "02:00:00:00:00:0B.200", "eno1.100"], None);
        assert_eq!((pairs, unread.len()), (vec![pair("eno1", 100), pair("eno2", 200)], 0));
        let (pairs, unread) = ask(&["gone.1", "eno1.4095", "eno1.x", "all"], None);
        assert_eq!((pairs.len(), unread.len()), (0, 4), "{unread:?}");
        assert_eq!(ask(&["all"], Some(&heard)).0, [pair("eno1", 7), pair("eno1", 9)], "eno2.5 is there already");
        assert_eq!(ask(&["eno1"], Some(&heard)).0.len(), 2);
        assert_eq!(ask(&["eno9"], Some(&heard)).1.len(), 1);
        let flood = Heard::from([("eno1".into(), (1..=4094).map(announce).collect())]);
        assert_eq!(ask(&["all"], Some(&flood)).0.len(), super::MAX_MADE);
    }
}
