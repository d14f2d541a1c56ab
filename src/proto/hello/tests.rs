//! Both sides against each other, and messages made by hand.

use proptest::prelude::*;

use super::*;
use crate::base::secret::Secret;

const TOKEN: &[u8] = b"a token of some length";

fn hello(name: Option<&str>) -> Hello {
    Hello {
        name: name.map(|name| name.parse().expect("a good name")),
        port: 7003,
        client_address: true,
    }
}

fn secret(token: &[u8]) -> Secret {
    token.to_vec().into()
}

fn ask(token: Option<&[u8]>) -> (Asking, Vec<u8>) {
    Asking::new(&hello(Some("web")), [1; NONCE_LEN], token.map(secret))
}

fn hear(serving: &mut Serving, mut bytes: &[u8]) -> Result<Option<Asked>, (Code, Malformed)> {
    let asked = serving.feed(&mut bytes);
    assert!(asked.is_err() || bytes.is_empty());
    asked
}

fn answer(asking: &mut Asking, mut bytes: &[u8]) -> Result<Option<Answer>, Fault> {
    asking.feed(&mut bytes)
}

fn proof(asking: &mut Asking, challenge: &[u8]) -> Vec<u8> {
    match answer(asking, challenge) {
        Ok(Some(Answer::Prove(proof))) => proof,
        other => panic!("{other:?}"),
    }
}

#[test]
fn with_a_token_each_side_proves_itself_to_the_other() {
    let (mut asking, bytes) = ask(Some(TOKEN));
    let mut serving = Serving::new();
    assert_eq!(
        hear(&mut serving, &bytes),
        Ok(Some(Asked::Hello(hello(Some("web")))))
    );
    let challenge = serving.challenge([2; NONCE_LEN], true);
    let proof = proof(&mut asking, &challenge);
    assert_eq!(hear(&mut serving, &proof), Ok(Some(Asked::Proof)));
    assert_eq!(serving.verify(b"another token of 16"), Proven::No);
    assert_eq!(serving.verify(TOKEN), Proven::Yes);
    let accept = serving.accept(TOKEN, "relay.example:7003", 10, true);
    let accepted = Answer::Accepted {
        public: "relay.example:7003".to_owned(),
        linger_secs: 10,
        client_address: true,
    };
    assert_eq!(answer(&mut asking, &accept), Ok(Some(accepted)));
}

#[test]
fn without_tokens_nothing_is_proven_and_all_else_is_the_same() {
    let (mut asking, bytes) = Asking::new(&hello(None), [1; NONCE_LEN], None);
    let mut serving = Serving::new();
    assert_eq!(
        hear(&mut serving, &bytes),
        Ok(Some(Asked::Hello(hello(None))))
    );
    let challenge = serving.challenge([2; NONCE_LEN], false);
    let proof = proof(&mut asking, &challenge);
    assert_eq!(proof.len(), 7 + 3, "its mac is empty");
    hear(&mut serving, &proof).expect("a good proof");
    assert_eq!(serving.verify(TOKEN), Proven::NotAsked);
    let accept = serving.accept(b"", "127.0.0.1:7001", 0, false);
    let accepted = answer(&mut asking, &accept);
    assert!(matches!(accepted, Ok(Some(Answer::Accepted { .. }))));
}

/// By hand, after the description in the module's head.
#[test]
fn the_messages_are_what_they_are_said_to_be() {
    let (mut asking, bytes) = ask(Some(TOKEN));
    let mut expected = b"HYD\x01\x01\x00\x37".to_vec();
    expected.extend(b"\x01\x00\x01\x01");
    expected.extend(b"\x02\x00\x20");
    expected.extend([1; 32]);
    expected.extend(b"\x03\x00\x03web");
    expected.extend(b"\x04\x00\x02\x1b\x5b");
    expected.extend(b"\x05\x00\x01\x01");
    expected[6] = (expected.len() - 7) as u8;
    assert_eq!(bytes, expected);

    let mut serving = Serving::new();
    hear(&mut serving, &bytes).expect("a good hello");
    let challenge = serving.challenge([2; NONCE_LEN], true);
    let proof = proof(&mut asking, &challenge);
    assert_eq!(proof[..10], *b"HYD\x01\x03\x00\x23\x07\x00\x20");

    use hmac::{KeyInit, Mac};
    let mut mac = hmac::Hmac::<sha2::Sha256>::new_from_slice(TOKEN).expect("a key");
    mac.update(b"hydrant tunnel 1 backend\0");
    mac.update(&bytes);
    mac.update(&challenge);
    mac.update(b"HYD\x01\x03\x00\x23");
    assert_eq!(proof[10..], *mac.finalize().into_bytes());
}

