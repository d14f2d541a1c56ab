//! How a role begins to listen, and what the user is told when it can't.

use std::io;

use crate::base::endpoint::Endpoint;
use crate::base::units::Count;
use crate::reactor::net::{Addr, SockId};
use crate::reactor::{Cx, plain};

/// Listens at every address of an endpoint, or says what is wrong with it.
pub(crate) fn listen(cx: &mut Cx<'_>, at: &Endpoint) -> Result<Vec<(SockId, Addr)>, String> {
    cx.listen_at(at).map_err(|error| cant_listen(at, &error))
}

/// That it can't be listened at a place, and what to do about it.
pub(crate) fn cant_listen(at: &Endpoint, error: &io::Error) -> String {
    format!("can't listen on {at}: {}", advice(at, error))
}

/// The most clients that there are descriptors for, beside `reserve` of them, and that were asked for (`None`: as many
/// as possible); and what is to be said where that is fewer. `connected`: how many connections have theirs already, out
/// of which clients and the reserve are made up.
pub(crate) fn most_clients(
    cx: &Cx<'_>,
    asked: Option<usize>,
    reserve: usize,
    connected: usize,
) -> Result<(usize, Option<String>), String> {
    let left = cx.sockets_left().saturating_add(connected);
    let most = left.saturating_sub(reserve);
    if most == 0 {
        let least = reserve + 1 - left;
        return Err(format!(
            "too few file descriptors for any client: {least} more are needed (ulimit -n)"
        ));
    }
    Ok(match asked {
        Some(asked) if asked <= most => (asked, None),
        Some(_) => {
            let text = format!(
                "descriptors are enough for {} at most (raise it: ulimit -n)",
                Count(most, "client")
            );
            (most, Some(text))
        }
        None => (most, None),
    })
}

/// What is wrong with a place to listen at, and what to do about it.
fn advice(at: &Endpoint, error: &io::Error) -> String {
    match (error.kind(), at) {
        (io::ErrorKind::AddrInUse, Endpoint::Tcp { port, .. }) => {
            format!("port in use (who: ss -ltnp 'sport = :{port}')")
        }
        (io::ErrorKind::AddrInUse, Endpoint::Unix(_)) => "another program listens there".to_owned(),
        (io::ErrorKind::AddrNotAvailable, _) => {
            "that address is not this machine's (which are: ip addr)".to_owned()
        }
        (io::ErrorKind::PermissionDenied, Endpoint::Tcp { port, .. }) if *port < 1024 => {
            "not permitted; ports below 1024 need root or CAP_NET_BIND_SERVICE, others don't"
                .to_owned()
        }
        _ => plain(error),
    }
}
