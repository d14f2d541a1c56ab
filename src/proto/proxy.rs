//! The PROXY protocol: who the client really is, said in front of its bytes. Versions 1 and 2 are written, version 2 is
//! read (HAProxy's `proxy-protocol.txt`, section 2).
//!
//! ```text
//!   PROXY TCP4 SOURCE DESTINATION SPORT DPORT\r\n                                   version 1
//!   0d 0a 0d 0a 00 0d 0a 51 55 49 54 0a | 2x | family | length u16 | addresses ...   version 2
//! ```

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Two ends of a connection: who called, and whom. `None`: nobody with an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// The client, and what it called.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

impl Call {
    /// A call between these two; IPv4 addresses that are mapped into IPv6 count as IPv4.
    pub fn new(from: SocketAddr, to: SocketAddr) -> Self {
        let plain = |at: SocketAddr| SocketAddr::new(at.ip().to_canonical(), at.port());
        Self {
            ends: Some((plain(from), plain(to))),
        }
    }

    /// The header of version 1.
    pub fn write_v1(&self) -> Vec<u8> {
        let Some((from, to)) = self.ends else {
            return b"PROXY UNKNOWN\r\n".to_vec();
        };
        let (family, from_ip, to_ip) = match (from.ip(), to.ip()) {
            (IpAddr::V4(_), IpAddr::V4(_)) => ("TCP4", from.ip(), to.ip()),
            // The two have to be of one family.
            (from, to) => ("TCP6", IpAddr::V6(v6(from)), IpAddr::V6(v6(to))),
        };
        let (from, to) = (from.port(), to.port());
        format!("PROXY {family} {from_ip} {to_ip} {from} {to}\r\n").into_bytes()
    }

    /// The header of version 2.
    pub fn write_v2(&self) -> Vec<u8> {
        let mut bytes = SIGNATURE.to_vec();
        let Some((from, to)) = self.ends else {
            bytes.extend([VERSION_2 | PROXY, 0, 0, 0]);
            return bytes;
        };
        bytes.push(VERSION_2 | PROXY);
        match (from.ip(), to.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                bytes.extend([TCP4, 0, V4_LEN as u8]);
                bytes.extend(from.octets());
                bytes.extend(to.octets());
            }
            (from, to) => {
                bytes.extend([TCP6, 0, V6_LEN as u8]);
                bytes.extend(v6(from).octets());
                bytes.extend(v6(to).octets());
            }
        }
        bytes.extend(from.port().to_be_bytes());
        bytes.extend(to.port().to_be_bytes());
        bytes
    }
}

/// Reads a header of version 2 at the head of `bytes`: what it says, and how many bytes it takes. `Ok(None)`: more
/// bytes are needed. Extensions behind the addresses are skipped; what is no TCP over IP has no addresses.
pub fn read_v2(bytes: &[u8]) -> Result<Option<(Call, usize)>, ProxyError> {
    let begun = bytes.len().min(SIGNATURE.len());
    if bytes[..begun] != SIGNATURE[..begun] {
        return Err(ProxyError::Signature);
    }
    let Some(&[command, family, high, low]) = bytes.get(SIGNATURE.len()..HEAD) else {
        return Ok(None);
    };
    if command & 0xf0 != VERSION_2 || command & 0x0f > PROXY {
        return Err(ProxyError::Command(command));
    }
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > LENGTH_MAX {
        return Err(ProxyError::TooLong(length));
    }
    let Some(addresses) = bytes.get(HEAD..HEAD + length) else {
        return Ok(None);
    };
    let call = match (command & 0x0f, family) {
        (PROXY, TCP4) => read_v4(addresses).ok_or(ProxyError::TooShort(length))?,
        (PROXY, TCP6) => read_v6(addresses).ok_or(ProxyError::TooShort(length))?,
        _ => Call::default(),
    };
    Ok(Some((call, HEAD + length)))
}

/// What makes a header none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyError {
    /// It does not begin with the signature.
    Signature,
    /// Another version, or a command that there is not.
    Command(u8),
    /// Longer than any that we take.
    TooLong(usize),
    /// Too short for the addresses of its family.
    TooShort(usize),
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Signature => f.write_str("no PROXY header"),
            Self::Command(command) => write!(f, "a PROXY header of command {command:#04x}"),
            Self::TooLong(len) => write!(f, "a PROXY header of {len} bytes, of {LENGTH_MAX}"),
            Self::TooShort(len) => write!(f, "a PROXY header of {len} bytes, without addresses"),
        }
    }
}

impl Error for ProxyError {}

fn read_v4(bytes: &[u8]) -> Option<Call> {
    let bytes: &[u8; V4_LEN] = bytes.get(..V4_LEN)?.try_into().ok()?;
    let ip = |at: usize| -> IpAddr {
        let octets: [u8; 4] = bytes[at..at + 4].try_into().expect("four of them");
        Ipv4Addr::from(octets).into()
    };
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let from = SocketAddr::new(ip(0), port(8));
    Some(Call::new(from, SocketAddr::new(ip(4), port(10))))
}

