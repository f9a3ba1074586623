//! Providers that are asked over HTTP: found by their description, slow, hanging; nobody waits for ever, nobody slips through.

use super::bearer::{AUDIENCE, SigningKey, published};
use super::provider::Provider;
use crate::site::{NEW, Reply, Site};
use serde_json::json;
use std::time::{Duration, Instant};

/// A request never takes longer, whatever a provider does; less than its clients' patience.
const BOUND: Duration = Duration::from_secs(15);

async fn oidc(provider: &Provider, jwks_url: bool) -> Site {
    Site::with(|config, _| {
        config.top.auth_strategy = Some("oidc".into());
        config.oidc.issuer = provider.base.clone();
        config.oidc.audience = vec![AUDIENCE.into()];
        config.oidc.jwks_url = jwks_url.then(|| format!("{}/keys", provider.base));
    })
    .await
}

async fn with(site: &Site, name: &str, token: &str) -> Reply {
    let headers = [("X-OpenStack-Ironic-API-Version", NEW), (name, token)];
    site.send("GET", "/v1/nodes", &headers, None).await
}

async fn bearer(site: &Site, key: &SigningKey, issuer: &str) -> Reply {
    let token = key.token(json!({"iss": issuer, "roles": ["reader"], "system_scope": "all"}));
    with(site, "Authorization", &format!("Bearer {token}")).await
}

#[tokio::test]
async fn keys_are_found_by_the_description_or_by_their_url() {
    let key = SigningKey::ed25519("k");
    let provider = Provider::start(&published(&[&key])).await;
    for (by_url, questions) in [(false, 2), (true, 1)] {
        let (site, before) = (oidc(&provider, by_url).await, provider.asked());
        for _ in 0..5 {
            bearer(&site, &key, &provider.base).await.expect(200);
        }
        assert_eq!(provider.asked() - before, questions, "asked once, remembered afterwards");
        bearer(&site, &SigningKey::ed25519("k"), &provider.base).await.expect(401);
    }
    // A description that names another issuer is no description of ours.
    provider.call_itself("https://somebody.else");
    let site = oidc(&provider, false).await;
    bearer(&site, &key, &provider.base).await.expect(503);
}

#[tokio::test]
async fn a_provider_that_hangs_costs_a_bounded_time_and_opens_nothing() {
    let (old, new) = (SigningKey::ed25519("old"), SigningKey::ed25519("new"));
    let provider = Provider::start(&published(&[&old])).await;
    let known = oidc(&provider, false).await;
    bearer(&known, &old, &provider.base).await.expect(200);
    provider.hang(true);
    let fresh = oidc(&provider, false).await;
    let begin = Instant::now();
    let refusals = futures_util::future::join_all((0..20).map(|_| bearer(&fresh, &old, &provider.base))).await;
    for refused in refusals {
        let refused = refused.expect(503);
        assert!(refused.header("retry-after").is_some(), "{refused:?}");
    }
    assert!(begin.elapsed() < BOUND, "{:?} for twenty at once", begin.elapsed());
    // Who knows the keys already needs nobody; documents and health need no token at all.
    let begin = Instant::now();
    bearer(&known, &old, &provider.base).await.expect(200);
    fresh.get("/v1").await.expect(200);
    assert!(begin.elapsed() < Duration::from_secs(2));
    provider.publish(&published(&[&old, &new]));
    provider.hang(false);
    let begin = Instant::now();
    while bearer(&fresh, &new, &provider.base).await.status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is asked again when it is back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_keystone_that_hangs_is_a_503_and_those_it_knew_go_on() {
    let keystone = Provider::start("{}").await;
    let site = Site::with(|config, _| {
        config.top.auth_strategy = Some("keystone".into());
        config.keystone_authtoken.auth_url = Some(keystone.base.clone());
        config.keystone_authtoken.username = "wrought".into();
        config.keystone_authtoken.password = "secret".into();
    })
    .await;
    with(&site, "X-Auth-Token", "good-1").await.expect(200);
    with(&site, "X-Auth-Token", "bad").await.expect(401);
    keystone.hang(true);
    let begin = Instant::now();
    let asks = (0..100).map(|number| {
        let (site, token) = (&site, format!("good-new-{number}"));
        async move { with(site, "X-Auth-Token", &token).await }
    });
    for refused in futures_util::future::join_all(asks).await {
        let refused = refused.expect(503);
        assert!(refused.header("retry-after").unwrap().parse::<u64>().unwrap() >= 1);
    }
    assert!(begin.elapsed() < BOUND, "{:?} for a hundred unknown tokens at once", begin.elapsed());
    let begin = Instant::now();
    for _ in 0..20 {
        with(&site, "X-Auth-Token", "good-1").await.expect(200);
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "tokens that are known need no Keystone");
    // While it rests, others are told at once.
    let begin = Instant::now();
    with(&site, "X-Auth-Token", "good-other").await.expect(503);
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    keystone.hang(false);
    let begin = Instant::now();
    while with(&site, "X-Auth-Token", "good-other").await.status != 200 {
        assert!(begin.elapsed() < Duration::from_secs(20), "it is asked again when it is back");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
