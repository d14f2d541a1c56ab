//! What may stand in a head, field by field, and what is answered where it may not.

use std::net::IpAddr;

use super::*;
use crate::base::access::Access;

fn head(text: &str) -> Result<HeadBuf, Fault> {
    let mut head = HeadBuf::new();
    let taken = head.feed(text.as_bytes())?;
    assert_eq!(taken, text.len(), "{text:?}");
    assert!(head.is_complete(), "{text:?}");
    Ok(head)
}

/// A request with this first line and these fields, which are separated by `|`.
fn parsed<T>(line: &str, fields: &str, look: impl FnOnce(Request<'_>) -> T) -> Result<T, Fault> {
    let fields: String = fields
        .split('|')
        .filter(|field| !field.is_empty())
        .map(|field| format!("{field}\r\n"))
        .collect();
    let head = head(&format!("{line}\r\n{fields}\r\n"))?;
    Request::parse(&head).map(look)
}

fn fault(line: &str, fields: &str) -> Option<Fault> {
    parsed(line, fields, |_| ()).err()
}

#[test]
fn a_request_is_taken_apart() {
    let checked = parsed(
        "GET /client/a%20b?x=1?2 HTTP/1.1",
        "host: relay.example:8080|Authorization: bearer s3cret|Content-Length: 0|X: a, b|x:,c ,",
        |request| {
            assert_eq!(
                (request.method, request.path, request.query),
                ("GET", "/client/a%20b", Some("x=1?2"))
            );
            assert_eq!(request.host, Some("relay.example:8080"));
            assert_eq!(request.bearer(), Ok(Some(Bearer(b"s3cret"))));
            assert_eq!(request.without_body(), Ok(()));
            assert_eq!(
                request.fields.list("x").collect::<Vec<_>>(),
                ["a", "b", "c"]
            );
            assert!(!format!("{request:?}").contains("s3cret"));
        },
    );
    assert_eq!(checked, Ok(()));
}

#[test]
fn a_url_as_target_names_the_host() {
    let host = |target: &str, fields: &str| {
        parsed(&format!("GET {target} HTTP/1.1"), fields, |request| {
            format!("{} {}", request.host.unwrap(), request.path)
        })
    };
    let same = Ok("A.example:80 /".to_owned());
    assert_eq!(host("ws://A.example:80", "Host: a.example:80"), same);
    let path = Ok("a.example /x".to_owned());
    assert_eq!(host("http://a.example/x?y", "Host: A.EXAMPLE"), path);
    assert_eq!(
        host("http://a.example/", "Host: b.example"),
        Err(Fault::OtherHost)
    );
    for target in [
        "x",
        "a.example:80",
        "ftp://a/",
        "http:///x",
        "http://u@a/",
        "http://a b/",
    ] {
        assert!(host(target, "Host: a").is_err(), "{target}");
    }
}

/// Requests that two readers may understand in two ways, or that no reader here needs.
#[test]
fn what_is_ambiguous_is_refused() {
    const GET: &str = "GET / HTTP/1.1";
    let field = |field| Some(Fault::BadField { field });
    let twice = |field| Some(Fault::Twice { field });
    let cases = [
        ("", Some(Fault::NoHost)),
        ("Host: a|Host: a", twice("Host")),
        ("Host: ", field("Host")),
        ("Host: a b", field("Host")),
        ("Host: a/b", field("Host")),
        ("Host: u@a", field("Host")),
        ("Host: a,b", field("Host")),
        (
            "Host: a|Content-Length: 5|Content-Length: 5",
            twice("Content-Length"),
        ),
        ("Host: a|Content-Length: 5, 5", field("Content-Length")),
        ("Host: a|Content-Length: +5", field("Content-Length")),
        ("Host: a|Content-Length: ", field("Content-Length")),
        ("Host: a|Content-Length: 0x5", field("Content-Length")),
        (
            "Host: a|Content-Length: 99999999999999999999",
            field("Content-Length"),
        ),
        (
            "Host: a|Transfer-Encoding: chunked",
            Some(Fault::TransferEncoding),
        ),
        (
            "Host: a|Transfer-Encoding: identity",
            Some(Fault::TransferEncoding),
        ),
        (
            "Host: a|Content-Length: 5|Transfer-Encoding: chunked",
            field("Content-Length"),
        ),
        ("Host: a|X : b", Some(Fault::Malformed)),
        ("Host: a| folded", Some(Fault::Malformed)),
        ("Host: a|no colon", Some(Fault::Malformed)),
        ("Host: a|X: \0", Some(Fault::Malformed)),
        ("Host: a|X: a\rb", Some(Fault::LineEnd)),
        ("Host: a|X: a\nb: c", Some(Fault::LineEnd)),
        ("Host: a", None),
        ("Host: [::1]:80|Content-Length: 5", None),
    ];
    for (fields, expected) in cases {
        assert_eq!(fault(GET, fields), expected, "{fields}");
    }
}

#[test]
fn a_request_line_has_three_words() {
    const GET: &str = "GET / HTTP/1.1";
    for line in [
        "GET /",
        "GET  / HTTP/1.1",
        "GET / HTTP/1.1 ",
        "G T / HTTP/1.1",
        "GET /\u{7f} HTTP/1.1",
    ] {
        let fault = fault(line, "Host: a");
        assert!(
            matches!(fault, Some(Fault::Malformed | Fault::Version)),
            "{line}: {fault:?}"
        );
    }
    assert_eq!(fault("GET / HTTP/2.0", "Host: a"), Some(Fault::Version));
    assert_eq!(fault("GET / HTTP/1.0", ""), None);
    assert_eq!(
        fault("CONNECT a:80 HTTP/1.1", "Host: a:80"),
        Some(Fault::Target)
    );
    let body = parsed(GET, "Host: a|Content-Length: 5", |request| {
        request.without_body()
    });
    assert_eq!(body, Ok(Err(Fault::Body)));
}

#[test]
fn a_head_of_8_kib_is_taken_and_no_byte_more() {
    let start = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    let text = |len: usize| format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4));
    assert!(head(&text(HEAD_MAX)).is_ok());
    assert_eq!(head(&text(HEAD_MAX + 1)).err(), Some(Fault::TooLong));
    let mut endless = HeadBuf::new();
    assert_eq!(endless.feed(&b"\r\n".repeat(HEAD_MAX)), Err(Fault::TooLong));
    let fields = "X: y|".repeat(FIELDS_MAX - 1);
    assert_eq!(fault("GET / HTTP/1.1", &format!("{fields}Host: a")), None);
    assert_eq!(
        fault("GET / HTTP/1.1", &format!("{fields}Host: a|X: y")),
        Some(Fault::TooManyFields)
    );
    assert_eq!(Fault::TooLong.status().code, 431);
    assert_eq!(Fault::TooManyFields.status().code, 431);
}

