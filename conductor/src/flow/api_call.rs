//! The HTTP request of the rule action `api-call`: a `GET`, tried again for a while, its answer not read.

use crate::boot::images::fetch::system_authorities;
use crate::rules::effect::Call;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::redirect::{Attempt, Policy};
use reqwest::{Client, Proxy, StatusCode};
use std::error::Error;
use std::io;
use std::time::Duration;
use tokio::time::Instant;
use url::Url;

/// Redirects to follow, all of them on the same server.
const REDIRECTS: usize = 5;

/// Longest time for all tries and pauses together: the node is held meanwhile.
const PATIENCE: Duration = Duration::from_secs(300);

/// Makes the request.
///
/// # Errors
/// What went wrong the last time. Credentials in the URL are not repeated.
pub async fn call(call: &Call) -> Result<(), String> {
    let wrong = |error: String| format!("Request to {} failed: {error}", shown(&call.url));
    let client = client(call).map_err(wrong)?;
    let begun = Instant::now();
    let mut retry = 0;
    loop {
        let error = match client.get(call.url.clone()).send().await {
            Ok(answer) if answer.status().is_client_error() || answer.status().is_server_error() => {
                let status = answer.status();
                if !is_passing(status) {
                    return Err(wrong(format!("the answer is {status}")));
                }
                format!("the answer is {status}")
            }
            Ok(_) => return Ok(()),
            Err(error) if error.is_redirect() || error.is_builder() => return Err(wrong(chain(&error))),
            Err(error) => chain(&error),
        };
        retry += 1;
        let pause = call.pause(retry);
        if retry > call.retries || begun.elapsed() + pause > PATIENCE {
            return Err(wrong(format!("{error} ({retry} tries)")));
        }
        tokio::time::sleep(pause).await;
    }
}

/// Worth another try.
fn is_passing(status: StatusCode) -> bool {
    [429, 500, 502, 503, 504].contains(&status.as_u16())
}

fn client(call: &Call) -> Result<Client, String> {
    let mut headers = HeaderMap::new();
    for (name, value) in &call.headers {
        let bad = || format!("the header {} cannot be sent", name.escape_debug());
        let mut value = HeaderValue::from_str(value).map_err(|_| bad())?;
        value.set_sensitive(true);
        headers.insert(HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad())?, value);
    }
    let mut builder = Client::builder()
        .default_headers(headers)
        .timeout(call.timeout)
        .redirect(Policy::custom(follow))
        .tls_certs_only(system_authorities())
        // A proxy in this process's environment is for other things.
        .no_proxy();
    for (scheme, proxy) in &call.proxies {
        let proxy = match scheme.as_str() {
            "http" => Proxy::http(proxy.clone()),
            "https" => Proxy::https(proxy.clone()),
            other => return Err(format!("proxies are for http and https, not for {}", other.escape_debug())),
        };
        builder = builder.proxy(proxy.map_err(|error| chain(&error))?);
    }
    builder.build().map_err(|error| chain(&error))
}

/// A rule names one server; nobody else gets its headers.
fn follow(attempt: Attempt<'_>) -> reqwest::redirect::Action {
    let elsewhere = attempt.previous().first().is_none_or(|first| first.origin() != attempt.url().origin());
    if elsewhere {
        return attempt.error(io::Error::other("a redirect to another server was refused"));
    }
    if attempt.previous().len() > REDIRECTS {
        return attempt.error(io::Error::other("too many redirects"));
    }
    attempt.follow()
}

fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

fn chain(error: &reqwest::Error) -> String {
    // The URL is told once, without credentials.
    let mut text = if error.is_timeout() { "no answer in time".to_owned() } else { "no answer".to_owned() };
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = inner.to_string();
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::sync::{Arc, Mutex};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// Answers connections one after the other with these answers; returns what was asked.
    async fn server(answers: Vec<String>) -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        tokio::spawn(async move {
            for answer in answers {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut buffer = vec![0; 4096];
                let size = stream.read(&mut buffer).await.unwrap();
                heard.lock().unwrap().push(String::from_utf8_lossy(&buffer[..size]).into_owned());
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        (base, asked)
    }

    fn answer(status: &str, more: &str) -> String {
        format!("HTTP/1.1 {status}\r\n{more}content-length: 0\r\nconnection: close\r\n\r\n")
    }

    fn parsed(args: Value) -> Call {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Call::parse(args.as_object().unwrap()).unwrap()
    }

    #[tokio::test]
    async fn passing_answers_are_asked_again_and_headers_are_sent() {
        let answers = vec![answer("503 Busy", ""), answer("200 OK", "")];
        let (base, asked) = server(answers).await;
        let args = json!({"url": format!("{base}/hook?x=1"), "headers": {"X-Key": "k"}, "backoff_factor": 0});
        call(&parsed(args)).await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(asked.len(), 2);
        assert!(asked[1].starts_with("GET /hook?x=1 ") && asked[1].contains("x-key: k"), "{asked:?}");
    }

    #[tokio::test]
    async fn refusals_and_redirects_to_elsewhere_end_at_once() {
        let (base, asked) = server(vec![answer("404 Not Found", "")]).await;
        let error = call(&parsed(json!({"url": format!("{base}/a")}))).await.unwrap_err();
        assert!(error.contains("/a failed: the answer is 404"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), 1);
        let (base, _) = server(vec![answer("302 Found", "location: http://127.0.0.2:1/x\r\n")]).await;
        let error = call(&parsed(json!({"url": base.replace("http://", "http://me:secret@")}))).await.unwrap_err();
        assert!(error.contains("another server") && !error.contains("secret"), "{error}");
    }

    #[tokio::test]
    async fn a_silent_server_costs_no_more_than_its_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let begun = Instant::now();
        let error = call(&parsed(json!({"url": url, "timeout": 0.2, "retries": 1}))).await.unwrap_err();
        assert!(error.contains("(2 tries)"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
