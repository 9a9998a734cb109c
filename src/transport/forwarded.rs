//! Where a client is, when a proxy stands between: what the proxies that are trusted say of it.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use axum::http::HeaderMap;
use axum::http::header::HeaderName;
use ipnet::IpNet;

use crate::domain::peer::Peer;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// A proxy, or a network of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrustedProxy(IpNet);

impl FromStr for TrustedProxy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let net = text.parse::<IpNet>().ok().or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        net.map(Self).ok_or_else(|| "an address, or a network such as 10.0.0.0/8".to_owned())
    }
}

/// The proxies whose word counts.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(pub Vec<TrustedProxy>);

impl TrustedProxies {
    /// The client at the far end of a connection. Each proxy appends whom it has heard, so the list is read from its end
    /// for as long as a trusted proxy has written it; the rest is what anybody may claim.
    #[must_use]
    pub fn peer(&self, connection: IpAddr, headers: &HeaderMap) -> Peer {
        let mut peer = connection.to_canonical();
        let lines = headers.get_all(X_FORWARDED_FOR).iter().rev();
        let mut entries = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
        while self.trusts(peer)
            && let Some(address) = entries.next().and_then(address)
        {
            peer = address;
        }
        Peer(peer)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|TrustedProxy(net)| net.contains(&address))
    }
}

/// An entry of the list; some proxies append the port.
fn address(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?.trim_matches([' ', '\t']);
    let address = text.parse::<IpAddr>().or_else(|_| text.parse::<SocketAddr>().map(|address| address.ip()));
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    address.ok().or_else(bracketed).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn peer(trusted: &str, connection: &str, lines: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(X_FORWARDED_FOR, HeaderValue::from_static(line));
        }
        let trusted = trusted.split(' ').filter(|text| !text.is_empty());
        let proxies = TrustedProxies(trusted.map(|text| text.parse().expect("a network")).collect());
        proxies.peer(connection.parse().expect("an address"), &headers).0.to_string()
    }

    #[test]
    fn a_stranger_is_not_believed() {
        for forged in ["1.2.3.4", "127.0.0.1", "10.0.0.1, 1.2.3.4", "nonsense"] {
            assert_eq!(peer("", "203.0.113.7", &[forged]), "203.0.113.7");
            assert_eq!(peer("10.0.0.0/8", "203.0.113.7", &[forged]), "203.0.113.7");
        }
    }

    #[test]
    fn the_last_who_is_no_proxy_is_the_client() {
        let behind = |lines: &[&'static str]| peer("10.0.0.0/8 2001:db8::/32", "10.0.0.1", lines);
        assert_eq!(behind(&[]), "10.0.0.1");
        assert_eq!(behind(&["198.51.100.9"]), "198.51.100.9");
        assert_eq!(behind(&["1.1.1.1, 198.51.100.9"]), "198.51.100.9", "the client wrote the first itself");
        assert_eq!(behind(&["198.51.100.9, 10.2.3.4,10.2.3.5"]), "198.51.100.9");
        assert_eq!(behind(&["1.1.1.1", "198.51.100.9", "10.2.3.4"]), "198.51.100.9", "several lines are one list");
        assert_eq!(behind(&["127.0.0.1, 198.51.100.9"]), "198.51.100.9");
        assert_eq!(behind(&["10.9.9.9"]), "10.9.9.9", "a client inside");
        assert_eq!(behind(&["198.51.100.9:4711"]), "198.51.100.9");
        assert_eq!(behind(&["[2001:db9::1]:4711"]), "2001:db9::1");
        assert_eq!(behind(&["[2001:db9::1], [2001:db8::1]"]), "2001:db9::1");
        assert_eq!(behind(&["::ffff:198.51.100.9"]), "198.51.100.9");
        assert_eq!(peer("10.0.0.1", "::ffff:10.0.0.1", &["198.51.100.9"]), "198.51.100.9");
    }

    #[test]
    fn what_is_no_address_ends_the_list() {
        let behind = |lines: &[&'static str]| peer("10.0.0.0/8", "10.0.0.1", lines);
        for wrong in
            ["", ",", "unknown", "_hidden", "1.2.3", "1.2.3.4.5", "1.2.3.4, x", "0x7f.1", "1.2.3.4;", "\"1.2.3.4\""]
        {
            assert_eq!(behind(&[wrong]), "10.0.0.1", "{wrong}");
        }
        assert_eq!(behind(&["1.2.3.4, x, 10.2.3.4"]), "10.2.3.4", "the last good one counts");
        assert_eq!(behind(&["1.2.3.4", "", "10.2.3.4"]), "10.2.3.4");
    }

    #[test]
    fn networks_are_read() {
        for wrong in ["", "10.0.0.0/33", "10.0.0", "example.com", "::1/129", "*"] {
            assert!(wrong.parse::<TrustedProxy>().is_err(), "{wrong}");
        }
        assert!(" ::1 ".parse::<TrustedProxy>().is_ok());
    }
}