#[test]
fn a_head_ends_where_it_ends() {
    let mut head = HeadBuf::new();
    assert_eq!(head.feed(b"\r\nGET / HTTP/1.1\r\nHost: a\r\n"), Ok(27));
    assert!(!head.is_complete());
    assert_eq!(head.feed(b"\r\n\x82\x85rest"), Ok(2));
    assert!(head.is_complete());
    assert!(Request::parse(&head).is_ok());
    assert_eq!(head.feed(b"more"), Ok(0));
    head.clear();
    assert!(head.is_empty() && !head.is_complete());
}

#[test]
fn what_is_no_http_is_told_by_its_first_bytes() {
    assert_eq!(HeadBuf::new().feed(b"\x16\x03\x01"), Err(Fault::Tls));
    assert_eq!(HeadBuf::new().feed(b"\0"), Err(Fault::Malformed));
    assert_eq!(HeadBuf::new().feed(b"\n"), Err(Fault::LineEnd));
    assert_eq!(HeadBuf::new().feed(b"\rG"), Err(Fault::LineEnd));
}

const ASKED: &str = "Host: a|Upgrade: websocket|Connection: keep-alive, Upgrade|\
                     Sec-WebSocket-Version: 13|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";

fn upgrade(line: &str, fields: &str, spoken: &[&'static str]) -> Result<Upgrade, UpgradeFault> {
    parsed(line, fields, |request| Upgrade::of(&request, spoken)).expect("the head itself is good")
}

#[test]
fn an_upgrade_is_granted() {
    let granted = upgrade("GET /client HTTP/1.1", ASKED, &["b"]).unwrap();
    let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    assert_eq!(String::from_utf8(granted.grant()).unwrap(), expected);
    let offers = format!("{ASKED}|Sec-WebSocket-Protocol: a, B|sec-websocket-protocol: b,c");
    for (spoken, chosen) in [
        (&["c", "b"][..], Some("c")),
        (&["d", "b"], Some("b")),
        (&["C"], None),
        (&[], None),
    ] {
        let granted = upgrade("GET / HTTP/1.1", &offers, spoken).unwrap();
        assert_eq!(granted.protocol(), chosen);
        let text = String::from_utf8(granted.grant()).unwrap();
        assert_eq!(text.contains("Sec-WebSocket-Protocol: "), chosen.is_some());
    }
}

#[test]
fn an_upgrade_that_is_not_asked_for_well_is_refused() {
    let cases = [
        (
            "Upgrade: websocket",
            "Upgrade: h2c",
            UpgradeFault::NotAsked,
            426,
        ),
        (
            "keep-alive, Upgrade",
            "keep-alive",
            UpgradeFault::NotAsked,
            426,
        ),
        ("Version: 13", "Version: 8", UpgradeFault::Version, 426),
        ("Version: 13", "Version: 13, 8", UpgradeFault::Version, 426),
        ("|Sec-WebSocket-Version: 13", "", UpgradeFault::Version, 426),
        ("Key: dGhl", "Key: =GhlI", UpgradeFault::Key, 400),
        (
            "Key: dGhl",
            "Key: dGhlIHNhbXBsZSBub25jZQ",
            UpgradeFault::Key,
            400,
        ),
        (
            "Key: dGhlIHNhbXBsZSBub25jZQ==",
            "Key: dGhl",
            UpgradeFault::Key,
            400,
        ),
        (
            "|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            "",
            UpgradeFault::Key,
            400,
        ),
    ];
    for (from, to, expected, code) in cases {
        let fields = ASKED.replace(from, to);
        assert_ne!(fields, ASKED, "{from}");
        assert_eq!(
            upgrade("GET / HTTP/1.1", &fields, &[]),
            Err(expected),
            "{fields}"
        );
        let answer = String::from_utf8(Answer::from(expected).bytes()).unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{answer}");
    }
}

#[test]
fn an_upgrade_is_refused_for_what_stands_beside_it() {
    let twice = format!("{ASKED}|Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==");
    let fault = Fault::Twice {
        field: "Sec-WebSocket-Key",
    };
    assert_eq!(upgrade("GET / HTTP/1.1", &twice, &[]), Err(fault.into()));
    let body = format!("{ASKED}|Content-Length: 1");
    assert_eq!(
        upgrade("GET / HTTP/1.1", &body, &[]),
        Err(Fault::Body.into())
    );
    assert_eq!(
        upgrade("POST / HTTP/1.1", ASKED, &[]),
        Err(UpgradeFault::Method)
    );
    assert_eq!(
        upgrade("GET / HTTP/1.0", ASKED, &[]),
        Err(UpgradeFault::NotAsked)
    );
    let answer = String::from_utf8(Answer::from(UpgradeFault::Version).bytes()).unwrap();
    assert!(
        answer.contains("\r\nSec-WebSocket-Version: 13\r\n"),
        "{answer}"
    );
}

const ASK: Ask<'static> = Ask {
    host: "relay.example",
    path: "/host?x",
    offered: &["hydrant.mux.v1", "other"],
    bearer: Some(b"s3cret"),
    nonce: b"the sample nonce",
};

