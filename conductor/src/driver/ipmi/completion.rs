//! Completion codes in words that say what to do (IPMI 2.0 table 5-2 and those of the commands used here).

/// The BMC will do it later: ask again.
pub fn is_passing(code: u8) -> bool {
    matches!(code, 0xc0 | 0xc3 | 0xc4 | 0xcf | 0xd0 | 0xd1 | 0xd2)
}

/// The BMC does not have this command or this form of it.
pub fn is_unsupported(code: u8) -> bool {
    matches!(code, 0xc1 | 0xc2 | 0xcc | 0xd6 | 0x80)
}

/// The code in words.
pub fn text(code: u8) -> String {
    let words = match code {
        0x80 => "the BMC does not support this parameter",
        0x81 => "another program is changing the same parameter or the level is not allowed: try again later",
        0x82 => "the BMC holds this parameter read-only",
        0x83 => {
            "the controller behind the BMC does not answer on its bus: check the ipmi_target_ and ipmi_transit_ keys"
        }
        0xc0 => "the BMC is busy: try again, and raise the interval between commands if this happens often",
        0xc1 | 0xc2 => "this BMC does not have the command",
        0xc3 => "the BMC ran out of time inside: try again, or reset the BMC",
        0xc4 => "the BMC ran out of space: reset the BMC",
        0xc5 => "the BMC cancelled its reservation: try again",
        0xc6..=0xc8 | 0xca => "the BMC expects another length: update its firmware",
        0xc9 | 0xcb | 0xcc => "the BMC refuses this value or parameter",
        0xcd => "this command is not allowed for this kind of sensor or record",
        0xce => "the BMC could not answer: try again, or reset the BMC",
        0xcf => "the BMC took the command for a repetition: try again",
        0xd0..=0xd2 => "the BMC or its repository is still starting: try again in a minute",
        0xd3 => "the controller cannot be reached from the BMC: check the ipmi_target_ and ipmi_transit_ keys",
        0xd4 => {
            "the session's privilege level is too low, or the BMC's firewall forbids the command: correct \
                 ipmi_priv_level or the user's rights"
        }
        0xd5 => "the machine is not in a state in which the BMC can do this",
        0xd6 => "this function of the BMC is switched off",
        0xff => "the BMC gives no reason",
        0x01..=0x7e => "the BMC answers with a code of its manufacturer",
        _ => "the BMC answers with a code of this command",
    };
    format!("{words} (completion code {code:#04x})")
}

#[cfg(test)]
mod tests {
    use super::{is_passing, text};

    #[test]
    fn every_code_has_words_with_the_number() {
        for code in 1..=u8::MAX {
            assert!(text(code).contains(&format!("{code:#04x}")));
        }
        assert!(is_passing(0xc0) && !is_passing(0xc1) && !is_passing(0xd4));
    }
}
