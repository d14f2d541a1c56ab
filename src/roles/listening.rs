//! How a role begins to listen, and what the user is told when it can't.

use std::io;

use crate::base::endpoint::Endpoint;
use crate::reactor::budget::Claim;
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

/// Claims descriptors for as many clients as were asked for (`None`: as many as possible), by the limit of this name,
/// with `reserve` of them left free, of which the role opens `needs` itself. Where there are fewer, the loop says so
/// for all roles at once.
///
/// # Errors
/// That there are none for any client.
pub(crate) fn claim(
    cx: &mut Cx<'_>,
    (asked, limit): (Option<usize>, &'static str),
    reserve: usize,
    needs: usize,
) -> Result<(), String> {
    let guests = asked.unwrap_or(usize::MAX);
    let room = cx.claim(Claim {
        reserve: reserve.saturating_sub(needs),
        needs,
        guests,
        limit,
    });
    match guests > 0 && room.guests == 0 {
        true => Err(format!(
            "too few file descriptors for any client: {} more are needed (ulimit -n)",
            room.missing
        )),
        false => Ok(()),
    }
}

/// What says how many clients a role takes, whatever it serves them with.
pub(crate) const MAX_CLIENTS: &str = "--max-clients";
/// What says so at the end of a tunnel.
pub(crate) const MAX_STREAMS: &str = "--max-streams";
/// Why a client can't come in for whom there is no descriptor.
pub(crate) const NO_DESCRIPTORS: &str = "no file descriptors are left for more clients (ulimit -n)";

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

/// What is said where `--trust-proxy` is everybody.
pub(crate) const TRUSTS_EVERYBODY: &str = "--trust-proxy is everybody: whoever connects says in X-Forwarded-For from \
     which address it comes; name the proxies alone";
