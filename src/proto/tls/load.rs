//! Certificates and keys out of PEM text, and what is made of them. Files are read by others.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use super::error::CertificateFault;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, InconsistentKeys, RootCertStore,
    ServerConfig, SignatureScheme, SupportedProtocolVersion,
};

/// What one can show to prove who one is: a certificate, with those that lead to its issuer, and its key.
#[derive(Debug)]
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
}

impl Identity {
    /// Reads the certificate, its own first, and the key, which may stand in one text.
    ///
    /// # Errors
    /// Where there is none, or what is there can't be read.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, Fault> {
        Ok(Self {
            chain: certificates(chain)?,
            key: private_key(key)?,
        })
    }

    /// What is wrong with the certificate's dates, for which whoever checks them refuses it at present.
    pub fn is_out_of_date(&self) -> Option<CertificateFault> {
        let (own, rest) = self.chain.split_first()?;
        // Whom it leads to is for its readers to judge; its dates are looked at first.
        let mut itself = RootCertStore::empty();
        itself.add(own.clone()).ok()?;
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(itself), provider());
        let name = ServerName::try_from("any.invalid").ok()?;
        let verifier = verifier.build().ok()?;
        let judged = verifier.verify_server_cert(own, rest, &name, &[], UnixTime::now());
        let Err(rustls::Error::InvalidCertificate(why)) = judged else {
            return None;
        };
        let fault = CertificateFault::from(why);
        let is_about_dates = matches!(
            fault,
            CertificateFault::Expired { .. } | CertificateFault::NotYetValid
        );
        is_about_dates.then_some(fault)
    }
}

/// The issuers whom one trusts.
#[derive(Debug)]
pub struct Roots(RootCertStore);

impl Roots {
    /// Reads them.
    ///
    /// # Errors
    /// Where there is none, or one can't be read.
    pub fn from_pem(text: &[u8]) -> Result<Self, Fault> {
        let mut store = RootCertStore::empty();
        for certificate in certificates(text)? {
            store
                .add(certificate)
                .map_err(|error| Fault::BadCertificate(error.to_string()))?;
        }
        Ok(Self(store))
    }

    /// Those whom this system trusts. Reads files.
    ///
    /// # Errors
    /// Where it trusts nobody, or can't say whom.
    pub fn of_system() -> Result<Self, Fault> {
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        // Some systems list an issuer or two that nobody can read; the others are still good.
        let (good, _) = store.add_parsable_certificates(found.certs);
        match found.errors.first() {
            _ if good > 0 => Ok(Self(store)),
            Some(error) => Err(Fault::NoSystemRoots(error.to_string())),
            None => Err(Fault::NoSystemRoots("none were found".to_owned())),
        }
    }
}

/// Whose certificates one accepts.
#[derive(Debug)]
pub enum Trust {
    /// Those that lead to one of these, and are for the name that was dialled.
    Roots(Roots),
    /// Anybody's. What is sent can be read by whoever stands between.
    Anyone,
}

/// What is wrong with a certificate, a key, or the two of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// There is no certificate in the text.
    NoCertificate,
    /// A certificate can't be read.
    BadCertificate(String),
    /// There is no private key in the text.
    NoKey,
    /// The private key is encrypted.
    EncryptedKey,
    /// The private key can't be read, or is of a kind that can't be used.
    BadKey(String),
    /// The key is another certificate's.
    KeyMismatch,
    /// This system trusts nobody.
    NoSystemRoots(String),
    /// Something else, in the library's words.
    Other(String),
}

impl Fault {
    /// Whether the key is to blame, rather than the certificate.
    pub fn is_about_key(&self) -> bool {
        matches!(
            self,
            Self::NoKey | Self::EncryptedKey | Self::BadKey(_) | Self::KeyMismatch
        )
    }
}

