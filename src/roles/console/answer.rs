//! What is written back: fields that keep a page safe, and a body.

use std::rc::Rc;

use serde_json::Value;

use crate::proto::http1::Status;
use crate::roles::http::Content;

use super::assets::Asset;

/// JSON.
pub(super) fn json(status: Status, body: &Value) -> Content {
    text(status, body.to_string().into_bytes())
}

/// JSON that is written already.
pub(super) fn text(status: Status, body: impl Into<Rc<[u8]>>) -> Content {
    let content = safe(status, JSON, body);
    match status {
        Status::UNAUTHORIZED => content.with("WWW-Authenticate", "Bearer"),
        _ => content,
    }
}

/// What is wrong, in a line.
pub(super) fn error(status: Status, why: &str) -> Content {
    json(status, &serde_json::json!({ "error": why }))
}

pub(super) fn asset(asset: &Asset) -> Content {
    safe(Status::OK, asset.kind, asset.text.as_bytes())
}

/// The head of a stream of events, as an answer that has no more than that.
pub(super) fn stream() -> Content {
    safe(Status::OK, "text/event-stream", []).with("X-Accel-Buffering", "no")
}

/// One event (the HTML standard, section 9.2). JSON has no line ends in it.
pub(super) fn event(kind: &str, data: &Value) -> Vec<u8> {
    event_of(kind, data.to_string().as_bytes())
}

/// One event out of JSON that is written already.
pub(super) fn event_of(kind: &str, data: &[u8]) -> Vec<u8> {
    [format!("event: {kind}\ndata: ").as_bytes(), data, b"\n\n"].concat()
}

fn safe(status: Status, kind: &str, body: impl Into<Rc<[u8]>>) -> Content {
    Content::new(status, kind, body)
        .with("Content-Security-Policy", POLICY)
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Opener-Policy", "same-origin")
        .with("Cross-Origin-Resource-Policy", "same-origin")
}

const JSON: &str = "application/json";
/// Nothing but what comes from here, nothing within a page's text, and nobody shows the page in a frame.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole() {
        let answer = error(Status::FORBIDDEN, "a \"line\"\nand another");
        let text = |is_head| {
            let (head, body) = answer.clone().parts(true, is_head);
            String::from_utf8([&head[..], &body].concat()).unwrap()
        };
        let whole = text(false);
        let (head, body) = whole.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert_eq!(text(true), format!("{head}\r\n\r\n"));
        assert!(head.contains("script-src 'self';") && !head.contains("unsafe"));
        assert_eq!(body, r#"{"error":"a \"line\"\nand another"}"#);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = event("log", &serde_json::json!({ "text": "a\nb" }));
        assert_eq!(event, b"event: log\ndata: {\"text\":\"a\\nb\"}\n\n");
    }
}
