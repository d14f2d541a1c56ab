//! What can be wrong between two who speak TLS, in words that say what to do about it.

use std::error::Error;
use std::fmt;

use rustls::{AlertDescription, CertificateError, PeerIncompatible};

/// Why a TLS connection can't be, or can't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsError {
    /// The peer speaks something else.
    NotTls(Seen),
    /// The peer's certificate does not prove who it is.
    Certificate(CertificateFault),
    /// The peer showed no certificate, though it was asked for one.
    NoCertificate,
    /// No certificate can be for a server of this name.
    Name {
        /// The name.
        name: String,
    },
    /// The peer gave up, and its alert says why: the alert's name in RFC 8446, and what it means here.
    Alert {
        /// Its name.
        alert: String,
        /// What it means; empty where the name says it all.
        meaning: &'static str,
    },
    /// The two have no version or algorithm in common.
    Incompatible(String),
    /// The peer left in the middle of the handshake.
    Left,
    /// The peer that was dialled left and had said nothing.
    NoAnswer,
    /// The connection ended and the peer had not said that it would: bytes may be missing.
    Truncated,
    /// The peer broke the protocol, or something else went wrong.
    Other(String),
}

/// What a peer that speaks no TLS seems to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// HTTP.
    Http,
    /// Anything else.
    Other,
}

/// What is wrong with a peer's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateFault {
    /// Its time is over.
    Expired {
        /// Days since then; `None` where that is not known.
        days: Option<u64>,
    },
    /// Its time has not come, or our clock is wrong.
    NotYetValid,
    /// It is for others.
    WrongName {
        /// Whom we dialled.
        expected: String,
        /// Whom it is for.
        presented: Vec<String>,
    },
    /// Nobody whom we trust has issued it.
    UnknownIssuer,
    /// A signature of it does not fit: mostly its issuer has the name of one whom we trust, and another key.
    Signature,
    /// It has been revoked.
    Revoked,
    /// It is one to issue others with, which openssl makes where it is asked for a self-signed one.
    Issuers,
    /// Something else, in the library's words.
    Other(String),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotTls(Seen::Http) => f.write_str("TLS: plain HTTP came instead"),
            Self::NotTls(Seen::Other) => f.write_str("TLS: plain bytes came instead"),
            Self::Certificate(fault) => write!(f, "TLS: its certificate {fault}"),
            Self::NoCertificate => {
                f.write_str("TLS: it showed no certificate, and --tls-client-ca asks for one")
            }
            Self::Name { name } => write!(f, "TLS: no certificate can be for {name}"),
            Self::Alert { alert, meaning: "" } => write!(f, "TLS: it gave up ({alert})"),
            Self::Alert { alert, meaning } => write!(f, "TLS: {meaning} ({alert})"),
            Self::Incompatible(what) => write!(f, "TLS: nothing in common ({what})"),
            Self::Left => f.write_str("TLS: it left in the middle of the handshake"),
            Self::NoAnswer => f.write_str("TLS: it left without an answer; it may speak no TLS"),
            Self::Truncated => {
                f.write_str("TLS: ended without close_notify, so bytes may be missing")
            }
            Self::Other(what) => write!(f, "TLS: {what}"),
        }
    }
}

impl fmt::Display for CertificateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired { days: Some(0) } => f.write_str("has expired today"),
            Self::Expired { days: Some(1) } => f.write_str("expired a day ago"),
            Self::Expired { days: Some(days) } => write!(f, "expired {days} days ago"),
            Self::Expired { days: None } => f.write_str("has expired"),
            Self::NotYetValid => f.write_str("is not valid yet, or this machine's clock is wrong"),
            Self::WrongName {
                expected,
                presented,
            } if presented.is_empty() => write!(f, "is not for {expected}"),
            Self::WrongName {
                expected,
                presented,
            } => write!(f, "is for {}, not for {expected}", presented.join(", ")),
            Self::UnknownIssuer => {
                f.write_str("is issued by nobody we trust; --tls-ca FILE says whom else to trust")
            }
            Self::Signature => f.write_str(
                "has a signature that does not fit: its issuer may have been made anew, and --tls-ca be of the old one",
            ),
            Self::Revoked => f.write_str("has been revoked"),
            Self::Issuers => f.write_str(
                "is an issuer's: issue one for the server with it, or make it with basicConstraints=CA:FALSE",
            ),
            Self::Other(what) => write!(f, "is not accepted ({what})"),
        }
    }
}

