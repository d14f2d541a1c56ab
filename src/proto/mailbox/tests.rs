//! The examples of the protocol, its rules at their edges, and that words read back as they were written.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// What a stream means, in one string a piece; bodies are joined.
fn told(mut reader: Reader, pieces: &[&[u8]]) -> Result<Vec<String>, Fault> {
    let mut told = Vec::new();
    let mut body = Vec::new();
    for bytes in pieces {
        let mut rest = *bytes;
        loop {
            let (took, piece) = reader.feed(rest)?;
            rest = &rest[took..];
            match piece {
                None => break,
                Some(Piece::Envelope) => told.push("envelope".to_owned()),
                Some(Piece::Name(name)) => told.push(format!("name {}", name.escape_ascii())),
                Some(Piece::Head { name, len }) => {
                    told.push(format!("{} {len}", name.escape_ascii()));
                }
                Some(Piece::Body { bytes, last }) => {
                    body.extend_from_slice(bytes);
                    if last {
                        told.push(format!("= {}", body.escape_ascii()));
                        body.clear();
                    }
                }
            }
        }
        assert!(rest.is_empty());
    }
    Ok(told)
}

fn of_client(bytes: &[u8]) -> Result<Vec<String>, Fault> {
    told(Reader::of_client(1000), &[bytes])
}

/// A head to `b`, with these digits.
fn length(digits: &str) -> Result<Vec<String>, Fault> {
    of_client(format!("a|b|{digits}|").as_bytes())
}

#[test]
fn a_client_says_its_name_and_then_sends() {
    assert_eq!(
        of_client(b"device_a|device_b|5|hello|3|whodevice_a|0|x|2|||").unwrap(),
        [
            "name device_a",
            "device_b 5",
            "= hello",
            " 3",
            "= who",
            "device_a 0",
            "= ",
            "x 2",
            "= ||"
        ]
    );
    assert_eq!(
        of_client(b"|8|envelope8|b|3|a|b").unwrap(),
        ["envelope", "name 8", "b 3", "= a|b"]
    );
}

#[test]
fn a_hub_begins_with_a_message() {
    let reader = Reader::of_hub(u64::MAX);
    assert_eq!(
        told(reader, &[b"|2|okb|0|b|1|", b"!"]).unwrap(),
        [" 2", "= ok", "b 0", "= ", "b 1", "= !"]
    );
}

#[test]
fn what_is_no_opening_is_a_fault() {
    for bytes in [
        "||",
        "|x",
        "|8|envelop|",
        "|8|Envelope",
        "|08|envelope",
        "|9",
    ] {
        assert_eq!(of_client(bytes.as_bytes()), Err(Fault::Opening), "{bytes}");
    }
    assert_eq!(of_client(b"|8|envelop").unwrap(), [""; 0]);
    for bytes in ["|8|envelope|", "|8|envelope|8|envelopea|"] {
        let empty = Err(Fault::Name(NameFault::Empty));
        assert_eq!(of_client(bytes.as_bytes()), empty, "{bytes}");
    }
}

#[test]
fn names_are_checked_at_their_edges() {
    let name = |name: &[u8]| of_client(&[name, b"|"].concat()).map(|told| told.len());
    assert_eq!(name(&[b'x'; 255]), Ok(1));
    let too_long = Fault::Name(NameFault::TooLong);
    assert_eq!(name(&[b'x'; 256]), Err(too_long));
    assert_eq!(of_client(&[b'x'; 255]), Ok(vec![]));
    assert_eq!(of_client(&[b'x'; 256]), Err(too_long), "with no bar at all");
    assert_eq!(name(b"two words"), Ok(1));
    assert_eq!(name("gr\u{fc}n".as_bytes()), Ok(1));
    assert_eq!(name(b"\xff"), Ok(1));
    for bad in [&b" a"[..], b"a ", b" "] {
        assert_eq!(name(bad), Err(Fault::Name(NameFault::Space)), "{bad:?}");
    }
    for bad in [&b"a\n"[..], b"\0", b"a\x7fb", b"\x1b[2J"] {
        assert_eq!(name(bad), Err(Fault::Name(NameFault::Control)), "{bad:?}");
    }
    assert_eq!(check_name(b""), Err(NameFault::Empty));
    assert_eq!(check_name(b"a|b"), Err(NameFault::Bar));
}

