//! What comes in, read frame by frame. Headers are checked before a byte of their payload is looked at, and payload is
//! handed on as it lies in the input.

use super::error::Violation;
use super::frame::{Flags, GoAway, HEADER_LEN, Header, Kind, StreamId};
use super::payload::Payload;
use super::session::{Event, Session, Side};
use super::stream::{Stream, WINDOW_MIN};
use crate::base::time::Time;

/// Where in a frame the input stands.
#[derive(Clone, Debug)]
pub(super) enum Reading {
    /// In a header, of which so many bytes are there.
    Header {
        have: usize,
        bytes: [u8; HEADER_LEN],
    },
    /// In the payload of a stream's frame, which may be the last of its direction. The stream may be gone.
    Payload { stream: u32, left: u32, last: bool },
}

impl Reading {
    pub(super) fn new() -> Self {
        Self::Header {
            have: 0,
            bytes: [0; HEADER_LEN],
        }
    }
}

/// An event that a header brought and that has not been told yet.
#[derive(Clone, Copy, Debug)]
pub(super) enum Note {
    Opened(StreamId),
    Taken(StreamId),
    Credit(StreamId),
    Finished(StreamId),
    Reset(StreamId),
    Pong,
    GoAway(GoAway),
}

impl Session {
    pub(super) fn read<'a>(
        &mut self,
        now: Time,
        input: &mut &'a [u8],
    ) -> Result<Option<Event<'a>>, Violation> {
        loop {
            if let Some(note) = self.notes.pop_front() {
                match self.tell(note)? {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                }
            }
            match &mut self.reading {
                Reading::Header { have, bytes } => {
                    let take = (HEADER_LEN - *have).min(input.len());
                    let (taken, rest) = input.split_at(take);
                    bytes[*have..*have + take].copy_from_slice(taken);
                    *have += take;
                    *input = rest;
                    if *have < HEADER_LEN {
                        return Ok(None);
                    }
                    let header = Header::decode(bytes)?;
                    self.reading = Reading::new();
                    self.on_header(now, header)?;
                }
                Reading::Payload { stream, left, last } if *left == 0 => {
                    if *last {
                        self.notes.push_back(Note::Finished(StreamId(*stream)));
                    }
                    self.reading = Reading::new();
                }
                Reading::Payload { stream, left, .. } => {
                    if input.is_empty() {
                        return Ok(None);
                    }
                    let take = (*left as usize).min(input.len());
                    let (payload, rest) = input.split_at(take);
                    *left -= take as u32;
                    *input = rest;
                    let id = *stream;
                    if let Some(stream) = self.streams.get(&id) {
                        let tag = stream.tag;
                        let mut payload = Payload::from(payload);
                        while payload.takes_more()
                            && let Some(piece) = self.next_piece(id, input)
                        {
                            payload.push(piece);
                        }
                        return Ok(Some(Event::Data(StreamId(id), tag, payload)));
                    }
                }
            }
        }
    }

    /// The payload of the next frame, as far as it is there, where a frame of this stream has just ended and the next
    /// one, too, brings nothing but data for it. Whatever else comes next is left where it is.
    fn next_piece<'a>(&mut self, id: u32, input: &mut &'a [u8]) -> Option<&'a [u8]> {
        let Reading::Payload {
            left: 0,
            last: false,
            ..
        } = self.reading
        else {
            return None;
        };
        let (header, rest) = input.split_first_chunk()?;
        let header = Header::decode(header).ok()?;
        let is_next = header.kind == Kind::Data
            && header.flags == Flags::NONE
            && header.stream == id
            && header.length > 0;
        if !is_next || rest.is_empty() {
            return None;
        }
        self.streams.get_mut(&id)?.receive(id, header.length).ok()?;
        let take = (header.length as usize).min(rest.len());
        self.reading = Reading::Payload {
            stream: id,
            left: header.length - take as u32,
            last: false,
        };
        let piece;
        (piece, *input) = rest.split_at(take);
        Some(piece)
    }

    /// What a note means by now: the user may have reset the stream since its header was read.
    fn tell<'a>(&mut self, note: Note) -> Result<Option<Event<'a>>, Violation> {
        Ok(match note {
            Note::Opened(id) => Some(Event::Opened(id)),
            Note::Taken(id) => self.tag(id).map(|tag| Event::Taken(id, tag)),
            Note::Credit(id) => self.tag(id).map(|tag| Event::Credit(id, tag)),
            Note::Finished(id) => {
                let Some(stream) = self.streams.get_mut(&id.0) else {
                    return Ok(None);
                };
                stream.peer_finishes(id.0)?;
                let tag = stream.tag;
                self.remove_if_over(id.0);
                Some(Event::Finished(id, tag))
            }
            Note::Reset(id) => {
                let gone = self.remove(id.0);
                if gone.as_ref().is_some_and(|stream| !stream.ours) {
                    // To open streams and reset them is cheap for a peer, and each may have been dialled for.
                    self.patience.refuse();
                }
                gone.map(|stream| Event::Reset(id, stream.tag))
            }
            Note::Pong => Some(Event::Pong),
            Note::GoAway(why) => Some(Event::GoAway(why)),
        })
    }

    fn on_header(&mut self, now: Time, header: Header) -> Result<(), Violation> {
        match header.kind {
            Kind::Ping => self.on_ping(now, header),
            Kind::GoAway => {
                self.going_away = true;
                let why = GoAway::of(header.length);
                self.notes.push_back(Note::GoAway(why));
                self.bear(now)
            }
            Kind::Data | Kind::WindowUpdate => self.on_stream(now, header),
        }
    }

    fn on_ping(&mut self, now: Time, header: Header) -> Result<(), Violation> {
        if header.flags.has(Flags::SYN) {
            self.bear(now)?;
            return self.answer(Header {
                flags: Flags::ACK,
                ..header
            });
        }
        if self.on_arrival(header.length) {
            return Ok(());
        }
        match self.pings.answer(now, header.length) {
            true => {
                self.notes.push_back(Note::Pong);
                Ok(())
            }
            false => self.bear(now),
        }
    }

    /// An answer may be to a ping that stood between the bytes. Then there is room for more of them, and those who
    /// waited for it are told.
    fn on_arrival(&mut self, value: u32) -> bool {
        let Some(flight) = &mut self.flight else {
            return false;
        };
        let was_full = !flight.is_room();
        let is_ours = flight.answer(value);
        if was_full && flight.is_room() {
            let waiting = self
                .streams
                .iter()
                .filter(|(_, stream)| stream.credit() > 0);
            self.notes
                .extend(waiting.map(|(id, _)| Note::Credit(StreamId(*id))));
        }
        is_ours
    }

    fn on_stream(&mut self, now: Time, header: Header) -> Result<(), Violation> {
        let Header {
            kind,
            flags,
            stream: id,
            length,
        } = header;
        if kind == Kind::Data {
            self.reading = Reading::Payload {
                stream: id,
                left: length,
                last: flags.has(Flags::FIN),
            };
        }
        if flags.has(Flags::SYN) {
            self.on_syn(now, id, flags)?;
        }
        let Some(stream) = self.streams.get_mut(&id) else {
            // It is gone, or was never there: what was on its way to it is nobody's fault.
            let max = self.limits.window_max;
            if kind == Kind::Data && length > max {
                return Err(Violation::FrameTooLong { len: length, max });
            }
            let is_payload = kind == Kind::Data && length > 0 && !flags.has(Flags::SYN);
            if is_payload && self.patience.was_granted(length) {
                return Ok(());
            }
            return self.bear(now);
        };
        if kind == Kind::Data {
            stream.receive(id, length)?;
        }
        if flags.has(Flags::RST) {
            self.notes.push_back(Note::Reset(StreamId(id)));
            return Ok(());
        }
        if stream.ours && !stream.taken {
            // Whatever else comes for it says that it was taken.
            stream.taken = true;
            self.untaken -= 1;
            self.notes.push_back(Note::Taken(StreamId(id)));
        }
        if kind == Kind::WindowUpdate && stream.grant(id, length)? {
            self.notes.push_back(Note::Credit(StreamId(id)));
        }
        if kind == Kind::WindowUpdate && flags.has(Flags::FIN) {
            self.notes.push_back(Note::Finished(StreamId(id)));
        }
        // Only what opens a stream or ends a direction moves something without a length; an ACK too can come but once.
        if length == 0 && !flags.has(Flags::SYN) && !flags.has(Flags::FIN) {
            self.bear(now)?;
        }
        Ok(())
    }

    fn on_syn(&mut self, now: Time, id: u32, flags: Flags) -> Result<(), Violation> {
        let is_odd = id % 2 == 1;
        if is_odd == (self.side == Side::Client) {
            return Err(Violation::Parity(id));
        }
        if self.streams.contains_key(&id) {
            return Err(Violation::SecondSyn(id));
        }
        if !self.used.take(id) {
            return Err(Violation::IdReused(id));
        }
        if self.patience.is_over(now) {
            return Err(Violation::Flood);
        }
        if flags.has(Flags::RST) {
            return Ok(());
        }
        if self.said_goaway || self.streams.len() >= self.limits.streams_max {
            // The opener may say so much before it learns of that.
            self.patience.owe(WINDOW_MIN);
            return self.answer(Header {
                kind: Kind::WindowUpdate,
                flags: Flags::RST,
                stream: id,
                length: 0,
            });
        }
        self.insert(id, Stream::new(now, 0, false));
        self.notes.push_back(Note::Opened(StreamId(id)));
        Ok(())
    }

    /// One more frame that moves nothing.
    fn bear(&mut self, now: Time) -> Result<(), Violation> {
        match self.patience.bear(now) {
            true => Ok(()),
            false => Err(Violation::Flood),
        }
    }
}