#[test]
fn what_we_ask_for_is_granted_by_our_own_rules() {
    let request = head(&String::from_utf8(ASK.request().unwrap()).unwrap()).unwrap();
    let request = Request::parse(&request).unwrap();
    assert_eq!(
        (request.path, request.host),
        ("/host", Some("relay.example"))
    );
    assert_eq!(request.bearer(), Ok(Some(Bearer(b"s3cret"))));
    let grant = Upgrade::of(&request, &["other"]).unwrap().grant();
    let response = head(&String::from_utf8(grant).unwrap()).unwrap();
    let response = Response::parse(&response).unwrap();
    assert_eq!(ASK.granted(&response), Ok(Some("other")));
}

#[test]
fn what_can_not_be_written_is_not_asked() {
    let unwritable = |ask: Ask<'_>| ask.request().expect_err("it can't be written");
    let host = "a\r\nX: y";
    assert_eq!(
        unwritable(Ask { host, ..ASK }),
        AskError::Unwritable("host")
    );
    for path in ["", "x", "/a b", "/\u{e9}"] {
        assert_eq!(
            unwritable(Ask { path, ..ASK }),
            AskError::Unwritable("path")
        );
    }
    let bearer = Some(&b"a\nb"[..]);
    assert_eq!(
        unwritable(Ask { bearer, ..ASK }),
        AskError::Unwritable("token")
    );
}

