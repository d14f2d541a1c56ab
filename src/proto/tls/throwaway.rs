//! A certificate that nobody has to trust: it signs itself, is made anew out of random bytes, and is for those who
//! measure, or try out, both sides of a connection on one machine. Ed25519 (RFC 8410), written down as DER (X.690).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::SignatureScheme;
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::PrivatePkcs8KeyDer;

use super::load::Fault;

/// A certificate for `localhost` that never expires, and behind it its private key, in PEM. `seed` is all that is
/// secret of it.
///
/// # Errors
/// Where the library can't sign by such a key.
pub fn throwaway(seed: [u8; 32]) -> Result<String, Fault> {
    // OneAsymmetricKey: version 0, the algorithm, and the seed as an octet string within an octet string.
    let secret = der(OCTETS, &[&der(OCTETS, &[&seed])]);
    let key = der(SEQUENCE, &[&der(INTEGER, &[&[0]]), &algorithm(), &secret]);
    let signing = any_eddsa_type(&PrivatePkcs8KeyDer::from(key.clone()))?;
    let (public, signer) = signing
        .public_key()
        .zip(signing.choose_scheme(&[SignatureScheme::ED25519]))
        .ok_or_else(|| Fault::Other("Ed25519 is not supported".to_owned()))?;
    let content = to_be_signed(&public);
    let signature = signer.sign(&content)?;
    let signature = der(BITS, &[&[0], &signature]);
    let certificate = der(SEQUENCE, &[&content, &algorithm(), &signature]);
    Ok(pem("CERTIFICATE", &certificate) + &pem("PRIVATE KEY", &key))
}

/// RFC 5280 4.1: TBSCertificate.
fn to_be_signed(public: &[u8]) -> Vec<u8> {
    let version = der(VERSION, &[&der(INTEGER, &[&[2]])]);
    let serial = der(INTEGER, &[&[1]]);
    let name = [&der(OBJECT, &[COMMON_NAME])[..], &der(UTF8, &[NAME])].concat();
    let name = der(SEQUENCE, &[&der(SET, &[&der(SEQUENCE, &[&name])])]);
    let (from, to) = (der(UTC_TIME, &[EPOCH]), der(GENERALIZED_TIME, &[NEVER]));
    let names = der(SEQUENCE, &[&der(DNS_NAME, &[NAME])]);
    let names = [
        &der(OBJECT, &[SUBJECT_ALT_NAME])[..],
        &der(OCTETS, &[&names]),
    ]
    .concat();
    let extensions = der(EXTENSIONS, &[&der(SEQUENCE, &[&der(SEQUENCE, &[&names])])]);
    let validity = der(SEQUENCE, &[&from, &to]);
    let all: [&[u8]; 8] = [
        &version,
        &serial,
        &algorithm(),
        &name,
        &validity,
        &name,
        public,
        &extensions,
    ];
    der(SEQUENCE, &all)
}

fn algorithm() -> Vec<u8> {
    der(SEQUENCE, &[&der(OBJECT, &[ED25519])])
}

/// A value of DER: its tag, how long its parts are together, and they.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..0x80 => out.push(len as u8),
        0x80..0x100 => out.extend([0x81, len as u8]),
        _ => {
            let len = u16::try_from(len).expect("nothing here is as long as that");
            out.push(0x82);
            out.extend(len.to_be_bytes());
        }
    }
    out.extend(parts.concat());
    out
}

/// RFC 7468.
fn pem(label: &str, bytes: &[u8]) -> String {
    let text = STANDARD.encode(bytes);
    let mut out = format!("-----BEGIN {label}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.extend(line.iter().map(|byte| char::from(*byte)));
        out.push('\n');
    }
    out + &format!("-----END {label}-----\n")
}

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OCTETS: u8 = 0x04;
const OBJECT: u8 = 0x06;
const UTF8: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
/// RFC 5280 4.1 and 4.2.1.6: the tags of a field are its own.
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
const DNS_NAME: u8 = 0x82;
/// 1.3.101.112
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
/// 2.5.4.3
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const NAME: &[u8] = b"localhost";
const EPOCH: &[u8] = b"700101000000Z";
/// RFC 5280 4.1.2.5: no well-defined end.
const NEVER: &[u8] = b"99991231235959Z";

#[cfg(test)]
mod tests {
    use super::super::{Acceptor, Connector, Identity, Roots, Trust};
    use super::*;

    #[test]
    fn whoever_trusts_it_believes_it_and_nobody_elses() {
        let texts = [[7; 32], [8; 32]].map(|seed| throwaway(seed).expect("it can be signed"));
        let identity = |text: &String| {
            Identity::from_pem(text.as_bytes(), text.as_bytes()).expect("it is well-formed")
        };
        let acceptor = Acceptor::new(identity(&texts[0]), None).expect("the key is its own");
        for (trusted, believed) in [(&texts[0], true), (&texts[1], false)] {
            let roots = Roots::from_pem(trusted.as_bytes()).expect("it is well-formed");
            let connector = Connector::new(Trust::Roots(roots), None).expect("it is usable");
            let mut client = connector.session("localhost").expect("a name");
            let mut server = acceptor.session().expect("a session");
            let mut refused = false;
            while client.is_handshaking() && !refused {
                for turn in 0..2 {
                    let (from, to) = match turn {
                        0 => (&mut client, &mut server),
                        _ => (&mut server, &mut client),
                    };
                    let mut bytes = Vec::new();
                    while from.wants_send() {
                        let sent = from.send(|slices| {
                            let all = slices.iter().map(|slice| bytes.extend_from_slice(slice));
                            all.count();
                            Ok(slices.iter().map(|slice| slice.len()).sum())
                        });
                        sent.expect("a vector takes all");
                    }
                    refused |= to.feed(&bytes).is_err();
                }
            }
            assert_eq!(refused, !believed, "{:?}", client.error());
        }
    }
}