#[test]
fn a_backend_with_a_token_trusts_nobody_who_does_not_hold_it() {
    let (mut asking, bytes) = ask(Some(TOKEN));
    let mut serving = Serving::new();
    hear(&mut serving, &bytes).expect("a good hello");
    let challenge = serving.challenge([2; NONCE_LEN], false);
    let ended = answer(&mut asking, &challenge);
    assert_eq!(ended, Err(Fault::NoProofAsked));

    let (mut asking, bytes) = ask(Some(TOKEN));
    let mut serving = Serving::new();
    hear(&mut serving, &bytes).expect("a good hello");
    let challenge = serving.challenge([2; NONCE_LEN], true);
    let proof = proof(&mut asking, &challenge);
    hear(&mut serving, &proof).expect("a good proof");
    let accept = serving.accept(b"what it guesses to be", "127.0.0.1:1", 0, false);
    assert_eq!(answer(&mut asking, &accept), Err(Fault::Imposter));
}

#[test]
fn a_backend_without_a_token_says_that_it_needs_one() {
    let (mut asking, bytes) = ask(None);
    let mut serving = Serving::new();
    hear(&mut serving, &bytes).expect("a good hello");
    let challenge = serving.challenge([2; NONCE_LEN], true);
    assert_eq!(answer(&mut asking, &challenge), Err(Fault::NoToken));
}

#[test]
fn no_byte_that_is_signed_can_be_changed() {
    let run = |spoil: Option<usize>| {
        let (mut asking, mut bytes) = ask(Some(TOKEN));
        let mut serving = Serving::new();
        // A byte of the nonce, the name, the port or the features changes on its way.
        if let Some(at) = spoil {
            bytes[at] ^= 1;
        }
        hear(&mut serving, &bytes).expect("it is well formed still");
        let challenge = serving.challenge([2; NONCE_LEN], true);
        let proof = proof(&mut asking, &challenge);
        hear(&mut serving, &proof).expect("a good proof");
        serving.verify(TOKEN)
    };
    assert_eq!(run(None), Proven::Yes);
    for at in [14, 45, 49, 55, 60] {
        assert_eq!(run(Some(at)), Proven::No, "byte {at}");
    }
}

#[test]
fn a_refusal_says_why() {
    let (mut asking, _) = ask(Some(TOKEN));
    let refused = Answer::Refused {
        code: Code::NameInUse,
        text: "web is taken".to_owned(),
    };
    let bytes = refuse(Code::NameInUse, "web is taken");
    assert_eq!(answer(&mut asking, &bytes), Ok(Some(refused)));
    for code in 0..=255 {
        assert_eq!(Code::of(code).get(), code);
    }
}

/// A hello made of these fields.
fn made(fields: &[(u8, &[u8])]) -> Vec<u8> {
    let mut bytes = b"HYD\x01\x01\x00\x00".to_vec();
    for (tag, value) in fields {
        bytes.push(*tag);
        bytes.extend((value.len() as u16).to_be_bytes());
        bytes.extend_from_slice(value);
    }
    let length = (bytes.len() - 7) as u16;
    bytes[5..7].copy_from_slice(&length.to_be_bytes());
    bytes
}

const GOOD: [(u8, &[u8]); 4] = [(1, &[1]), (2, &[9; 32]), (4, &[0, 0]), (5, &[0])];