#[test]
fn an_answer_that_grants_nothing_is_found_out() {
    const GRANTED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: upgrade\r\n\
                           Sec-WebSocket-Accept: ACCEPT\r\n\r\n";
    let answered = |from: &str, to: &str| {
        let accept = Upgrade::of(
            &Request::parse(&head(&String::from_utf8(ASK.request().unwrap()).unwrap()).unwrap())
                .unwrap(),
            &[],
        );
        let grant = String::from_utf8(accept.unwrap().grant()).unwrap();
        let accept = grant.split("Accept: ").nth(1).unwrap().trim_end();
        let text = GRANTED.replace("ACCEPT", accept).replace(from, to);
        ASK.granted(&Response::parse(&head(&text).unwrap()).unwrap())
    };
    let field = |field| Err(AskError::Field(field));
    assert_eq!(answered("", ""), Ok(None));
    assert_eq!(
        answered("101 Switching Protocols", "401 Unauthorized"),
        Err(AskError::Refused(401, "Unauthorized".to_owned()))
    );
    assert_eq!(
        answered("Upgrade: WebSocket", "Upgrade: h2c"),
        field("Upgrade")
    );
    assert_eq!(
        answered("Connection: upgrade", "Connection: close"),
        field("Connection")
    );
    assert_eq!(
        answered("Accept: ", "Accept: x"),
        field("Sec-WebSocket-Accept")
    );
    let more = |line: &str| answered("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"));
    assert_eq!(
        more("Sec-WebSocket-Extensions: permessage-deflate"),
        field("Sec-WebSocket-Extensions")
    );
    assert_eq!(
        more("Sec-WebSocket-Protocol: mine"),
        field("Sec-WebSocket-Protocol")
    );
    assert_eq!(more("Sec-WebSocket-Protocol: other"), Ok(Some("other")));
    assert_eq!(
        more("Sec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: other"),
        field("Sec-WebSocket-Protocol")
    );
}

#[test]
fn a_proxy_is_asked_and_answers() {
    let request = connect_request("relay.example:443", Some(b"me:pass word")).unwrap();
    let expected = "CONNECT relay.example:443 HTTP/1.1\r\nHost: relay.example:443\r\n\
                    Proxy-Authorization: Basic bWU6cGFzcyB3b3Jk\r\n\r\n";
    assert_eq!(String::from_utf8(request).unwrap(), expected);
    for target in ["relay.example", ":443", "a:b", "a\r\n:443", "a:70000"] {
        assert_eq!(
            connect_request(target, None),
            Err(ConnectError::Target),
            "{target:?}"
        );
    }
    let answered_to = |user, line: &str| {
        let head = head(&format!("HTTP/1.1 {line}\r\n\r\n")).unwrap();
        connected(&Response::parse(&head).unwrap(), user).map_err(|error| error.to_string())
    };
    let answered = |line: &str| answered_to(None, line);
    assert_eq!(answered("200 Connection established"), Ok(()));
    assert_eq!(answered("299"), Ok(()));
    let refused = "the proxy refused the connection: 403 Forbidden".to_owned();
    assert_eq!(answered("403 Forbidden"), Err(refused));
    assert!(
        answered("407 No")
            .unwrap_err()
            .contains("http://USER:PASSWORD@HOST:PORT")
    );
    let not_taken = "the proxy does not take this user and password (407 No)".to_owned();
    assert_eq!(answered_to(Some(b"me:wrong"), "407 No"), Err(not_taken));
}

