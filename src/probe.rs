//! `cita health`: asks a running server how it is.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use reqwest::Client;

use crate::config::Health;

/// Who needs longer is not well.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the server says of itself.
///
/// # Errors
/// That it does not answer, or that it is not ready.
pub async fn ask(options: &Health) -> Result<String, String> {
    let path = if options.live { "/livez" } else { "/readyz" };
    let url = options.url.clone().unwrap_or_else(|| {
        let scheme = if options.tls_cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", reachable(options.listen))
    });
    // On this machine a certificate is for another name, and nothing secret is said.
    let client = Client::builder().timeout(PATIENCE).no_proxy().tls_danger_accept_invalid_certs(options.url.is_none());
    let client = client.build().map_err(|error| format!("nothing can be asked: {error}"))?;
    let unreachable = |error: reqwest::Error| format!("{url} does not answer: {}", innermost(&error));
    let answer = client.get(format!("{url}{path}")).send().await.map_err(unreachable)?;
    let (status, text) = (answer.status(), answer.text().await.map_err(unreachable)?);
    match (status.is_success(), options.live) {
        (true, true) => Ok("live".to_owned()),
        (true, false) => Ok(text),
        (false, _) => Err(format!("{url}{path} says {}: {}", status.as_u16(), text.trim_end())),
    }
}

/// Whoever listens everywhere listens here.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// The error that says what is the matter; those around it say that there is one.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