fn read_v6(bytes: &[u8]) -> Option<Call> {
    let bytes: &[u8; V6_LEN] = bytes.get(..V6_LEN)?.try_into().ok()?;
    let ip = |at: usize| -> IpAddr {
        let octets: [u8; 16] = bytes[at..at + 16].try_into().expect("sixteen of them");
        Ipv6Addr::from(octets).into()
    };
    let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
    let from = SocketAddr::new(ip(0), port(32));
    Some(Call::new(from, SocketAddr::new(ip(16), port(34))))
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
const HEAD: usize = 16;
const VERSION_2: u8 = 0x20;
const PROXY: u8 = 1;
const TCP4: u8 = 0x11;
const TCP6: u8 = 0x21;
const V4_LEN: usize = 12;
const V6_LEN: usize = 36;
/// Addresses and the extensions that balancers are known to add, and no more.
const LENGTH_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn call(from: &str, to: &str) -> Call {
        Call::new(from.parse().unwrap(), to.parse().unwrap())
    }

    #[test]
    fn version_1_is_a_line() {
        let line = |call: Call| String::from_utf8(call.write_v1()).unwrap();
        assert_eq!(
            line(call("10.0.0.7:51514", "192.0.2.1:7001")),
            "PROXY TCP4 10.0.0.7 192.0.2.1 51514 7001\r\n"
        );
        assert_eq!(
            line(call("[2001:db8::7]:51514", "[2001:db8::1]:7001")),
            "PROXY TCP6 2001:db8::7 2001:db8::1 51514 7001\r\n"
        );
        assert_eq!(
            line(call("[::ffff:10.0.0.7]:1", "192.0.2.1:2")),
            "PROXY TCP4 10.0.0.7 192.0.2.1 1 2\r\n"
        );
        assert_eq!(
            line(call("10.0.0.7:1", "[2001:db8::1]:2")),
            "PROXY TCP6 ::ffff:10.0.0.7 2001:db8::1 1 2\r\n"
        );
        assert_eq!(line(Call::default()), "PROXY UNKNOWN\r\n");
    }

    #[test]
    fn version_2_is_as_haproxy_writes_it() {
        let bytes = call("10.0.0.7:51514", "192.0.2.1:7001").write_v2();
        let mut expected = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
        expected.extend([10, 0, 0, 7, 192, 0, 2, 1, 0xc9, 0x3a, 0x1b, 0x59]);
        assert_eq!(bytes, expected);
    }

    #[test]
    fn extensions_and_calls_without_addresses_are_read() {
        let mut bytes = call("10.0.0.7:1", "192.0.2.1:2").write_v2();
        bytes[15] += 4;
        bytes.extend(b"\x04\x00\x01x");
        bytes.extend(b"GET");
        let read = read_v2(&bytes).unwrap().unwrap();
        assert_eq!(read, (call("10.0.0.7:1", "192.0.2.1:2"), bytes.len() - 3));
        let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
        assert_eq!(read_v2(local), Ok(Some((Call::default(), 16))));
        let unknown = Call::default().write_v2();
        assert_eq!(read_v2(&unknown), Ok(Some((Call::default(), 16))));
    }

    #[test]
    fn what_is_no_header_is_named() {
        let with = |rest: &[u8]| [&SIGNATURE[..], rest].concat();
        assert_eq!(read_v2(b"GET / HTTP"), Err(ProxyError::Signature));
        let read = |rest: &[u8]| read_v2(&with(rest));
        assert_eq!(read(&[0x11, 0, 0, 0]), Err(ProxyError::Command(0x11)));
        assert_eq!(read(&[0x22, 0, 0, 0]), Err(ProxyError::Command(0x22)));
        assert_eq!(read(&[0x21, 0x11, 4, 1]), Err(ProxyError::TooLong(1025)));
        let short = [0x21, 0x11, 0, 3, 1, 2, 3];
        assert_eq!(read(&short), Err(ProxyError::TooShort(3)));
    }

    proptest! {
        #[test]
        fn what_was_written_reads_back(
            from: (u128, u16), to: (u128, u16), is_v4: bool, more in prop::collection::vec(any::<u8>(), 0..9)
        ) {
            let at = |(ip, port): (u128, u16)| match is_v4 {
                true => SocketAddr::new(Ipv4Addr::from_bits(ip as u32).into(), port),
                false => SocketAddr::new(Ipv6Addr::from_bits(ip | 1 << 127).into(), port),
            };
            let call = Call::new(at(from), at(to));
            let mut bytes = call.write_v2();
            for end in 0..bytes.len() {
                prop_assert_eq!(read_v2(&bytes[..end]), Ok(None));
            }
            let len = bytes.len();
            bytes.extend(more);
            prop_assert_eq!(read_v2(&bytes), Ok(Some((call, len))));
        }

        #[test]
        fn garbage_panics_nobody(rest in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_v2(&[&SIGNATURE[..], &rest].concat());
            let _ = read_v2(&rest);
        }
    }
}