#[test]
fn only_trusted_proxies_say_for_whom_they_ask() {
    let mut trusted = Access::ALL;
    let nobody = trusted.clone();
    trusted.push("10.0.0.0/8".parse().unwrap());
    let client = |peer: &str, fields: &str, trusted: &Access| {
        let peer: IpAddr = peer.parse().unwrap();
        let ip = parsed("GET / HTTP/1.1", &format!("Host: a|{fields}"), |request| {
            client_address(peer, &request.fields, trusted)
        });
        ip.unwrap().to_string()
    };
    let forged = "X-Forwarded-For: 1.1.1.1, 192.0.2.7|x-forwarded-for: 10.2.2.2";
    assert_eq!(client("10.1.1.1", forged, &trusted), "192.0.2.7");
    assert_eq!(client("::ffff:10.1.1.1", forged, &trusted), "192.0.2.7");
    assert_eq!(client("192.0.2.9", forged, &trusted), "192.0.2.9");
    assert_eq!(client("10.1.1.1", forged, &nobody), "10.1.1.1");
    assert_eq!(client("10.1.1.1", "", &trusted), "10.1.1.1");
    let cases = [
        ("10.3.3.3, 10.2.2.2", "10.3.3.3"),
        ("1.1.1.1, nonsense, 10.2.2.2", "10.2.2.2"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("192.0.2.7:5000", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
    ];
    for (value, expected) in cases {
        let fields = format!("X-Forwarded-For: {value}");
        assert_eq!(client("10.1.1.1", &fields, &trusted), expected, "{value}");
    }
}

#[test]
fn an_address_that_is_no_text_hides_what_stands_before_it() {
    let mut trusted = Access::ALL;
    trusted.push("10.0.0.0/8".parse().unwrap());
    let mut head = HeadBuf::new();
    let bytes = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1, \xff, 10.2.2.2\r\n\r\n";
    head.feed(bytes).unwrap();
    let request = Request::parse(&head).unwrap();
    let from = client_address("10.1.1.1".parse().unwrap(), &request.fields, &trusted);
    assert_eq!(from.to_string(), "10.2.2.2");
}

#[test]
fn pages_of_this_machine_are_told_from_others() {
    for good in [
        "http://localhost:8080",
        "https://LOCALHOST",
        "http://app.localhost:3000",
        "http://127.0.0.1:8080",
        "http://127.9.9.9",
        "http://[::1]:8080",
        "http://[::ffff:127.0.0.1]",
    ] {
        assert!(Origin::is_of_this_machine(good), "{good}");
    }
    for bad in [
        "null",
        "",
        "http://evil.example",
        "http://localhost.evil.example",
        "http://notlocalhost",
        "http://127.0.0.1.evil.example",
        "http://10.0.0.1",
        "http://[2001:db8::1]:80",
        "file://",
    ] {
        assert!(!Origin::is_of_this_machine(bad), "{bad}");
    }
}

#[test]
fn origins_are_compared_whole() {
    let allowed: Vec<Origin> = ["https://Feed.example", "http://localhost:8080"]
        .iter()
        .map(|text| text.parse().unwrap())
        .collect();
    for good in [
        "https://feed.example",
        "https://feed.example:443",
        "http://LOCALHOST:8080",
    ] {
        assert!(Origin::allows(&allowed, good), "{good}");
    }
    for bad in [
        "http://feed.example",
        "https://feed.example.evil.example",
        "https://feed.example:8443",
        "https://evil.example/https://feed.example",
        "null",
        "",
    ] {
        assert!(!Origin::allows(&allowed, bad), "{bad}");
    }
    for wrong in [
        "feed.example",
        "https://a/",
        "https://*",
        "https://",
        "://a",
        "https://u@a",
    ] {
        let error = wrong.parse::<Origin>().unwrap_err().to_string();
        assert!(
            error.contains("is not an origin: write https://HOST"),
            "{error}"
        );
    }
}

#[test]
fn an_answer_says_why() {
    let bytes = Answer::from(Fault::NoHost).bytes();
    let text = String::from_utf8(bytes).unwrap();
    let (first, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(first.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{first}");
    assert_eq!(body, "the request has no Host\n");
    let answer = head(&format!("{first}\r\n\r\n")).unwrap();
    let answer = Response::parse(&answer).unwrap();
    assert_eq!(answer.content_length(), Some(body.len() as u64));
    assert!(answer.fields.lists("connection", "close"));
    assert!(!answer.is_interim());
}
