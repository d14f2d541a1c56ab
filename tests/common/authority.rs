//! Who issues certificates to the two sides of a test.

use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519, date_time_ymd,
};

/// An issuer of certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its key, in PEM.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Authority {
    /// One that nobody else trusts.
    pub(crate) fn new() -> Self {
        // Issuers are looked up by their names.
        static MADE: AtomicU32 = AtomicU32::new(0);
        Self::named(&format!(
            "authority {}",
            MADE.fetch_add(1, Ordering::Relaxed)
        ))
    }

    /// One of this name, with a key of its own.
    pub(crate) fn named(name: &str) -> Self {
        let mut params = params(&[]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let issuer = CertifiedIssuer::self_signed(params, key());
        Self(issuer.expect("an authority can sign its own certificate"))
    }

    /// Its own certificate, in PEM: what those need who trust it.
    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for these names and addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.sign(params(names), key())
    }

    /// One whose key OpenSSL 3.0 can read too: of an Ed25519 key it does not know the form that has both halves.
    pub(crate) fn issue_p256(&self, names: &[&str]) -> Issued {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256);
        self.sign(params(names), key.expect("there is randomness"))
    }

    /// One whose time ended with the year 2000.
    pub(crate) fn issue_expired(&self, names: &[&str]) -> Issued {
        let mut params = params(names);
        params.not_before = date_time_ymd(1999, 1, 1);
        params.not_after = date_time_ymd(2000, 12, 31);
        self.sign(params, key())
    }

    /// One whose time is yet to come.
    pub(crate) fn issue_early(&self, names: &[&str]) -> Issued {
        let mut params = params(names);
        params.not_before = date_time_ymd(4000, 1, 1);
        self.sign(params, key())
    }

    /// One that others may be issued with, for these names all the same.
    pub(crate) fn issue_issuers(&self, names: &[&str]) -> Issued {
        let mut params = params(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.sign(params, key())
    }

    fn sign(&self, params: CertificateParams, key: KeyPair) -> Issued {
        let certificate = params.signed_by(&key, &self.0);
        Issued {
            certificate: certificate.expect("what is asked for can be signed").pem(),
            key: key.serialize_pem(),
        }
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("they are names and addresses")
}

/// Ed25519: its signatures all have one length.
fn key() -> KeyPair {
    KeyPair::generate_for(&PKCS_ED25519).expect("there is randomness")
}
