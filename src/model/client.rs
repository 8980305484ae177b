//! Where an end user's request comes from.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};

/// The device and address behind a request, as far as they are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientContext {
    /// The address of the person's device, or of the peer where nobody trusted tells more.
    pub ip: IpAddr,
    /// What the program calls itself, or empty.
    pub user_agent: String,
    /// A stable name of the device chosen by the app, or empty.
    pub device_id: String,
    /// What its owner calls the device, or empty.
    pub device_name: String,
    /// What the request calls itself, for the audit trail.
    pub request_id: String,
}

/// The network that one person can be assumed to hold: an IPv4 address, or an IPv6 /64.
///
/// Who has one address of a /64 has all of them, so counting single IPv6 addresses counts nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl From<IpAddr> for Network {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            IpAddr::V6(v6) => {
                let prefix = v6.to_bits() & !u128::from(u64::MAX);
                Self(IpAddr::V6(Ipv6Addr::from_bits(prefix)))
            }
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> String {
        Network::from(text.parse::<IpAddr>().unwrap()).to_string()
    }

    #[test]
    fn an_ipv6_network_is_its_first_half_and_a_mapped_address_is_ipv4() {
        assert_eq!(network("192.0.2.7"), "192.0.2.7");
        assert_eq!(network("::ffff:192.0.2.7"), "192.0.2.7");
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::");
        assert_eq!(network("2001:db8:1:2:ffff::1"), "2001:db8:1:2::");
        assert_ne!(network("2001:db8:1:3::1"), network("2001:db8:1:2::1"));
    }
}
