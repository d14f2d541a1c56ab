//! The way of servers that know no hello: they say where the public side is on the first stream, which we open for it.

use super::session::Stage;
use super::{Expose, State};
use crate::proto::yamux::{Payload, StreamId};
use crate::reactor::Cx;

impl Expose {
    pub(super) fn address_data(&mut self, cx: &mut Cx<'_>, id: StreamId, payload: Payload<'_>) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let Stage::Up(up) = &mut connection.stage else {
            return;
        };
        if let Some((_, text)) = &mut up.address {
            text.extend(payload.pieces().flatten().take(ADDRESS_MAX + 1));
            if text.len() > ADDRESS_MAX {
                return self.lose_server(cx, "says more than an address");
            }
        }
        up.mux.consume(cx, id, payload.len());
    }

    pub(super) fn address_finished(&mut self, cx: &mut Cx<'_>) {
        let State::Connected(connection) = &mut self.state else {
            return;
        };
        let Stage::Up(up) = &mut connection.stage else {
            return;
        };
        let Some((stream, text)) = up.address.take() else {
            return;
        };
        up.mux.session.finish(stream);
        up.mux.say(cx);
        match String::from_utf8(text) {
            Ok(text) if !text.is_empty() && !text.contains(char::is_control) => self.up(cx, &text),
            _ => self.lose_server(cx, "says no address"),
        }
    }
}

/// The tag of the stream on which the server says it.
pub(super) const ADDRESS: u32 = u32::MAX;
/// It has fewer than 128 bytes.
const ADDRESS_MAX: usize = 127;