fn refused(bytes: &[u8]) -> (Code, Malformed) {
    match Serving::new().feed(&mut &bytes[..]) {
        Err(refused) => refused,
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_tags_are_skipped_and_any_version_but_ours_too() {
    let mut fields = GOOD.to_vec();
    fields[0] = (1, &[7, 1]);
    fields.push((200, b"what the future brings"));
    let asked = Serving::new().feed(&mut &made(&fields)[..]);
    assert!(matches!(asked, Ok(Some(Asked::Hello(_)))), "{asked:?}");
    fields[0] = (1, &[7, 2]);
    let code = refused(&made(&fields)).0;
    assert_eq!(code, Code::Version);
}

#[test]
fn every_rule_of_a_message_has_its_refusal() {
    let with = |field: (u8, &'static [u8])| {
        let mut fields = GOOD.to_vec();
        fields.push(field);
        made(&fields)
    };
    let without = |at: usize| {
        let mut fields = GOOD.to_vec();
        fields.remove(at);
        made(&fields)
    };
    let mut past_the_end = made(&GOOD);
    let last = past_the_end.len() - 2;
    past_the_end[last] = 9;
    let cases = [
        (Malformed::NotHello, b"HTTP".to_vec()),
        (Malformed::NotHello, b"HYD\x02".to_vec()),
        (Malformed::Type(9), b"HYD\x01\x09".to_vec()),
        (Malformed::Type(3), b"HYD\x01\x03\x00\x00".to_vec()),
        (Malformed::TooLong(1025), b"HYD\x01\x01\x04\x01".to_vec()),
        (Malformed::FieldTooLong(5), past_the_end),
        (Malformed::Missing(1), without(0)),
        (Malformed::Missing(2), without(1)),
        (Malformed::Missing(4), without(2)),
        (Malformed::Missing(5), without(3)),
        (Malformed::Twice(4), with((4, &[0, 0]))),
        (Malformed::Value(3), with((3, b"Web"))),
        (Malformed::Value(3), with((3, b""))),
        (Malformed::Value(3), with((3, &[b'a'; 64]))),
    ];
    for (why, bytes) in cases {
        assert_eq!(refused(&bytes), (Code::Malformed, why), "{bytes:02x?}");
    }
    let mut serving = Serving::new();
    hear(&mut serving, &made(&GOOD)).expect("a good hello");
    serving.challenge([0; NONCE_LEN], true);
    let behind = b"HYD\x01\x03\x00\x07\x07\x00\x00\x08\x00\x01x";
    let ended = serving.feed(&mut &behind[..]);
    assert_eq!(ended, Err((Code::Malformed, Malformed::BehindMac)));
}

#[test]
fn what_follows_a_message_is_left_alone() {
    let mut bytes = made(&GOOD);
    bytes.extend(b"yamux");
    let mut rest = &bytes[..];
    assert!(Serving::new().feed(&mut rest).is_ok());
    assert_eq!(rest, b"yamux");
}

proptest! {
    #[test]
    fn where_a_message_is_split_makes_no_difference(at in 0usize..60) {
        let bytes = made(&GOOD);
        let at = at.min(bytes.len() - 1);
        let mut serving = Serving::new();
        prop_assert_eq!(serving.feed(&mut &bytes[..at]), Ok(None));
        let asked = serving.feed(&mut &bytes[at..]);
        prop_assert!(matches!(asked, Ok(Some(Asked::Hello(_)))));
    }

    #[test]
    fn garbage_is_no_more_than_malformed(mut bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Serving::new().feed(&mut &bytes[..]);
        let length = bytes.len().saturating_sub(7) as u16;
        if bytes.len() >= 7 {
            bytes[..5].copy_from_slice(b"HYD\x01\x01");
            bytes[5..7].copy_from_slice(&length.to_be_bytes());
        }
        let _ = Serving::new().feed(&mut &bytes[..]);
        let (mut asking, _) = ask(None);
        if bytes.len() >= 7 {
            bytes[4] = 2;
        }
        let _ = asking.feed(&mut &bytes[..]);
    }
}
