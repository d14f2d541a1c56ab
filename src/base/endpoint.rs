//! Where to listen or dial, as a user writes it.
//!
//! `HOST:PORT`, `[V6]:PORT`, `:PORT`, `*:PORT`, `PORT`, each of them also behind `tls://`, and `unix:PATH`. What was
//! read shows itself in a form that reads back to the same endpoint. Nothing is looked up here, and `-` (a
//! standard stream) is no endpoint.

mod reach;

use std::error::Error;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;
use std::str::FromStr;

use super::secret::shown;
use super::units::{Typed, TypedPlace, is_decimal};

/// A place to listen at or to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP port on some host.
    Tcp {
        /// Whose.
        host: Host,
        /// The port. 0, to listen: any free one.
        port: u16,
        /// `tls://`: what goes over it is encrypted.
        tls: bool,
    },
    /// `unix:PATH`: a Unix stream socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Reads an endpoint for a role that speaks no TLS. One with `tls://` is an error.
    pub fn plain(text: &str) -> Result<Self, EndpointError> {
        let endpoint: Self = text.parse()?;
        match endpoint.is_tls() {
            true => Err(EndpointError::TlsNotHere),
            false => Ok(endpoint),
        }
    }

    /// Whether what goes over its connections is encrypted.
    pub fn is_tls(&self) -> bool {
        matches!(self, Self::Tcp { tls: true, .. })
    }

    /// Whether two listeners can't stand beside each other. A name may stand for any address.
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Tcp { port: 0, .. }, _) | (_, Self::Tcp { port: 0, .. }) => false,
            (
                Self::Tcp {
                    host: Host::Ip(x),
                    port: p,
                    ..
                },
                Self::Tcp {
                    host: Host::Ip(y),
                    port: q,
                    ..
                },
            ) => {
                // `[::]` takes IPv4, too.
                let takes = |all: &IpAddr, one: &IpAddr| {
                    all.is_unspecified() && (all.is_ipv6() || one.is_ipv4())
                };
                p == q && (x == y || takes(x, y) || takes(y, x))
            }
            (Self::Tcp { port: p, .. }, Self::Tcp { port: q, .. }) => p == q,
            (a, b) => a == b,
        }
    }

    /// Whether it plainly is on this machine; a name may be, too.
    pub fn is_this_machine(&self) -> bool {
        match self {
            Self::Tcp {
                host: Host::Any, ..
            }
            | Self::Unix(_) => true,
            Self::Tcp {
                host: Host::Ip(ip), ..
            } => ip.is_loopback(),
            Self::Tcp {
                host: Host::Name(name),
                ..
            } => name == "localhost",
        }
    }
}