impl Error for TlsError {}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(fault) => Self::Certificate(fault.into()),
            rustls::Error::NoCertificatesPresented => Self::NoCertificate,
            rustls::Error::AlertReceived(alert) => Self::Alert {
                alert: format!("alert {}", snake(&format!("{alert:?}"))),
                meaning: meaning(alert),
            },
            // Nobody leaves it out who speaks 1.2.
            rustls::Error::PeerIncompatible(
                PeerIncompatible::SignatureAlgorithmsExtensionRequired,
            ) => Self::Incompatible("it speaks TLS 1.1 or older, not 1.2 or 1.3".to_owned()),
            rustls::Error::PeerIncompatible(what) => {
                Self::Incompatible(words(&format!("{what:?}")))
            }
            rustls::Error::InvalidMessage(what) => Self::Other(format!(
                "it broke the protocol ({})",
                words(&format!("{what:?}"))
            )),
            rustls::Error::PeerMisbehaved(what) => Self::Other(format!(
                "it broke the protocol ({})",
                words(&format!("{what:?}"))
            )),
            rustls::Error::DecryptError => {
                Self::Other("what it sent can't be decrypted".to_owned())
            }
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<CertificateError> for CertificateFault {
    fn from(fault: CertificateError) -> Self {
        match fault {
            CertificateError::Expired => Self::Expired { days: None },
            CertificateError::ExpiredContext { time, not_after } => Self::Expired {
                days: Some(time.as_secs().saturating_sub(not_after.as_secs()) / DAY),
            },
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Self::NotYetValid
            }
            CertificateError::NotValidForName => Self::WrongName {
                expected: "the name that was dialled".to_owned(),
                presented: Vec::new(),
            },
            CertificateError::NotValidForNameContext {
                expected,
                presented,
            } => Self::WrongName {
                expected: expected.to_str().into_owned(),
                presented: presented.iter().map(|name| plain_name(name)).collect(),
            },
            CertificateError::UnknownIssuer => Self::UnknownIssuer,
            CertificateError::BadSignature => Self::Signature,
            CertificateError::Revoked => Self::Revoked,
            // The library's word for it stands nowhere but in its text.
            CertificateError::Other(other) if format!("{other:?}").contains(ISSUERS) => {
                Self::Issuers
            }
            other => Self::Other(other.to_string()),
        }
    }
}

const ISSUERS: &str = "CaUsedAsEndEntity";

/// What an alert of the peer's most likely is about.
fn meaning(alert: AlertDescription) -> &'static str {
    match alert {
        AlertDescription::CertificateExpired => "it says that our certificate has expired",
        AlertDescription::UnknownCA => "it does not trust the issuer of our certificate",
        AlertDescription::CertificateRequired => {
            "it asks for a certificate; --tls-client-cert FILE shows one"
        }
        AlertDescription::BadCertificate
        | AlertDescription::CertificateUnknown
        | AlertDescription::UnsupportedCertificate
        | AlertDescription::CertificateRevoked
        | AlertDescription::AccessDenied => "it does not accept our certificate",
        AlertDescription::HandshakeFailure => {
            "it found nothing in common, or asks for a certificate"
        }
        AlertDescription::ProtocolVersion => "it speaks another version, not 1.2 or 1.3",
        AlertDescription::UnrecognisedName => "it does not serve that name",
        _ => "",
    }
}

/// The library shows a name as `DnsName("a")` and an address as `IpAddress(127.0.0.1)`.
fn plain_name(shown: &str) -> String {
    let inside = shown
        .split_once('(')
        .and_then(|(_, rest)| rest.strip_suffix(')'));
    inside.unwrap_or(shown).trim_matches('"').to_owned()
}

/// `CertificateExpired` as the RFC writes it: `certificate_expired`.
fn snake(camel: &str) -> String {
    words(camel).replace(' ', "_")
}

/// `NoCipherSuitesInCommon` as words: `no cipher suites in common`.
fn words(camel: &str) -> String {
    let mut out = String::new();
    let mut before_is_lower = false;
    for letter in camel.chars() {
        if letter.is_ascii_uppercase() && before_is_lower {
            out.push(' ');
        }
        before_is_lower = letter.is_ascii_lowercase() || letter.is_ascii_digit();
        out.push(letter.to_ascii_lowercase());
    }
    out
}

const DAY: u64 = 24 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_librarys_words_become_sentences() {
        assert_eq!(
            words("NoCipherSuitesInCommon"),
            "no cipher suites in common"
        );
        assert_eq!(snake("UnknownCA"), "unknown_ca");
        assert_eq!(plain_name("DnsName(\"a.example\")"), "a.example");
        assert_eq!(plain_name("IpAddress(127.0.0.1)"), "127.0.0.1");
        let alert = TlsError::from(rustls::Error::AlertReceived(
            AlertDescription::CertificateRequired,
        ));
        assert_eq!(
            alert.to_string(),
            "TLS: it asks for a certificate; --tls-client-cert FILE shows one (alert certificate_required)"
        );
        let alert = TlsError::from(rustls::Error::AlertReceived(AlertDescription::UserCanceled));
        assert_eq!(alert.to_string(), "TLS: it gave up (alert user_canceled)");
    }

    #[test]
    fn an_age_is_told_in_days() {
        for (days, told) in [
            (Some(0), "has expired today"),
            (Some(1), "expired a day ago"),
            (Some(40), "expired 40 days ago"),
            (None, "has expired"),
        ] {
            assert_eq!(CertificateFault::Expired { days }.to_string(), told);
        }
    }
}
