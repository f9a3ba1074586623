//! Bearer tokens that an OpenID provider signed (RFC 7519, RFC 9068): signature, issuer, audience and times are checked
//! here; nobody is asked for each request.

use super::claims::Mapping;
use super::keys::{Keys, PAUSE};
use super::{AuthError, Proof, Refusal};
use crate::config::Oidc;
use http::{HeaderMap, header};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};

/// What may sign. Never `none`, never a shared secret.
const ALGORITHMS: [Algorithm; 3] = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];

/// Longer values are no tokens.
const MAX_TOKEN: usize = 16 * 1024;

/// The provider whose tokens count.
pub struct Bearer {
    keys: Keys,
    mapping: Mapping,
    validation: Validation,
    issuer: String,
}

impl Bearer {
    /// # Errors
    /// [`AuthError::Option`].
    pub fn open(options: &Oidc) -> Result<Self, AuthError> {
        let need = |text: &str| AuthError::Option { strategy: "oidc", text: text.into() };
        if options.issuer.is_empty() {
            return Err(need("set `issuer` in [oidc] to what the provider writes into `iss`"));
        }
        if options.audience.is_empty() {
            return Err(need("set `audience` in [oidc]: tokens for other services must not open this one"));
        }
        let mut validation = Validation::new(ALGORITHMS[0]);
        validation.set_issuer(&[&options.issuer]);
        validation.set_audience(&options.audience);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = options.leeway;
        Ok(Bearer {
            keys: Keys::open(options)?,
            mapping: Mapping::new(options)?,
            validation,
            issuer: options.issuer.clone(),
        })
    }

    /// Whose request this is.
    ///
    /// # Errors
    /// 401; 503 while there are no keys.
    pub async fn check(&self, headers: &HeaderMap) -> Result<Proof, Refusal> {
        let value = headers
            .get(header::AUTHORIZATION)
            .ok_or_else(|| Refusal::challenged("Authorization required", "Bearer realm=\"Baremetal API\"".into()))?;
        let token = value
            .to_str()
            .ok()
            .and_then(|value| value.trim().split_once(' '))
            .filter(|(scheme, token)| scheme.eq_ignore_ascii_case("bearer") && token.len() <= MAX_TOKEN)
            .map(|(_, token)| token.trim())
            .ok_or_else(|| invalid("only bearer tokens are accepted"))?;
        let head = decode_header(token).map_err(|_| invalid("the token is malformed"))?;
        if !ALGORITHMS.contains(&head.alg) {
            return Err(invalid("the token is signed in a way that is not accepted; use RS256, ES256 or EdDSA"));
        }
        let key = match self.keys.key(head.kid.as_deref()).await {
            Ok(key) => key.ok_or_else(|| invalid("the token is signed with a key that the issuer does not publish"))?,
            Err(text) => {
                tracing::warn!(issuer = %self.issuer, %text, "a token cannot be checked");
                let text = format!(
                    "The keys of {} cannot be read; the token cannot be checked. Try again later.",
                    self.issuer
                );
                return Err(Refusal::unavailable(text, PAUSE.as_secs()));
            }
        };
        // A key that says what it is for is used for nothing else.
        let other = |named: jsonwebtoken::jwk::KeyAlgorithm| named.to_string() != format!("{:?}", head.alg);
        if key.common.key_algorithm.is_some_and(other) {
            return Err(invalid("the token is signed in a way that its key is not for"));
        }
        let key = DecodingKey::from_jwk(&key).map_err(|_| invalid("the token's key cannot be used"))?;
        let mut validation = self.validation.clone();
        validation.algorithms = vec![head.alg];
        let claims = decode::<Map<String, Value>>(token, &key, &validation).map_err(|error| {
            tracing::debug!(%error, "a bearer token was refused");
            invalid("the token is expired, not for this service, or not signed by the issuer")
        })?;
        Ok(self.mapping.read(&claims.claims))
    }
}

fn invalid(text: &str) -> Refusal {
    let challenge = format!("Bearer realm=\"Baremetal API\", error=\"invalid_token\", error_description=\"{text}\"");
    Refusal::challenged(text, challenge)
}