/// Whose port it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `:PORT` or `*:PORT`: every interface to listen on, this machine to dial.
    Any,
    /// A literal address.
    Ip(IpAddr),
    /// A name, looked up anew at every attempt.
    Name(String),
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix(path);
        }
        if let Some(rest) = text.strip_prefix(TLS) {
            return encrypted(rest);
        }
        if let Some(name) = text.strip_prefix("fd:")
            && !is_decimal(name)
        {
            return Err(EndpointError::Passed);
        }
        if let Some((scheme, _)) = text.split_once("://") {
            return Err(EndpointError::Scheme {
                scheme: scheme.to_owned(),
            });
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(text, rest);
        }
        if is_decimal(text) {
            return Ok(Self::Tcp {
                host: Host::Ip(Ipv4Addr::LOCALHOST.into()),
                port: port(text, text)?,
                tls: false,
            });
        }
        if text.bytes().filter(|&b| b == b':').count() > 1 {
            refuse_bare_v6(text)?;
        }
        let Some((host, number)) = text.rsplit_once(':') else {
            return Err(without_port(text));
        };
        let host = match host {
            "" | "*" => Host::Any,
            host => self::host(host)?,
        };
        if number.is_empty() {
            return Err(EndpointError::NoPort {
                host: text.trim_end_matches(':').to_owned(),
            });
        }
        Ok(Self::Tcp {
            host,
            port: port(number, text)?,
            tls: false,
        })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, tls } => {
                f.write_str(if *tls { TLS } else { "" })?;
                match host {
                    Host::Any => write!(f, ":{port}"),
                    host => write!(f, "{host}:{port}"),
                }
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Ip(IpAddr::V4(v4)) => v4.fmt(f),
            Self::Ip(IpAddr::V6(v6)) => write!(f, "[{v6}]"),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Why a word is no endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndpointError {
    /// A host stands alone.
    NoPort {
        /// The host, as it was written before the colon: empty where a colon stands alone.
        host: String,
    },
    /// The port is not a number.
    BadPort {
        /// What stands in its place.
        port: String,
        /// The whole word.
        given: String,
    },
    /// No port is as high as this.
    PortTooHigh {
        /// The digits given.
        port: String,
    },
    /// An IPv6 address with nothing around it: where it ends and the port begins can't be told.
    NoBrackets {
        /// What was given.
        given: String,
        /// How it was most likely meant.
        meant: String,
    },
    /// What stands between brackets is no IPv6 address, or no port follows them.
    BadV6 {
        /// What was given.
        given: String,
    },
    /// Four numbers that are no IPv4 address, or too few of them.
    BadV4 {
        /// What was given.
        host: String,
    },
    /// No host can have this name.
    BadHost {
        /// What was given.
        host: String,
    },
    /// `SCHEME://`, which nothing here speaks.
    Scheme {
        /// What stands before `://`.
        scheme: String,
    },
    /// `tls://` stands there twice.
    TlsTwice,
    /// `tls://unix:PATH`.
    TlsOverUnix,
    /// `tls://` for something that speaks no TLS.
    TlsNotHere,
    /// A word with a slash, which is neither a host nor a Unix socket.
    LooksLikePath {
        /// What was given.
        given: String,
    },
    /// `fd:NAME`, where no socket can be passed.
    Passed,
    /// `unix:` with nothing behind it.
    NoPath,
    /// The system takes no longer path for a socket than `UNIX_PATH_MAX`.
    PathTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// A control character in a socket's path would also break the log's lines.
    BadPath {
        /// The path.
        path: String,
    },
}

impl EndpointError {
    /// As it is said where no Unix socket may be given: nobody is told to write one.
    pub fn without_sockets(&self) -> String {
        match self {
            Self::LooksLikePath { given } => {
                format!("{} is not an endpoint: {TCP_FORMS}", TypedPlace(given))
            }
            _ => self.to_string().replace(FORMS, TCP_FORMS),
        }
    }
}

impl fmt::Display for EndpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoPort { host } if host.is_empty() => {
                write!(f, "a colon alone has no port: write :PORT")
            }
            Self::NoPort { host } => write!(f, "{0} has no port: write {0}:PORT", TypedPlace(host)),
            Self::BadPort { port, given } => {
                write!(
                    f,
                    "{} is not a port, in {}: write a number, 0 to 65535",
                    TypedPlace(port),
                    TypedPlace(given)
                )
            }
            Self::PortTooHigh { port } => write!(f, "port {port} is above 65535"),
            Self::NoBrackets { given, meant } => {
                write!(
                    f,
                    "{} is an IPv6 address without brackets: write {meant}",
                    TypedPlace(given)
                )
            }
            Self::BadV6 { given } => write!(f, "{} is not [IPV6]:PORT", TypedPlace(given)),
            Self::BadV4 { host } => write!(
                f,
                "{} is not an IPv4 address: it takes four numbers, 0 to 255",
                TypedPlace(host)
            ),
            Self::BadHost { host } => write!(f, "{} is not a host name: {FORMS}", TypedPlace(host)),
            Self::Scheme { scheme } => write!(f, "{}:// is not known here: {FORMS}", TypedPlace(scheme)),
            Self::TlsTwice => f.write_str("tls:// is there twice: write tls://HOST:PORT"),
            Self::TlsOverUnix => {
                f.write_str("tls:// is for TCP: a Unix socket never leaves this machine")
            }
            Self::TlsNotHere => f.write_str("tls:// is not spoken here: leave it out"),
            Self::LooksLikePath { given } => {
                write!(
                    f,
                    "{} is not an endpoint: for a Unix socket write {}",
                    TypedPlace(given),
                    Typed(&format!("unix:{}", shown(given)))
                )
            }
            Self::Passed => f.write_str(
                "fd:NAME, a socket that the service manager passes, is for dst and listen of a run file, as it stands",
            ),
            Self::NoPath => write!(f, "unix: has no path: write unix:PATH"),
            Self::PathTooLong { len } => {
                write!(
                    f,
                    "the path of this Unix socket has {len} bytes: at most {UNIX_PATH_MAX} are possible"
                )
            }
            Self::BadPath { path } => write!(
                f,
                "the path of Unix socket {} has a control character",
                Typed(path)
            ),
        }
    }
}

impl Error for EndpointError {}

fn unix(path: &str) -> Result<Endpoint, EndpointError> {
    if path.is_empty() {
        return Err(EndpointError::NoPath);
    }
    if path.len() > UNIX_PATH_MAX {
        return Err(EndpointError::PathTooLong { len: path.len() });
    }
    if path.chars().any(char::is_control) {
        return Err(EndpointError::BadPath {
            path: path.to_owned(),
        });
    }
    Ok(Endpoint::Unix(PathBuf::from(path)))
}

