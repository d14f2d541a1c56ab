//! What a close frame says: a code and a reason, or nothing (RFC 6455, sections 5.5.1 and 7.4).

use std::fmt;
use std::str;

use super::frame::CONTROL_MAX;
use super::violation::Violation;

/// Why a connection is closed, as a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CloseCode(u16);

impl CloseCode {
    /// All has been said.
    pub const NORMAL: Self = Self(1000);
    /// The sender goes away: a server that stops, a page that is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// A rule of the protocol was broken.
    pub const PROTOCOL: Self = Self(1002);
    /// Text where only bytes are taken, or the other way round.
    pub const UNSUPPORTED: Self = Self(1003);
    /// Bytes that are not what the message's type says: a text that is not UTF-8.
    pub const NOT_THE_TYPE: Self = Self(1007);
    /// A message that the sender's rules forbid, with no other code for it.
    pub const POLICY: Self = Self(1008);
    /// A message too long to be taken.
    pub const TOO_BIG: Self = Self(1009);
    /// Something unforeseen happened at the sender.
    pub const UNEXPECTED: Self = Self(1011);

    /// The code with this number. `None` for one that no frame may carry: out of every range, reserved, or kept for
    /// what was never sent (1005, 1006, 1015).
    pub fn new(number: u16) -> Option<Self> {
        // 1012 to 1014 came after the RFC, into the registry that its section 11.7 has set up.
        let may_be_sent = matches!(number, 1000..=1003 | 1007..=1014 | 3000..=4999);
        may_be_sent.then_some(Self(number))
    }

    /// As it stands in the frame.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The content of a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Close<'a> {
    /// The code; `None` where the frame is empty.
    pub code: Option<CloseCode>,
    /// For a person to read; empty where nothing was said.
    pub reason: &'a str,
}

impl<'a> Close<'a> {
    /// Reads the payload of a close frame.
    pub fn parse(payload: &'a [u8]) -> Result<Self, Violation> {
        let Some((code, reason)) = payload.split_first_chunk() else {
            return match payload {
                [] => Ok(Self {
                    code: None,
                    reason: "",
                }),
                _ => Err(Violation::CloseTooShort),
            };
        };
        let number = u16::from_be_bytes(*code);
        let code = CloseCode::new(number).ok_or(Violation::CloseCode { number })?;
        let reason = str::from_utf8(reason).map_err(|_| Violation::CloseNotUtf8)?;
        Ok(Self {
            code: Some(code),
            reason,
        })
    }
}

/// The payload of a close frame. A frame takes [`REASON_MAX`] bytes of the reason: a longer one ends there, before the
/// character that would be cut.
pub(super) fn payload(code: Option<CloseCode>, reason: &str) -> Vec<u8> {
    let Some(code) = code else { return Vec::new() };
    let reason = &reason[..reason.floor_char_boundary(REASON_MAX)];
    [&code.number().to_be_bytes(), reason.as_bytes()].concat()
}

const REASON_MAX: usize = CONTROL_MAX - 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_read() {
        let bytes = payload(Some(CloseCode::GOING_AWAY), "für jetzt");
        let close = Close::parse(&bytes).unwrap();
        assert_eq!(
            (close.code, close.reason),
            (Some(CloseCode::GOING_AWAY), "für jetzt")
        );
        assert_eq!(
            Close::parse(&payload(None, "unsaid")),
            Ok(Close {
                code: None,
                reason: ""
            })
        );
    }

    #[test]
    fn a_long_reason_ends_before_a_character() {
        let reason = format!("{}é", "x".repeat(REASON_MAX - 1));
        let bytes = payload(Some(CloseCode::NORMAL), &reason);
        assert_eq!(bytes.len(), CONTROL_MAX - 1);
        assert!(Close::parse(&bytes).is_ok());
    }
}