impl fmt::Display for Fault {
    /// A clause whose subject is the file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => {
                f.write_str("has no certificate: it takes PEM, -----BEGIN CERTIFICATE-----")
            }
            Self::BadCertificate(why) => write!(f, "has a certificate that can't be read ({why})"),
            Self::NoKey => {
                f.write_str("has no private key: it takes PEM, -----BEGIN PRIVATE KEY-----")
            }
            Self::EncryptedKey => {
                f.write_str("has an encrypted key: openssl pkey -in FILE -out PLAIN decrypts it")
            }
            Self::BadKey(why) => write!(f, "has a key that can't be used ({why})"),
            Self::KeyMismatch => f.write_str("has a key that does not match the certificate"),
            Self::NoSystemRoots(why) => {
                write!(f, "can't be told whom this system trusts ({why})")
            }
            Self::Other(why) => write!(f, "can't be used ({why})"),
        }
    }
}

impl Error for Fault {}

impl From<rustls::Error> for Fault {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Self::KeyMismatch,
            rustls::Error::InvalidCertificate(why) => Self::BadCertificate(bad(&why)),
            rustls::Error::General(why) => Self::BadKey(why),
            other => Self::Other(other.to_string()),
        }
    }
}

/// The library that does the arithmetic. Another one would be put here.
fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

pub(super) fn server(
    identity: Identity,
    clients: Option<Roots>,
) -> Result<Arc<ServerConfig>, Fault> {
    let provider = provider();
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(Fault::from)?;
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(Roots(store)) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), provider);
            let verifier = verifier.build();
            builder.with_client_cert_verifier(
                verifier.map_err(|error| Fault::Other(error.to_string()))?,
            )
        }
    };
    let config = builder.with_single_cert(identity.chain, identity.key)?;
    Ok(Arc::new(config))
}

pub(super) fn client(
    trust: Trust,
    identity: Option<Identity>,
    versions: &[&'static SupportedProtocolVersion],
) -> Result<Arc<ClientConfig>, Fault> {
    let provider = provider();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_protocol_versions(versions)
        .map_err(Fault::from)?;
    let builder = match trust {
        Trust::Roots(Roots(store)) => builder.with_root_certificates(store),
        Trust::Anyone => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Credulous(provider))),
    };
    let config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder.with_client_auth_cert(identity.chain, identity.key)?,
    };
    Ok(Arc::new(config))
}

fn certificates(text: &[u8]) -> Result<Vec<CertificateDer<'static>>, Fault> {
    let all: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| Fault::BadCertificate(why(&error)))?;
    match all.is_empty() {
        true => Err(Fault::NoCertificate),
        false => Ok(all),
    }
}

fn private_key(text: &[u8]) -> Result<PrivateKeyDer<'static>, Fault> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        pem::Error::NoItemsFound if is_encrypted(text) => Fault::EncryptedKey,
        pem::Error::NoItemsFound => Fault::NoKey,
        // RFC 1421's headers, which only encrypted keys have, are not even PEM to the library.
        _ if is_encrypted(text) => Fault::EncryptedKey,
        error => Fault::BadKey(why(&error)),
    })
}

/// What is wrong with the text, in words: the library shows lines as numbers.
fn why(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { end_marker } => {
            let marker = String::from_utf8_lossy(end_marker);
            let bare = marker.trim_matches(|letter: char| letter == '-' || letter.is_whitespace());
            let bare = bare.strip_prefix("END ").unwrap_or(bare);
            format!("-----END {bare}----- is missing")
        }
        pem::Error::IllegalSectionStart { .. } => {
            "a line that begins with -----BEGIN is broken".to_owned()
        }
        error => error.to_string(),
    }
}

fn is_encrypted(text: &[u8]) -> bool {
    let text = String::from_utf8_lossy(text);
    text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
}

fn bad(why: &CertificateError) -> String {
    why.to_string()
}

/// Takes every certificate for good; that the peer has its key is still proven.
#[derive(Debug)]
struct Credulous(Arc<CryptoProvider>);

impl ServerCertVerifier for Credulous {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