/// `[V6]:PORT`; `rest` is what follows the first bracket.
fn bracketed(text: &str, rest: &str) -> Result<Endpoint, EndpointError> {
    let wrong = || EndpointError::BadV6 {
        given: text.to_owned(),
    };
    let (address, behind) = rest.split_once(']').ok_or_else(wrong)?;
    let address: Ipv6Addr = address.parse().map_err(|_| wrong())?;
    let number = match behind.strip_prefix(':') {
        Some(number) if !number.is_empty() => number,
        _ if behind.is_empty() || behind == ":" => {
            return Err(EndpointError::NoPort {
                host: format!("[{address}]"),
            });
        }
        _ => return Err(wrong()),
    };
    // A mapped address counts as the IPv4 address that it stands for.
    let host = Host::Ip(IpAddr::V6(address).to_canonical());
    Ok(Endpoint::Tcp {
        host,
        port: port(number, text)?,
        tls: false,
    })
}

/// What stands behind `tls://`.
fn encrypted(rest: &str) -> Result<Endpoint, EndpointError> {
    match rest.parse()? {
        Endpoint::Tcp {
            host,
            port,
            tls: false,
        } => Ok(Endpoint::Tcp {
            host,
            port,
            tls: true,
        }),
        Endpoint::Tcp { .. } => Err(EndpointError::TlsTwice),
        Endpoint::Unix(_) => Err(EndpointError::TlsOverUnix),
    }
}

fn refuse_bare_v6(text: &str) -> Result<(), EndpointError> {
    let is_v6 = |part: &str| part.parse::<Ipv6Addr>().is_ok();
    let meant = match text.rsplit_once(':') {
        Some((address, number)) if is_v6(address) && is_decimal(number) => {
            format!("[{address}]:{number}")
        }
        _ if is_v6(text) => format!("[{text}]:PORT"),
        _ => return Ok(()),
    };
    Err(EndpointError::NoBrackets {
        given: text.to_owned(),
        meant,
    })
}

/// What to say of a word without any colon.
fn without_port(text: &str) -> EndpointError {
    if text.contains('/') {
        return EndpointError::LooksLikePath {
            given: text.to_owned(),
        };
    }
    match host(text) {
        Ok(host) => EndpointError::NoPort {
            host: host.to_string(),
        },
        Err(error) => error,
    }
}

fn host(text: &str) -> Result<Host, EndpointError> {
    if let Ok(v4) = text.parse::<Ipv4Addr>() {
        return Ok(Host::Ip(v4.into()));
    }
    let name = text.strip_suffix('.').unwrap_or(text);
    let good = name.len() <= NAME_MAX && name.split('.').all(is_label);
    if !good {
        return Err(EndpointError::BadHost {
            host: text.to_owned(),
        });
    }
    // No top-level domain is a number; the system would read `10.1` as 10.0.0.1.
    if name.rsplit('.').next().is_some_and(is_decimal) {
        return Err(EndpointError::BadV4 {
            host: text.to_owned(),
        });
    }
    Ok(Host::Name(text.to_owned()))
}

