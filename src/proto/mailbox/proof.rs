//! How a client proves that a name is its own, without showing the token that goes with it: HMAC-SHA-256 (RFC 2104,
//! FIPS 180-4) over a nonce of the hub's and the name.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::notice::hex;

/// Bytes of a nonce.
pub const NONCE_LEN: usize = 16;
/// Bytes of a proof.
pub const PROOF_LEN: usize = 32;

/// What the hub asks a proof for: drawn afresh for each connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Nonce(pub [u8; NONCE_LEN]);

impl Nonce {
    pub(super) fn write_hex(&self, out: &mut Vec<u8>) {
        hex(&self.0, out);
    }
}

/// The proof that whoever makes it has the token of `name`.
pub fn prove(token: &[u8], nonce: &Nonce, name: &[u8]) -> [u8; PROOF_LEN] {
    mac(token, nonce, name).finalize().into_bytes().into()
}

/// Whether a proof is right; how long that takes says nothing of where it is wrong.
pub fn verify(token: &[u8], nonce: &Nonce, name: &[u8], proof: &[u8; PROOF_LEN]) -> bool {
    mac(token, nonce, name).verify_slice(proof).is_ok()
}

fn mac(token: &[u8], nonce: &Nonce, name: &[u8]) -> Hmac<Sha256> {
    let mut text = b"hydrant hub 1\n".to_vec();
    nonce.write_hex(&mut text);
    text.push(b'\n');
    text.extend_from_slice(name);
    let mut mac = Hmac::<Sha256>::new_from_slice(token).expect("a key may have any length");
    mac.update(&text);
    mac
}
