//! Whether a place that is dialled is one where we listen ourselves. Nothing is looked up: names but `localhost` are
//! only known to be themselves.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Endpoint, Host};

impl Endpoint {
    /// Whether dialling `other` plainly connects to a listener here, or may do so. What listens everywhere is reached
    /// by any address of this machine, of which only the loopback's are known for some.
    pub fn is_reached_by(&self, other: &Self) -> bool {
        let (
            Self::Tcp { host, port, .. },
            Self::Tcp {
                host: dialled,
                port: its,
                ..
            },
        ) = (self, other)
        else {
            return self == other;
        };
        let is_same = host.is_same_name(dialled);
        let reaches = || dialled.leads_to().iter().any(|ip| host.takes(*ip));
        *port != 0 && port == its && (is_same || reaches())
    }
}

impl Host {
    /// The addresses that dialling it connects to, as far as they are known without a look-up. The system takes an
    /// unspecified one for its loopback.
    fn leads_to(&self) -> Vec<IpAddr> {
        let [four, six] = [
            IpAddr::from(Ipv4Addr::LOCALHOST),
            IpAddr::from(Ipv6Addr::LOCALHOST),
        ];
        match self {
            Self::Any => vec![four, six],
            Self::Name(name) if is_localhost(name) => vec![four, six],
            Self::Name(_) => Vec::new(),
            Self::Ip(ip) => match ip.to_canonical() {
                ip if !ip.is_unspecified() => vec![ip],
                IpAddr::V4(_) => vec![four],
                IpAddr::V6(_) => vec![six],
            },
        }
    }

    /// Whether a listener here takes what is connected to this address, which is in its canonical form.
    fn takes(&self, to: IpAddr) -> bool {
        match self {
            Self::Any => to.is_loopback(),
            Self::Name(name) => is_localhost(name) && Self::Any.leads_to().contains(&to),
            Self::Ip(ip) => match ip.to_canonical() {
                own if !own.is_unspecified() => own == to,
                own => to.is_loopback() && (own.is_ipv6() || to.is_ipv4()),
            },
        }
    }

    fn is_same_name(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Name(one), Self::Name(other)) => plain_name(one) == plain_name(other),
            _ => false,
        }
    }
}

/// Whether a name is always this machine's: `localhost`, or below it.
fn is_localhost(name: &str) -> bool {
    let name = plain_name(name);
    name == "localhost" || name.ends_with(".localhost")
}

/// A name as all its spellings have it.
fn plain_name(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_is_reached_by_some_addresses() {
        let reached = |own: &str, by: &str| {
            let (own, by): (Endpoint, Endpoint) = (own.parse().unwrap(), by.parse().unwrap());
            own.is_reached_by(&by)
        };
        for (own, by) in [
            ("10.0.0.5:7001", "10.0.0.5:7001"),
            ("10.0.0.5:7001", "[::ffff:10.0.0.5]:7001"),
            ("Feed.example:7001", "feed.example.:7001"),
            ("127.1.2.3:7001", "127.1.2.3:7001"),
            ("0.0.0.0:7001", "127.1.2.3:7001"),
            ("7001", "tls://127.0.0.1:7001"),
            ("unix:/a", "unix:/a"),
        ] {
            assert!(reached(own, by), "{own} {by}");
        }
        for (own, by) in [
            (":7001", "10.0.0.5:7001"),
            (":7001", "feed.example:7001"),
            (":7001", "notlocalhost:7001"),
            ("10.0.0.5:7001", "7001"),
            ("10.0.0.5:7001", "0.0.0.0:7001"),
            ("127.1.2.3:7001", "localhost:7001"),
            ("feed.example:7001", "feed.example.org:7001"),
            ("7001", "7002"),
            ("0.0.0.0:7001", "localhost:7002"),
            ("unix:/a", "unix:/b"),
            ("0", "0"),
        ] {
            assert!(!reached(own, by), "{own} {by}");
        }
    }

    /// Every way to write this machine, to listen and to dial. The system takes an unspecified address that is dialled
    /// for its loopback of the same family.
    #[test]
    fn a_listener_on_this_machine_is_reached_by_its_family() {
        let four = ["127.0.0.1:7001", "[::ffff:127.0.0.1]:7001", "7001"];
        let six = ["[::1]:7001"];
        let all_four = ["0.0.0.0:7001", "[::ffff:0.0.0.0]:7001"];
        let all = ["[::]:7001"];
        let both = [":7001", "*:7001"];
        let names = [
            "localhost:7001",
            "LocalHost:7001",
            "localhost.:7001",
            "feed.localhost:7001",
        ];
        let any = |groups: &[&[&'static str]]| groups.concat();
        let every = any(&[&four, &six, &all_four, &all, &both, &names]);
        for (owns, bys) in [
            (
                any(&[&four, &all_four]),
                any(&[&four, &all_four, &both, &names]),
            ),
            (any(&[&six]), any(&[&six, &all, &both, &names])),
            (any(&[&all, &both, &names]), every.clone()),
        ] {
            for own in owns {
                for by in &every {
                    let (listens, dials): (Endpoint, Endpoint) =
                        (own.parse().unwrap(), by.parse().unwrap());
                    let reached = listens.is_reached_by(&dials);
                    assert_eq!(reached, bys.contains(by), "{own} {by}");
                }
            }
        }
    }
}
