//! Finds API and inspection by mDNS where the operator asked for it, and takes the few options that answers may set.

use super::LifeError;
use super::events::Events;
use super::wait::until;
use crate::config::Config;
use crate::home::mdns::{self, Endpoint};
use crate::sys::net::all_addresses;
use std::time::Duration;

/// Patience for a first address; the question needs one to be asked from.
const ADDRESS_TIME: Duration = Duration::from_secs(60);

/// The configuration with what was found; the same one if nothing is to be looked up.
///
/// # Errors
/// [`LifeError::Mdns`]: nobody answered. Whoever started the process starts it again.
pub async fn run(config: &Config) -> Result<Config, LifeError> {
    let mut found = config.clone();
    if !config.api_by_mdns && !config.inspection_by_mdns {
        return Ok(found);
    }
    tracing::warn!("looking for the API by mDNS: whoever answers first on the local network is believed");
    let has_address = || all_addresses().iter().any(|(_, address)| !address.is_loopback());
    until(&mut Events::of_network(), ADDRESS_TIME, has_address).await;
    if config.inspection_by_mdns {
        let endpoint = look_up(mdns::INSPECTION, config).await?;
        found.inspection_callback_urls = vec![format!("{}/v1/continue", endpoint.url)];
        take_options(&mut found, endpoint);
    }
    if config.api_by_mdns {
        let endpoint = look_up(mdns::API, config).await?;
        found.api_urls = vec![endpoint.url.clone()];
        take_options(&mut found, endpoint);
    }
    Ok(found)
}

async fn look_up(service: &'static str, config: &Config) -> Result<Endpoint, LifeError> {
    let (attempts, interfaces) = (config.mdns.lookup_attempts, config.mdns.interfaces.clone());
    let asked = tokio::task::spawn_blocking(move || mdns::find(service, attempts, &interfaces)).await;
    let endpoint = asked.map_err(|cause| LifeError::Mdns(cause.to_string()))?;
    let endpoint = endpoint.map_err(|cause| LifeError::Mdns(cause.to_string()))?;
    tracing::info!(%service, url = %endpoint.url, "found by mDNS");
    Ok(endpoint)
}

/// Only options that are on the list; the list itself is on none.
fn take_options(config: &mut Config, endpoint: Endpoint) {
    for (key, value) in endpoint.options {
        if !config.mdns.allowed_overrides.contains(&key) {
            tracing::debug!(option = %key, "an mDNS answer wants to set this option; it is not in allowed_overrides");
            continue;
        }
        match config.set(&key, &value) {
            Ok(()) => tracing::warn!(option = %key, value = %value, "set by an mDNS answer"),
            Err(cause) => tracing::warn!(option = %key, %cause, "an mDNS answer has an unusable value"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{run, take_options};
    use crate::config::{Config, KernelLine};
    use crate::home::mdns::Endpoint;

    #[tokio::test]
    async fn nobody_is_asked_unless_wanted() {
        let config = Config { api_urls: vec!["http://192.0.2.1".into()], ..Config::default() };
        assert_eq!(run(&config).await.unwrap().api_urls, config.api_urls);
    }

    #[test]
    fn only_allowed_options_are_taken() {
        let options =
            [("ntp_server", "192.0.2.9"), ("insecure", "1"), ("inspection_callback_url", "http://x/y"), ("debug", "1")];
        let options = options.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        let mut config = Config::load(&KernelLine::parse("ipa-api-url=mdns"), None, &[], &[]).unwrap();
        assert!(config.api_by_mdns && config.api_urls.is_empty());
        take_options(&mut config, Endpoint { url: String::new(), options });
        assert_eq!(config.ntp_server.as_deref(), Some("192.0.2.9"));
        assert_eq!(config.inspection_callback_urls, ["http://x/y"]);
        assert_eq!((config.insecure, config.debug), (false, None));
        let evil = vec![("ntp_server".to_owned(), "$(reboot)".to_owned())];
        take_options(&mut config, Endpoint { url: String::new(), options: evil });
        assert_eq!(config.ntp_server.as_deref(), Some("192.0.2.9"));
    }
}
