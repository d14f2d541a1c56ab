//! What is written back: a head with the fields that keep a page safe, and a body.

use serde_json::Value;

use crate::proto::http1::Status;

use super::assets::Asset;

/// An answer, and whether the connection stays for the next request.
pub(super) struct Answer {
    status: Status,
    kind: &'static str,
    body: Vec<u8>,
    cookie: Option<String>,
    allow: Option<&'static str>,
}

impl Answer {
    pub(super) fn json(status: Status, body: &Value) -> Self {
        Self {
            status,
            kind: JSON,
            body: body.to_string().into_bytes(),
            cookie: None,
            allow: None,
        }
    }

    /// What is wrong, in a line.
    pub(super) fn error(status: Status, why: &str) -> Self {
        Self::json(status, &serde_json::json!({ "error": why }))
    }

    pub(super) fn asset(asset: &Asset) -> Self {
        Self {
            kind: asset.kind,
            body: asset.text.as_bytes().to_vec(),
            ..Self::json(Status::OK, &Value::Null)
        }
    }

    pub(super) fn with_cookie(mut self, cookie: String) -> Self {
        self.cookie = Some(cookie);
        self
    }

    pub(super) fn with_allow(mut self, method: &'static str) -> Self {
        self.allow = Some(method);
        self
    }

    /// As it is written.
    pub(super) fn bytes(self, keeps: bool) -> Vec<u8> {
        let mut head = head(self.status, self.kind);
        if let Some(cookie) = &self.cookie {
            head += &format!("Set-Cookie: {cookie}\r\n");
        }
        if let Some(allow) = self.allow {
            head += &format!("Allow: {allow}\r\n");
        }
        if self.status == Status::UNAUTHORIZED {
            head += "WWW-Authenticate: Bearer\r\n";
        }
        let connection = if keeps { "keep-alive" } else { "close" };
        head += &format!(
            "Content-Length: {}\r\nConnection: {connection}\r\n\r\n",
            self.body.len()
        );
        let mut bytes = head.into_bytes();
        bytes.extend(self.body);
        bytes
    }
}

/// The head of a stream of events, which ends with its connection.
pub(super) fn stream_head() -> Vec<u8> {
    let head = head(Status::OK, "text/event-stream");
    format!("{head}X-Accel-Buffering: no\r\nConnection: close\r\n\r\n").into_bytes()
}

/// One event (the HTML standard, section 9.2). JSON has no line ends in it.
pub(super) fn event(kind: &str, data: &Value) -> Vec<u8> {
    format!("event: {kind}\ndata: {data}\n\n").into_bytes()
}

fn head(status: Status, kind: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Security-Policy: {POLICY}\r\nReferrer-Policy: no-referrer\r\n\
         Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Resource-Policy: same-origin\r\n"
    )
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
        let answer = Answer::error(Status::FORBIDDEN, "a \"line\"\nand another").bytes(true);
        let text = String::from_utf8(answer).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 403 Forbidden\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())));
        assert!(head.contains("script-src 'self';") && !head.contains("unsafe"));
        assert_eq!(body, r#"{"error":"a \"line\"\nand another"}"#);
    }

    #[test]
    fn an_event_is_one_line() {
        let event = event("log", &serde_json::json!({ "text": "a\nb" }));
        assert_eq!(event, b"event: log\ndata: {\"text\":\"a\\nb\"}\n\n");
    }
}
