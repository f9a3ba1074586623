//! crypt(3) with SHA-256 (`$5$`) and SHA-512 (`$6$`): how a rescue password is kept and handed over (agent-protocol 10.5).
//!
//! The scheme of Ulrich Drepper's "Unix crypt using SHA-256 and SHA-512", with its default of 5000 rounds. Pure; a hash
//! takes milliseconds, so callers run it on a blocking thread.

use sha2::{Digest, Sha256, Sha512};

/// Rounds, when the setting says nothing.
const ROUNDS: usize = 5000;
/// Characters of a hash and of a salt, by value.
const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Which digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `$5$`
    Sha256,
    /// `$6$`
    Sha512,
}

impl Scheme {
    /// By the word of `[conductor]rescue_password_hash_algorithm`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "sha256" => Some(Scheme::Sha256),
            "sha512" => Some(Scheme::Sha512),
            _ => None,
        }
    }
}

/// Hashes with a salt made of 16 random bytes.
pub fn hash(scheme: Scheme, password: &str, random: [u8; 16]) -> String {
    let salt: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte & 63)])).collect();
    hash_with(scheme, password.as_bytes(), &salt)
}

fn hash_with(scheme: Scheme, password: &[u8], salt: &str) -> String {
    match scheme {
        Scheme::Sha256 => format!("$5${salt}${}", encode(&rounds::<Sha256>(password, salt.as_bytes()), ORDER_256)),
        Scheme::Sha512 => format!("$6${salt}${}", encode(&rounds::<Sha512>(password, salt.as_bytes()), ORDER_512)),
    }
}

fn digest<D: Digest>(parts: &[&[u8]]) -> Vec<u8> {
    let mut digest = D::new();
    parts.iter().for_each(|part| digest.update(part));
    digest.finalize().as_slice().to_vec()
}

/// `pattern`, over and over, `length` bytes of it.
fn cycle(pattern: &[u8], length: usize) -> Vec<u8> {
    pattern.iter().copied().cycle().take(length).collect()
}

fn rounds<D: Digest>(password: &[u8], salt: &[u8]) -> Vec<u8> {
    let alternate = digest::<D>(&[password, salt, password]);
    let mut first = D::new();
    first.update(password);
    first.update(salt);
    first.update(cycle(&alternate, password.len()));
    let mut bits = password.len();
    while bits > 0 {
        if bits & 1 == 1 {
            first.update(&alternate)
        } else {
            first.update(password)
        }
        bits >>= 1;
    }
    let mut state = first.finalize().as_slice().to_vec();
    let mut by_password = D::new();
    password.iter().for_each(|_| by_password.update(password));
    let key = cycle(by_password.finalize().as_slice(), password.len());
    let mut by_salt = D::new();
    (0..16 + usize::from(state[0])).for_each(|_| by_salt.update(salt));
    let seed = cycle(by_salt.finalize().as_slice(), salt.len());
    for round in 0..ROUNDS {
        let (odd, none): (bool, &[u8]) = (round % 2 == 1, &[]);
        state = digest::<D>(&[
            if odd { &key } else { &state },
            if round % 3 == 0 { none } else { &seed },
            if round % 7 == 0 { none } else { &key },
            if odd { &state } else { &key },
        ]);
    }
    state
}

/// Which three bytes make four characters; the rest is written by its own rule.
const ORDER_256: &[(usize, usize, usize)] = &[
    (0, 10, 20),
    (21, 1, 11),
    (12, 22, 2),
    (3, 13, 23),
    (24, 4, 14),
    (15, 25, 5),
    (6, 16, 26),
    (27, 7, 17),
    (18, 28, 8),
    (9, 19, 29),
];
#[rustfmt::skip]
const ORDER_512: &[(usize, usize, usize)] = &[
    (0, 21, 42), (22, 43, 1), (44, 2, 23), (3, 24, 45), (25, 46, 4), (47, 5, 26), (6, 27, 48), (28, 49, 7), (50, 8, 29),
    (9, 30, 51), (31, 52, 10), (53, 11, 32), (12, 33, 54), (34, 55, 13), (56, 14, 35), (15, 36, 57), (37, 58, 16),
    (59, 17, 38), (18, 39, 60), (40, 61, 19), (62, 20, 41),
];

fn encode(hash: &[u8], order: &[(usize, usize, usize)]) -> String {
    let mut text = String::with_capacity(86);
    let mut put = |high: u8, middle: u8, low: u8, characters: usize| {
        let mut bits = u32::from_be_bytes([0, high, middle, low]);
        for _ in 0..characters {
            text.push(char::from(ALPHABET[(bits & 63) as usize]));
            bits >>= 6;
        }
    };
    order.iter().for_each(|&(high, middle, low)| put(hash[high], hash[middle], hash[low], 4));
    if hash.len() == 32 {
        put(0, hash[31], hash[30], 3)
    } else {
        put(0, 0, hash[63], 2)
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{Scheme, hash, hash_with};

    const LONG: &str = "sdlkfjlskdfjlskdfjlskjfdlskjdflkjsdlkfjsdlkjfsdlkfjsldkfjsdlkfjsdlkfjsdkfljsdlkfjs äö";

    #[test]
    fn hashes_are_those_of_openssl() {
        for (scheme, salt, password, expected) in [
            (Scheme::Sha256, "saltstring", "Hello world!", "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5"),
            (
                Scheme::Sha512,
                "saltstring",
                "Hello world!",
                "$6$saltstring$svn8UoSVapNtMuq1ukKS4tPQd8iKwSMHWjl/O817G3uBnIFNjnQJuesI68u4OTLiBFdcbYEdFCoEOfaS35inz1",
            ),
            // All as `openssl passwd` writes them; below a password longer than a digest, and one that is not ASCII.
            (
                Scheme::Sha256,
                "abcdefgh12345678",
                LONG,
                "$5$abcdefgh12345678$rLd9WE1ya4SMqLG8znBoar.Js1rOuwSowb0bhctYSn8",
            ),
            (
                Scheme::Sha512,
                "abcdefgh12345678",
                LONG,
                "$6$abcdefgh12345678$m5q6JtTcIp5UGtFC2LCg092d/w6T3tPmiLWUWTeW.TDPXUQ8FykG2pTgQlxEUkKp.KMGyCd8fx/NEo2yWvCTC1",
            ),
        ] {
            assert_eq!(hash_with(scheme, password.as_bytes(), salt), expected);
        }
    }

    #[test]
    fn a_salt_is_sixteen_characters_and_no_password_is_in_the_hash() {
        let text = hash(Scheme::Sha256, "very secret", [255; 16]);
        assert!(text.starts_with("$5$zzzzzzzzzzzzzzzz$") && !text.contains("secret"));
        assert_ne!(text, hash(Scheme::Sha256, "very secret", [1; 16]));
    }
}