#[test]
fn lengths_are_checked_at_their_edges() {
    for (digits, len) in [
        ("0", 0),
        ("7", 7),
        ("1000", 1000),
        ("00000000000000000005", 5),
        ("00000000000000000000", 0),
    ] {
        let said = [format!("name {}", "a"), format!("b {len}")];
        assert_eq!(length(digits).unwrap()[..2], said, "{digits}");
    }
    let max = 1000;
    assert_eq!(length("1001"), Err(Fault::TooLong { len: 1001, max }));
    let most = u64::MAX;
    for digits in ["18446744073709551615", "99999999999999999999"] {
        assert_eq!(length(digits), Err(Fault::TooLong { len: most, max }));
    }
    assert_eq!(length("000000000000000000005"), Err(Fault::TooManyDigits));
    assert_eq!(
        of_client(b"a|b|000000000000000000000"),
        length(&"0".repeat(21))
    );
    assert_eq!(length(""), Err(Fault::NoLength));
    for (digits, wrong) in [
        ("+5", b'+'),
        ("-1", b'-'),
        (" 5", b' '),
        ("5 ", b' '),
        ("0x5", b'x'),
        ("5\n", b'\n'),
    ] {
        assert_eq!(length(digits), Err(Fault::NotDigit(wrong)), "{digits:?}");
    }
}

#[test]
fn a_message_may_be_for_whatever_a_name_could_be_long() {
    let to = |dest: &[u8]| of_client(&[b"a|", dest, b"|0|"].concat()).map(|told| told.len());
    assert_eq!(to(&[b'x'; 255]), Ok(3));
    assert_eq!(to(&[b'x'; 256]), Err(Fault::HeadTooLong));
    assert_eq!(to(b" \n"), Ok(3), "nobody is called so, and nobody minds");
    let no_bar = of_client(&[&b"a|"[..], &[b'x'; 256]].concat());
    assert_eq!(no_bar, Err(Fault::HeadTooLong));
}

#[test]
fn nothing_is_held_but_a_head() {
    let mut reader = Reader::of_client(u64::MAX);
    let opening = b"|8|envelopea|b|18446744073709551615|xyz";
    for byte in opening.chunks(1) {
        let mut rest = byte;
        while let (took, Some(_)) = reader.feed(rest).unwrap() {
            rest = &rest[took..];
        }
    }
    assert!(reader.is_within_message());
    let debug = format!("{reader:?}");
    assert!(
        debug.contains(&format!("left: {}", u64::MAX - 3)),
        "{debug}"
    );
}

#[test]
fn faults_say_what_is_wrong() {
    for (fault, text) in [
        (Fault::Opening, "no name in front of the first |"),
        (
            Fault::Name(NameFault::TooLong),
            "the name is longer than 255 bytes",
        ),
        (Fault::HeadTooLong, "no | within 256 bytes of a head"),
        (Fault::NotDigit(b'\n'), "LENGTH has '\\n' in it"),
        (Fault::TooManyDigits, "LENGTH has more than 20 digits"),
        (Fault::TooLong { len: 9, max: 8 }, "LENGTH 9 is above 8"),
    ] {
        assert_eq!(fault.to_string(), text);
    }
}

