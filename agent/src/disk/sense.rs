//! Sense data: why a SCSI command did not simply succeed, and how far a long one has come. Pure parser.
//!
//! Layouts: SPC-5 section 4.5; the ATA registers: SAT-5 section 12.2.7.

use crate::sys::orders::ScsiReply;

/// Keys that matter here.
pub const NOT_READY: u8 = 2;
/// The command is not known, or not in this form.
pub const ILLEGAL_REQUEST: u8 = 5;

/// What was read out of it; everything zero when there was none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sense {
    /// Sense key.
    pub key: u8,
    /// Additional sense code and its qualifier.
    pub code: (u8, u8),
    /// Share of a long piece of work that is done, in 65536ths.
    pub progress: Option<u16>,
    /// Status and error register of an ATA device behind a translation.
    pub ata: Option<(u8, u8)>,
}

impl Sense {
    /// Reads fixed and descriptor format, as much as there is.
    pub fn parse(data: &[u8]) -> Self {
        let at = |place: usize| data.get(place).copied().unwrap_or(0);
        match at(0) & 0x7f {
            0x70 | 0x71 => Self {
                key: at(2) & 0xf,
                code: (at(12), at(13)),
                progress: (at(15) & 0x80 != 0 && data.len() >= 18).then(|| u16::from_be_bytes([at(16), at(17)])),
                // Only after ATA PASS-THROUGH; who sent something else does not look.
                ata: (data.len() >= 8).then(|| (at(4), at(3))),
            },
            0x72 | 0x73 => {
                let mut sense = Self { key: at(1) & 0xf, code: (at(2), at(3)), ..Default::default() };
                let end = data.len().min(8 + usize::from(at(7)));
                let mut rest = data.get(8..end).unwrap_or_default();
                while let [kind, length, after @ ..] = rest {
                    let Some(body) = after.get(..usize::from(*length)) else { break };
                    match (kind, body) {
                        (0x02, [_, _, flags, high, low, ..]) if flags & 0x80 != 0 => {
                            sense.progress = Some(u16::from_be_bytes([*high, *low]));
                        }
                        (0x09, [_, error, .., status]) if body.len() >= 12 => sense.ata = Some((*status, *error)),
                        _ => {}
                    }
                    rest = &after[body.len()..];
                }
                sense
            }
            _ => Self::default(),
        }
    }

    /// In words, for people who have the standard at hand.
    pub fn words(&self) -> String {
        let key = match self.key {
            0 => "no sense",
            1 => "recovered error",
            2 => "not ready",
            3 => "medium error",
            4 => "hardware error",
            5 => "illegal request",
            6 => "unit attention",
            7 => "data protect",
            0xb => "aborted command",
            _ => "another sense key",
        };
        format!("{key}, code {:02x}h/{:02x}h", self.code.0, self.code.1)
    }
}

/// Sense of a reply that is no success.
pub fn of(reply: &ScsiReply) -> Option<Sense> {
    (reply.status != 0).then(|| Sense::parse(&reply.sense))
}

#[cfg(test)]
mod tests {
    use super::Sense;
    use proptest::prelude::proptest;

    #[test]
    fn both_formats_tell_the_same() {
        let mut fixed = [0; 18];
        fixed[0] = 0x70;
        fixed[2] = 2;
        (fixed[12], fixed[13]) = (4, 0x1b);
        (fixed[15], fixed[16], fixed[17]) = (0x80, 0x40, 0);
        let descriptors = [0x72, 2, 4, 0x1b, 0, 0, 0, 8, 2, 6, 0, 0, 0x80, 0x40, 0, 0];
        for data in [&fixed[..], &descriptors] {
            let sense = Sense::parse(data);
            assert_eq!((sense.key, sense.code, sense.progress), (2, (4, 0x1b), Some(0x4000)), "{data:?}");
        }
        let ata = [0x72, 1, 0, 0x1d, 0, 0, 0, 14, 9, 12, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x51];
        assert_eq!(Sense::parse(&ata).ata, Some((0x51, 4)));
        assert_eq!(Sense::parse(&ata[..20]).ata, None, "cut short");
        assert_eq!(Sense::parse(&[]), Sense::default());
    }

    proptest! {
        #[test]
        fn nothing_panics(mut data: Vec<u8>, code in 0x70_u8..0x74) {
            Sense::parse(&data).words();
            if let Some(first) = data.first_mut() { *first = code; }
            Sense::parse(&data).words();
        }
    }
}
