//! What a session's outbox holds where there is hardly room.

use super::*;
use crate::proto::yamux::{Limits, Side};
use crate::reactor::mio_net::{self, MioNet};
use crate::reactor::{Event, Options, Reactor, Role};

struct Nobody;

impl Role for Nobody {
    fn on(&mut self, _: &mut Cx<'_>, _: Event) {}
}

#[test]
fn a_frame_is_said_whole_or_not_at_all() {
    let net = MioNet::new(mio_net::Options::default()).expect("a poll can be had");
    let mut reactor = Reactor::new(Box::new(net), Options::default());
    let role = reactor.add(Nobody);
    let tried = reactor.with(role, |_, cx| {
        let session = Session::new(Side::Server, Limits::default(), cx.now());
        let mut mux = Mux::new(session, Owner::default());
        let stream = mux
            .session
            .open(cx.now(), 0)
            .expect("nothing is in the way");
        mux.say(cx);
        let filler = OUTBOX - mux.pending().len() - HEADER_LEN - 3;
        mux.preface(cx, &vec![0; filler]);
        mux.say_on(cx, stream, b"one");
        assert_eq!((mux.pending().len(), mux.is_choked()), (OUTBOX, false));
        mux.took(cx, HEADER_LEN + 3);
        mux.say_on(cx, stream, b"four");
        assert_eq!(mux.pending().len(), OUTBOX - HEADER_LEN - 3);
        assert!(mux.is_choked());
    });
    assert!(tried.is_some());
}