#[test]
fn a_proof_is_what_the_rule_says() {
    let nonce = Nonce(std::array::from_fn(|at| at as u8));
    let proof = prove(b"correct horse battery", &nonce, b"device_a");
    let mut said = Vec::new();
    Request::Proof(proof).write(&mut said);
    // By another implementation: Python's hmac.
    let expected = "proof a07950727d2bb87bf735609755e502552c03cd119ca8bfc20379c1e56b0226f2";
    assert_eq!(said, expected.as_bytes());
    assert_eq!(said.len(), Request::LEN_MAX);
    assert!(verify(
        b"correct horse battery",
        &nonce,
        b"device_a",
        &proof
    ));
    let mut other = proof;
    other[31] ^= 1;
    assert!(!verify(
        b"correct horse battery",
        &nonce,
        b"device_a",
        &other
    ));
    assert!(!verify(
        b"correct horse battery",
        &nonce,
        b"device_b",
        &proof
    ));
    assert!(!verify(b"another token", &nonce, b"device_a", &proof));
    assert!(!verify(
        b"correct horse battery",
        &Nonce([0; 16]),
        b"device_a",
        &proof
    ));
}

#[test]
fn requests_that_are_none_mean_nothing() {
    let zeros = "0".repeat(64);
    for wrong in [
        String::new(),
        "whose".to_owned(),
        "WHO".to_owned(),
        "who\n".to_owned(),
        format!("proof {}", &zeros[1..]),
        format!("proof {zeros}0"),
        format!("proof {}A", &zeros[1..]),
        format!("proof {}g", &zeros[1..]),
        zeros,
    ] {
        assert_eq!(Request::read(wrong.as_bytes()), None, "{wrong}");
    }
    assert_eq!(Request::read(b"who"), Some(Request::Who));
}

#[test]
fn the_hub_is_understood() {
    assert_eq!(Notice::read(b"ok"), Some(Notice::Ok));
    assert_eq!(
        Notice::read(b"refused full"),
        Some(Notice::Refused(b"full"))
    );
    assert_eq!(Notice::read(b"nonce 00"), None);
    assert_eq!(Notice::read(b"whoever"), None);
    assert_eq!(Notice::read(b"okay"), None);
    let names = |bytes: &'static [u8]| match Notice::read(bytes) {
        Some(Notice::Who(names)) => names.collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(names(b"who"), [b""; 0]);
    assert_eq!(names(b"who\na\nb c"), [&b"a"[..], b"b c"]);
    assert_eq!(names(b"who\nz\n"), [b"z"], "the last of several");
}

proptest! {
    #[test]
    fn what_is_written_reads_back(
        name in "[a-z ]{1,300}", body in vec(any::<u8>(), 0..300), cut in 0usize..700,
    ) {
        let mut bytes = Vec::new();
        write_message(name.as_bytes(), &body, &mut bytes);
        let (first, second) = bytes.split_at(cut.min(bytes.len()));
        let read = told(Reader::of_hub(300), &[first, second]);
        if name.len() > NAME_MAX {
            prop_assert_eq!(read, Err(Fault::HeadTooLong));
        } else {
            let said = vec![format!("{name} {}", body.len()), format!("= {}", body.escape_ascii())];
            prop_assert_eq!(read, Ok(said));
        }
        let mut opening = Vec::new();
        write_opening(name.as_bytes(), cut % 2 == 0, &mut opening);
        match check_name(name.as_bytes()) {
            Ok(()) => {
                let told = of_client(&opening).unwrap();
                prop_assert_eq!(told.last().unwrap(), &format!("name {name}"));
                prop_assert_eq!(told.len(), 2 - cut % 2);
            }
            Err(_) => prop_assert!(of_client(&opening).is_err()),
        }
    }

    #[test]
    fn notices_and_requests_read_back(nonce in any::<[u8; 16]>(), proof in any::<[u8; 32]>(), reason in "[a-z-]{0,9}") {
        let mut bytes = Vec::new();
        for request in [Request::Who, Request::Proof(proof)] {
            bytes.clear();
            request.write(&mut bytes);
            prop_assert_eq!(Request::read(&bytes), Some(request));
        }
        let who = Notice::read(b"who\na\nb").unwrap();
        for notice in [Notice::Ok, Notice::Nonce(Nonce(nonce)), Notice::Refused(reason.as_bytes()), who] {
            let mut bytes = Vec::new();
            notice.write(&mut bytes);
            prop_assert_eq!(Notice::read(&bytes), Some(notice));
        }
    }
}
