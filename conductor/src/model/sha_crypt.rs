//! crypt(3) with SHA-256 (`$5$`) and SHA-512 (`$6$`): how a rescue password is kept and handed over (agent-protocol 10.5).
//!
//! With the scheme's default of 5000 rounds. Pure; a hash takes milliseconds, so callers run it on a blocking thread.

use sha_crypt::{Algorithm, Params, PasswordHasher, ShaCrypt};

/// Random bytes of a salt: they become the sixteen characters that the scheme can use.
pub const SALT: usize = 12;

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

/// Hashes with a salt made of random bytes.
///
/// # Errors
/// What the library refuses; no password or salt of ours is known that it does.
pub fn hash(scheme: Scheme, password: &str, random: [u8; SALT]) -> Result<String, String> {
    let algorithm = match scheme {
        Scheme::Sha256 => Algorithm::Sha256Crypt,
        Scheme::Sha512 => Algorithm::Sha512Crypt,
    };
    let hasher = ShaCrypt::new(algorithm, Params::RECOMMENDED);
    let hash = hasher.hash_password_with_salt(password.as_bytes(), &random).map_err(|error| error.to_string())?;
    // The scheme's default is left out, as others leave it out: not every reader of such hashes knows the word.
    Ok(hash.as_str().replacen("rounds=5000$", "", 1))
}

#[cfg(test)]
mod tests {
    use super::{Scheme, hash};

    /// As `openssl passwd -5 -salt zzzzzzzzzzzzzzzz`, `-6` and a password of more bytes than a digest has.
    const LONG: &str = "sdlkfjlskdfjlskdfjlskjfdlskjdflkjsdlkfjsdlkjfsdlkfjsldkfjsdlkfjsdlkfjsdkfljsdlkfjs äö";

    #[test]
    fn hashes_are_those_of_openssl() {
        for (scheme, password, expected) in [
            (Scheme::Sha256, "Hello world!", "$5$zzzzzzzzzzzzzzzz$mY2i6EGg8Ru1wAYzn7pYResU5crXpCVnj/b38M0DSF2"),
            (
                Scheme::Sha512,
                "Hello world!",
                "$6$zzzzzzzzzzzzzzzz$grlLBgd4eRhEQhqySkEgajQE3KGYGNVlDLKKOne7u0K8y1OPuBZLfs8NIVX2jphpge4tKPv/HXooSuzI5I60P/",
            ),
            (Scheme::Sha256, LONG, "$5$zzzzzzzzzzzzzzzz$RqtuWlub9BZRBqyJQE.hxpQ9YCmCc27HoadlIZedEp5"),
            (
                Scheme::Sha512,
                LONG,
                "$6$zzzzzzzzzzzzzzzz$gZv/d3Q/e0pGn8jONjN48CFxlFcqWH88fYi9MUFKPQbr2FMKcv8pZ8NmQSWH7lDYOXnU7F5mHriW1.h.nZ7Ea0",
            ),
        ] {
            assert_eq!(hash(scheme, password, [255; 12]).unwrap(), expected);
        }
    }

    #[test]
    fn a_salt_is_sixteen_characters_and_no_password_is_in_the_hash() {
        let text = hash(Scheme::Sha256, "very secret", [255; 12]).unwrap();
        assert!(text.starts_with("$5$zzzzzzzzzzzzzzzz$") && !text.contains("secret"));
        assert_ne!(text, hash(Scheme::Sha256, "very secret", [1; 12]).unwrap());
    }
}
