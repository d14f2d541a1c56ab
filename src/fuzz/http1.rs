//! Heads of requests and responses: any bytes cut in several ways, and upgrades that are asked for and granted.

use std::net::IpAddr;

use crate::base::access::Access;
use crate::base::rng::Rng;
use crate::fuzz::script::Script;
use crate::proto::http1::{
    Answer, Ask, Fault, HEAD_MAX, HeadBuf, NONCE, Request, Response, Upgrade, client_address,
    connect_request, connected,
};

/// Reads the script as the head of a request and as that of a response, or asks for an upgrade of its making.
///
/// # Panics
/// When the pieces in which bytes come change what they mean, when a request that is accepted can be read in two ways,
/// when an answer can't be read, or when an upgrade is not understood by the other side as it was meant.
pub fn http1(data: &[u8]) {
    let mut script = Script::new(data);
    let mut rng = Rng::new(u64::from(script.take_u8()));
    if script.pick(4) == 0 {
        return check_upgrade(&mut script, &mut rng);
    }
    let bytes = script.take_rest();
    let at_once = collect(bytes, &mut || bytes.len());
    let longest = 1 + rng.below(bytes.len() as u64 + 1);
    for drawn in [
        collect(bytes, &mut || 1),
        collect(bytes, &mut || 1 + rng.below(longest) as usize),
    ] {
        assert_eq!(drawn.0.bytes(), at_once.0.bytes());
        assert_eq!(drawn.1, at_once.1);
    }
    let (head, end) = at_once;
    assert!(head.bytes().len() <= HEAD_MAX);
    match end {
        Ok(_) if head.is_complete() => {
            check_request(&head);
            check_response(&head);
        }
        Ok(taken) => assert_eq!(taken, bytes.len(), "nothing but an end stops it"),
        Err(fault) => check_answer(fault.into()),
    }
}

/// Feeds the bytes in pieces of the sizes drawn, and tells how many were taken.
fn collect(bytes: &[u8], size: &mut dyn FnMut() -> usize) -> (HeadBuf, Result<usize, Fault>) {
    let mut head = HeadBuf::new();
    let mut at = 0;
    while at < bytes.len() && !head.is_complete() {
        let end = bytes.len().min(at + size().max(1));
        match head.feed(&bytes[at..end]) {
            Ok(taken) => {
                assert!(taken == end - at || head.is_complete());
                at += taken;
            }
            Err(fault) => return (head, Err(fault)),
        }
    }
    (head, Ok(at))
}

fn check_request(head: &HeadBuf) {
    let request = match Request::parse(head) {
        Ok(request) => request,
        Err(fault) => return check_answer(fault.into()),
    };
    let fields = &request.fields;
    let count = |name: &str| fields.all(name).count();
    assert!(count("Host") <= 1 && count("Content-Length") <= 1);
    assert!(!fields.has("Transfer-Encoding"));
    assert_eq!(
        count("content-LENGTH") == 1,
        request.content_length.is_some()
    );
    assert!(request.host.is_some() || !request.is_1_1);
    assert!(request.path.starts_with('/') || request.path == "*");
    assert!(!request.path.contains(['?', ' ', '\r', '\n']));
    if let Ok(Some(token)) = request.bearer() {
        assert!(token.0.iter().all(u8::is_ascii_graphic));
        assert_eq!(count("Authorization"), 1);
    }
    let _ = request.origin();
    match Upgrade::of(&request, &["hydrant.mux.v1", "a"]) {
        Ok(upgrade) => {
            assert_eq!((request.method, request.without_body()), ("GET", Ok(())));
            assert_eq!(count("Sec-WebSocket-Key"), 1);
            let offered = |name| fields.lists("Sec-WebSocket-Protocol", name);
            assert!(upgrade.protocol().is_none_or(offered));
        }
        Err(fault) => check_answer(fault.into()),
    }
    let peer = IpAddr::from([10, 0, 0, 1]);
    assert_eq!(client_address(peer, fields, &Access::ALL), peer);
    let mut trusted = Access::ALL;
    trusted.push("10.0.0.0/8".parse().expect("a network"));
    let client = client_address(peer, fields, &trusted);
    assert!(client == peer || fields.has("X-Forwarded-For"));
}

fn check_response(head: &HeadBuf) {
    let Ok(response) = Response::parse(head) else {
        return;
    };
    let _ = (response.is_interim(), response.content_length());
    assert_eq!(
        connected(&response, None).is_ok(),
        response.status / 100 == 2
    );
    let ask = Ask {
        host: "a",
        path: "/",
        offered: &["a"],
        bearer: None,
        nonce: &[0; NONCE],
    };
    if ask.granted(&response).is_ok() {
        assert_eq!(response.status, 101);
    }
}

/// What we answer can be read: its length is that of its text.
fn check_answer(answer: Answer) {
    let bytes = answer.bytes();
    let (head, taken) = collect(&bytes, &mut || bytes.len());
    let taken = taken.expect("our own answer is in order");
    let response = Response::parse(&head).expect("our own answer is in order");
    assert!((400..600).contains(&response.status));
    assert_eq!(
        response.content_length(),
        Some((bytes.len() - taken) as u64)
    );
}

fn check_upgrade(script: &mut Script<'_>, rng: &mut Rng) {
    let nonce: [u8; NONCE] = std::array::from_fn(|_| rng.next() as u8);
    let offers: [&[&'static str]; 4] = [&[], &["a"], &["a", "hydrant.mux.v1"], &["hydrant.mux.v1"]];
    let offered = offers[script.pick(4)];
    let spoken = offers[script.pick(4)];
    let token: Vec<u8> = (0..script.pick(40)).map(|_| script.take_u8()).collect();
    let host: Vec<u8> = (0..script.pick(20)).map(|_| script.take_u8()).collect();
    let host = String::from_utf8_lossy(&host).into_owned();
    let path = String::from_utf8_lossy(script.take_rest()).into_owned();
    let _ = connect_request(&host, Some(&token));
    let ask = Ask {
        host: &host,
        path: &path,
        offered,
        bearer: (!token.is_empty()).then_some(&token[..]),
        nonce: &nonce,
    };
    let Ok(bytes) = ask.request() else { return };
    let (head, Ok(taken)) = collect(&bytes, &mut || 1) else {
        assert!(bytes.len() > HEAD_MAX, "only its length can be wrong");
        return;
    };
    assert_eq!(taken, bytes.len(), "a request ends where its head does");
    let Ok(request) = Request::parse(&head) else {
        return; // a host or a path of other characters than there can be
    };
    assert_eq!(
        request.bearer().ok().flatten().map(|token| token.0),
        ask.bearer
    );
    let upgrade = Upgrade::of(&request, spoken).expect("it was asked for by the rules");
    let chosen = spoken.iter().find(|name| offered.contains(name));
    assert_eq!(upgrade.protocol(), chosen.copied());
    let grant = upgrade.grant();
    let (head, taken) = collect(&grant, &mut || 3);
    assert_eq!(taken, Ok(grant.len()));
    let response = Response::parse(&head).expect("it was granted by the rules");
    assert_eq!(ask.granted(&response), Ok(chosen.copied()));
}
