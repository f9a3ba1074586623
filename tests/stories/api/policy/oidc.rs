//! Bearer tokens: which signatures and claims count, keys that come later, providers that are away.

use super::bearer::{AUDIENCE, ISSUER, SigningKey, now, published};
use crate::site::{NEW, Reply, Site};
use serde_json::{Value, json};
use std::path::PathBuf;

async fn site(keys: String) -> (Site, PathBuf) {
    let mut place = PathBuf::new();
    let site = Site::with(|config, folder| {
        place = folder.join("keys.json");
        std::fs::write(&place, keys).unwrap();
        config.top.auth_strategy = Some("oidc".into());
        config.oidc.issuer = ISSUER.into();
        config.oidc.audience = vec!["other".into(), AUDIENCE.into()];
        config.oidc.jwks_file = Some(place.clone());
        config.oidc.leeway = 30;
    })
    .await;
    (site, place)
}

async fn ask(site: &Site, token: &str) -> Reply {
    let value = format!("Bearer {token}");
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), ("Authorization", value.as_str())];
    site.send("GET", "/v1/nodes", &headers, None).await
}

#[tokio::test]
async fn three_kinds_of_signatures_and_only_good_claims_count() {
    let keys = [SigningKey::ed25519("e"), SigningKey::p256("p"), SigningKey::rsa("r")];
    let (site, _) = site(published(&keys.iter().collect::<Vec<_>>())).await;
    let reader = |more: Value| {
        let mut claims = json!({"roles": ["reader"], "system_scope": "all"});
        claims.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        claims
    };
    for key in &keys {
        ask(&site, &key.token(reader(json!({})))).await.expect(200);
        ask(&site, &key.token(reader(json!({"aud": AUDIENCE, "exp": now() - 10})))).await.expect(200);
        for bad in [
            json!({"exp": now() - 40}),
            json!({"exp": null}),
            json!({"nbf": now() + 60}),
            json!({"aud": ["somebody-else"]}),
            json!({"aud": null}),
            json!({"iss": "https://login.example/"}),
            json!({"iss": null}),
        ] {
            let reply = ask(&site, &key.token(reader(bad.clone()))).await.expect(401);
            assert!(reply.header("www-authenticate").unwrap().contains("error=\"invalid_token\""), "{bad}");
        }
        // The same claims, signed by somebody else who says he has this key.
        let token = key.token(reader(json!({})));
        let (body, signature) = token.rsplit_once('.').unwrap();
        let other =
            keys.iter().find(|other| other.public["kid"] != key.public["kid"]).unwrap().token(reader(json!({})));
        ask(&site, &format!("{body}.{}", other.rsplit_once('.').unwrap().1)).await.expect(401);
        ask(&site, &format!("{body}.{}", &signature[..signature.len() - 4])).await.expect(401);
    }
    let none = "eyJhbGciOiJub25lIn0.e30.";
    for token in [none, "", "a.b.c", "x"] {
        ask(&site, token).await.expect(401);
    }
    // Without roles somebody is known and may nothing.
    ask(&site, &keys[0].token(json!({}))).await.expect(403);
}

#[tokio::test]
async fn a_shared_secret_made_of_a_public_key_opens_nothing() {
    let key = SigningKey::ed25519("e");
    let (site, _) = site(published(&[&key])).await;
    let public = key.public["x"].as_str().unwrap();
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "exp": now() + 60, "roles": ["admin"], "system_scope": "all"});
    let head = jsonwebtoken::Header { kid: Some("e".into()), ..jsonwebtoken::Header::default() };
    let secret = jsonwebtoken::EncodingKey::from_secret(public.as_bytes());
    ask(&site, &jsonwebtoken::encode(&head, &claims, &secret).unwrap()).await.expect(401);
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_but_strangers_cannot_make_us_look_all_the_time() {
    let (old, new) = (SigningKey::ed25519("old"), SigningKey::ed25519("new"));
    let (site, file) = site(published(&[&old])).await;
    let claims = json!({"roles": ["reader"], "system_scope": "all"});
    ask(&site, &old.token(claims.clone())).await.expect(200);
    std::fs::write(&file, published(&[&old, &new])).unwrap();
    // The file was read a moment ago: another look must wait.
    ask(&site, &new.token(claims.clone())).await.expect(401);
    ask(&site, &old.token(claims)).await.expect(200);
}

#[tokio::test]
async fn a_provider_that_is_away_is_a_503_and_no_open_door() {
    let site = Site::with(|config, _| {
        config.top.auth_strategy = Some("oidc".into());
        config.oidc.issuer = "http://127.0.0.1:9".into();
        config.oidc.audience = vec![AUDIENCE.into()];
    })
    .await;
    let key = SigningKey::ed25519("k");
    for _ in 0..3 {
        let reply = ask(&site, &key.token(json!({"roles": ["admin"]}))).await.expect(503);
        assert!(
            reply.header("retry-after").is_some()
                && reply.body["error"]["message"].as_str().unwrap().contains("127.0.0.1:9")
        );
    }
    site.get("/v1").await.expect(200);
}
