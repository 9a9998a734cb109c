//! Where a client is.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a request comes from. Personal data: what is kept and shown of it is its network.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(pub IpAddr);

impl Peer {
    /// The class of the address: the network of 256 addresses, or of one site in IPv6, that it belongs to.
    #[must_use]
    pub fn network(self) -> Network {
        match self.0.to_canonical() {
            IpAddr::V4(address) => {
                let [a, b, c, _] = address.octets();
                Network(Ipv4Addr::new(a, b, c, 0).into())
            }
            IpAddr::V6(address) => {
                let [a, b, c, ..] = address.segments();
                Network(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0).into())
            }
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.network().fmt(f)
    }
}

/// Whether the host of a URL is this very machine, which nobody listens in on.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// An IPv4 network of 24 bits, or an IPv6 network of 48 bits: as much of an address as is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv4() { 24 } else { 48 };
        write!(f, "{}/{bits}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_an_address_is_its_network() {
        for (address, network) in [
            ("203.0.113.77", "203.0.113.0/24"),
            ("::ffff:203.0.113.77", "203.0.113.0/24"),
            ("2001:db8:7:8:9::1", "2001:db8:7::/48"),
            ("127.0.0.1", "127.0.0.0/24"),
        ] {
            let peer = Peer(address.parse().expect("an address"));
            assert_eq!(peer.network().to_string(), network);
            assert!(!format!("{peer:?}").contains("77"));
        }
    }
}
