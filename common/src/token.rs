//! The agent token: a secret that both sides compare and nobody prints.
//!
//! Rules: agent-protocol section 3.

use serde::{Deserialize, Serialize};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a look-up answers when the token was handed out before.
pub const MASK: &str = "******";

/// Shorter values from a look-up are ignored (section 3).
pub const MIN_LEN: usize = 32;

/// A token. `Debug` hides it; there is no `Display`; memory is wiped on drop.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// Takes any text; whether it is long enough is [`Token::is_usable`].
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The 43 characters of URL-safe base64 without padding for 32 random bytes from the caller.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        use base64::Engine;
        Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
    }

    /// At least [`MIN_LEN`] characters and not the mask.
    pub fn is_usable(&self) -> bool {
        self.0.len() >= MIN_LEN && self.0 != MASK
    }

    /// The look-up answered "already handed out".
    pub fn is_mask(&self) -> bool {
        self.0 == MASK
    }

    /// Compares in constant time (for equal lengths).
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }

    /// The secret itself, for the wire only. Never log what this returns.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(hidden)")
    }
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Token {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_random_token_has_43_characters_and_is_never_printed() {
        let token = Token::from_random([7; 32]);
        assert_eq!(token.expose().len(), 43);
        assert!(token.is_usable() && token.matches(token.expose()));
        assert!(!format!("{token:?}").contains(token.expose()));
    }

    #[test]
    fn the_mask_and_short_texts_are_not_usable() {
        assert!(Token::new(MASK).is_mask() && !Token::new(MASK).is_usable());
        assert!(!Token::new("short").is_usable());
    }
}