/// RFC 1123 2.1, and the underscore, which local names do have.
fn is_label(label: &str) -> bool {
    (1..=LABEL_MAX).contains(&label.len())
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

fn port(number: &str, given: &str) -> Result<u16, EndpointError> {
    if !is_decimal(number) {
        return Err(EndpointError::BadPort {
            port: number.to_owned(),
            given: given.to_owned(),
        });
    }
    number.parse().map_err(|_| EndpointError::PortTooHigh {
        port: number.to_owned(),
    })
}

const TLS: &str = "tls://";
const UNIX_PATH_MAX: usize = 107; // sun_path has 108 bytes, the last one is zero
const NAME_MAX: usize = 253; // RFC 1035 2.3.4, without the root's dot
const LABEL_MAX: usize = 63; // RFC 1035 2.3.4
const FORMS: &str = "write HOST:PORT, [IPV6]:PORT, :PORT, PORT, tls://HOST:PORT or unix:PATH";
const TCP_FORMS: &str = "write HOST:PORT, [IPV6]:PORT, :PORT, PORT or tls://HOST:PORT";

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn tcp(host: Host, port: u16) -> Endpoint {
        let tls = false;
        Endpoint::Tcp { host, port, tls }
    }

    fn tls(host: Host, port: u16) -> Endpoint {
        let tls = true;
        Endpoint::Tcp { host, port, tls }
    }

    fn ip(text: &str) -> Host {
        Host::Ip(text.parse().expect("a literal"))
    }

    fn name(text: &str) -> Host {
        Host::Name(text.to_owned())
    }

    #[test]
    fn what_listens_everywhere_leaves_no_room() {
        let overlap = |a: &str, b: &str| {
            let (a, b): (Endpoint, Endpoint) = (a.parse().unwrap(), b.parse().unwrap());
            assert_eq!(a.overlaps(&b), b.overlaps(&a), "{a} {b}");
            a.overlaps(&b)
        };
        for (a, b) in [
            ("[::]:1", "0.0.0.0:1"),
            ("[::]:1", "127.0.0.1:1"),
            ("[::]:1", "[::1]:1"),
            ("0.0.0.0:1", "127.0.0.1:1"),
            (":1", "[::1]:1"),
        ] {
            assert!(overlap(a, b), "{a} {b}");
        }
        for (a, b) in [
            ("0.0.0.0:1", "[::1]:1"),
            ("[::]:1", "[::]:2"),
            ("127.0.0.1:1", "[::1]:1"),
        ] {
            assert!(!overlap(a, b), "{a} {b}");
        }
    }

    #[test]
    fn endpoints_are_read_and_shown() {
        let cases = [
            (
                "127.0.0.1:5000",
                tcp(ip("127.0.0.1"), 5000),
                "127.0.0.1:5000",
            ),
            ("0.0.0.0:6000", tcp(ip("0.0.0.0"), 6000), "0.0.0.0:6000"),
            (
                "localhost:5000",
                tcp(name("localhost"), 5000),
                "localhost:5000",
            ),
            (
                "feed-1.example_x.com.:1",
                tcp(name("feed-1.example_x.com."), 1),
                "feed-1.example_x.com.:1",
            ),
            ("[::1]:5000", tcp(ip("::1"), 5000), "[::1]:5000"),
            ("[::]:0", tcp(ip("::"), 0), "[::]:0"),
            ("[0:0::1]:80", tcp(ip("::1"), 80), "[::1]:80"),
            (
                "[::ffff:10.0.0.5]:80",
                tcp(ip("10.0.0.5"), 80),
                "10.0.0.5:80",
            ),
            (":6000", tcp(Host::Any, 6000), ":6000"),
            ("*:6000", tcp(Host::Any, 6000), ":6000"),
            (":0", tcp(Host::Any, 0), ":0"),
            ("6000", tcp(ip("127.0.0.1"), 6000), "127.0.0.1:6000"),
            ("0", tcp(ip("127.0.0.1"), 0), "127.0.0.1:0"),
            ("65535", tcp(ip("127.0.0.1"), 65535), "127.0.0.1:65535"),
            (
                "tls://feed:5000",
                tls(name("feed"), 5000),
                "tls://feed:5000",
            ),
            ("tls://[::1]:5", tls(ip("::1"), 5), "tls://[::1]:5"),
            ("tls://*:0", tls(Host::Any, 0), "tls://:0"),
            (
                "tls://6000",
                tls(ip("127.0.0.1"), 6000),
                "tls://127.0.0.1:6000",
            ),
            (
                "unix:/run/feed.sock",
                Endpoint::Unix("/run/feed.sock".into()),
                "unix:/run/feed.sock",
            ),
            ("unix:a b:1", Endpoint::Unix("a b:1".into()), "unix:a b:1"),
        ];
        for (text, endpoint, shown) in cases {
            assert_eq!(text.parse(), Ok(endpoint), "{text}");
            assert_eq!(
                text.parse::<Endpoint>().expect("it was read").to_string(),
                shown
            );
        }
        assert!(
            format!("unix:{}", "x".repeat(107))
                .parse::<Endpoint>()
                .is_ok()
        );
        assert!(
            format!("{0}.{0}.{0}.{1}:1", "x".repeat(63), "y".repeat(61))
                .parse::<Endpoint>()
                .is_ok()
        );
    }

    /// What is given, ` => `, and what is said about it; `<forms>` stands for `FORMS`.
    const MISTAKES: &str = r#"
localhost => localhost has no port: write localhost:PORT
localhost: => localhost has no port: write localhost:PORT
10.0.0.5 => 10.0.0.5 has no port: write 10.0.0.5:PORT
[::1] => [::1] has no port: write [::1]:PORT
[::1]: => [::1] has no port: write [::1]:PORT
: => a colon alone has no port: write :PORT
*: => * has no port: write *:PORT
70000 => port 70000 is above 65535
localhost:65536 => port 65536 is above 65535
:99999999999999999999999 => port 99999999999999999999999 is above 65535
fd:feed => fd:NAME, a socket that the service manager passes, is for dst and listen of a run file, as it stands
tls://fd:feed => fd:NAME, a socket that the service manager passes, is for dst and listen of a run file, as it stands
localhost:http => http is not a port, in localhost:http: write a number, 0 to 65535
localhost:+5 => +5 is not a port, in localhost:+5: write a number, 0 to 65535
[::1]:-1 => -1 is not a port, in [::1]:-1: write a number, 0 to 65535
::1 => ::1 is an IPv6 address without brackets: write [::1]:PORT
fe80::1 => fe80::1 is an IPv6 address without brackets: write [fe80::1]:PORT
::1:5000 => ::1:5000 is an IPv6 address without brackets: write [::1]:5000
1:2:3:4:5:6:7:8:99 => 1:2:3:4:5:6:7:8:99 is an IPv6 address without brackets: write [1:2:3:4:5:6:7:8]:99
tls://tls://a:1 => tls:// is there twice: write tls://HOST:PORT
tls://unix:x => tls:// is for TCP: a Unix socket never leaves this machine
tls://a => a has no port: write a:PORT
[::1:5000 => [::1:5000 is not [IPV6]:PORT
[::1]5000 => [::1]5000 is not [IPV6]:PORT
[10.0.0.5]:80 => [10.0.0.5]:80 is not [IPV6]:PORT
[fe80::1%eth0]:80 => [fe80::1%eth0]:80 is not [IPV6]:PORT
256.0.0.1:80 => 256.0.0.1 is not an IPv4 address: it takes four numbers, 0 to 255
10.1:80 => 10.1 is not an IPv4 address: it takes four numbers, 0 to 255
my host:80 => "my host" is not a host name: <forms>
 => "" is not a host name: <forms>
- => - is not a host name: <forms>
a..b:80 => a..b is not a host name: <forms>
-a:80 => -a is not a host name: <forms>
a-:80 => a- is not a host name: <forms>
bücher.example:80 => "bücher.example" is not a host name: <forms>
a:5000,b:5000 => a:5000,b is not a host name: <forms>
S:S@a:1 => ...@a is not a host name: <forms>
S:S@a => ...@a is not a port, in ...@a: write a number, 0 to 65535
a:1/x?t=S => 1/x?... is not a port, in a:1/x?...: write a number, 0 to 65535
tls://a:1?t=S:S => a:1?... is not a host name: <forms>
a/x?t=S => a/x?... is not an endpoint: for a Unix socket write unix:a/x?...
[::1]:1?S => 1?... is not a port, in [::1]:1?...: write a number, 0 to 65535
[::1?S => [::1?... is not [IPV6]:PORT
http://a:80/ => http:// is not known here: <forms>
./feed.sock => ./feed.sock is not an endpoint: for a Unix socket write unix:./feed.sock
unix: => unix: has no path: write unix:PATH
"#;

    #[test]
    fn mistakes_say_what_to_do() {
        let said = |text: &str| text.parse::<Endpoint>().expect_err(text).to_string();
        for line in MISTAKES.lines().filter(|line| !line.is_empty()) {
            let (text, message) = line.split_once(" => ").expect("a word and a message");
            assert_eq!(said(text), message.replace("<forms>", FORMS));
        }
        let long = "x".repeat(64);
        assert_eq!(
            said(&format!("{long}:80")),
            format!("{long} is not a host name: {FORMS}")
        );
        assert_eq!(
            said("a\nb:80"),
            format!("\"a\\nb\" is not a host name: {FORMS}")
        );
        assert_eq!(
            said("unix:a\0b"),
            "the path of Unix socket \"a\\0b\" has a control character"
        );
        assert_eq!(
            said(&format!("unix:{}", "x".repeat(108))),
            "the path of this Unix socket has 108 bytes: at most 107 are possible"
        );
    }

    proptest! {
        #[test]
        fn what_was_read_reads_back(
            text in "\\PC{0,20}|[a-z0-9.:\\[\\]*-]{0,20}|unix:\\PC{0,9}|\\[[0-9a-f:]{2,12}\\]:[0-9]{1,5}|[0-9.]{7,15}:1"
        ) {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }

        #[test]
        fn every_address_reads_back(bits in any::<u128>(), port in any::<u16>()) {
            for address in [IpAddr::V6(bits.into()).to_canonical(), IpAddr::V4((bits as u32).into())] {
                let endpoint = tcp(Host::Ip(address), port);
                prop_assert_eq!(endpoint.to_string().parse(), Ok(endpoint));
            }
        }
    }
}
