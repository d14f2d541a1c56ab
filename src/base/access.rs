//! Who may connect, and who counts as one: lists of networks, and the unit by which addresses are counted.

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::base::units::Typed;

/// Networks from which connections are let in; none at all means everybody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    nets: Vec<IpNet>,
}

impl Access {
    /// Everybody.
    pub const ALL: Self = Self { nets: Vec::new() };

    /// Whether nobody is kept out.
    pub fn is_all(&self) -> bool {
        self.nets.is_empty()
    }

    /// Lets one more network in. The first one shuts out everybody else.
    pub fn push(&mut self, net: Net) {
        self.nets.push(net.0);
    }

    /// Whether every address of a family is in what was given, in one network or in several together.
    pub fn has_everybody(&self) -> bool {
        let whole = IpNet::aggregate(&self.nets);
        whole.iter().any(|net| net.prefix_len() == 0)
    }

    /// Whether this address is let in. An IPv4 address mapped into IPv6 counts as IPv4.
    pub fn allows(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        self.is_all() || self.nets.iter().any(|net| net.contains(&ip))
    }
}

/// One network: `10.0.0.0/8`, `2001:db8::/32`, or a single address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net(IpNet);

impl FromStr for Net {
    type Err = NetError;

    fn from_str(text: &str) -> Result<Self, NetError> {
        let wrong = || NetError {
            given: text.to_owned(),
        };
        // Lists are written with blanks behind their commas.
        let text = text.trim();
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let written: IpAddr = address.parse().map_err(|_| wrong())?;
        let ip = written.to_canonical();
        let whole = if ip.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => whole,
            Some(prefix) => {
                let bits: u8 = prefix.parse().map_err(|_| wrong())?;
                // In `::ffff:10.0.0.0/104` the mapping takes the first 96 bits.
                let mapping = if written == ip { 0 } else { 96 };
                bits.checked_sub(mapping).ok_or_else(wrong)?
            }
        };
        IpNet::new(ip, prefix)
            .map(|net| Self(net.trunc()))
            .map_err(|_| wrong())
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Not a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetError {
    given: String,
}

impl fmt::Display for NetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is no network: write 10.0.0.0/8, 2001:db8::/32 or one address",
            Typed(&self.given)
        )
    }
}

impl Error for NetError {}

/// What counts as one caller: an IPv4 address, or an IPv6 /64, which is what one customer or one link gets (RFC 4291,
/// section 2.5.4, leaves the lower 64 bits to the interface).
pub fn caller(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V4(ip) => IpAddr::V4(ip),
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(nets: &[&str]) -> Access {
        let mut access = Access::ALL;
        nets.iter()
            .for_each(|net| access.push(net.parse().unwrap()));
        access
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn everybody_is_a_family() {
        for nets in [
            &["0.0.0.0/0"][..],
            &["10.0.0.0/8", "::/0"],
            &["0.0.0.0/1", "128.0.0.0/1"],
            &["::ffff:0.0.0.0/96"],
        ] {
            assert!(access(nets).has_everybody(), "{nets:?}");
        }
        for nets in [
            &[][..],
            &["0.0.0.0/1"],
            &["10.0.0.0/8", "::1"],
            &["0.0.0.0"],
        ] {
            assert!(!access(nets).has_everybody(), "{nets:?}");
        }
    }

    #[test]
    fn an_empty_list_lets_everybody_in_and_any_other_only_its_own() {
        assert!(Access::ALL.allows(ip("192.0.2.1")));
        let some = access(&["10.0.0.0/8", " 2001:db8::/32", "192.0.2.7 "]);
        for inside in [
            "10.255.0.1",
            "2001:db8:1::9",
            "192.0.2.7",
            "::ffff:10.1.1.1",
        ] {
            assert!(some.allows(ip(inside)), "{inside}");
        }
        for outside in [
            "11.0.0.0",
            "2001:db9::",
            "192.0.2.8",
            "::ffff:11.1.1.1",
            "::",
        ] {
            assert!(!some.allows(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn mapped_networks_are_ipv4_networks() {
        assert_eq!(
            "::ffff:10.0.0.0/104".parse::<Net>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert_eq!(
            "10.1.2.3/8".parse::<Net>().unwrap().to_string(),
            "10.0.0.0/8"
        );
        assert!("::ffff:10.0.0.0/8".parse::<Net>().is_err());
    }

    #[test]
    fn what_is_no_network_is_said() {
        for wrong in [
            "",
            "10.0.0.0/33",
            "10.0.0/8",
            "host",
            "::/129",
            "10.0.0.0/",
            "/8",
            "10.0.0.0/-1",
        ] {
            let error = wrong.parse::<Net>().unwrap_err().to_string();
            assert!(error.contains("is no network: write 10.0.0.0/8"), "{error}");
        }
    }

    #[test]
    fn a_64_is_one_caller() {
        assert_eq!(caller(ip("2001:db8::1")), caller(ip("2001:db8::ffff:1")));
        assert_ne!(caller(ip("2001:db8::1")), caller(ip("2001:db8:0:1::1")));
        assert_ne!(caller(ip("10.0.0.1")), caller(ip("10.0.0.2")));
        assert_eq!(caller(ip("::ffff:10.0.0.1")), caller(ip("10.0.0.1")));
    }
}
