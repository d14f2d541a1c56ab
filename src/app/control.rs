//! The process's own socket, by which `hydrant status` asks it: only its user can reach it. It speaks as the console
//! does. One that can't be had is no reason not to run.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;

use super::RoleSet;
use crate::base::access::Access;
use crate::base::endpoint::Endpoint;
use crate::config::sockets_in;
use crate::reactor::{End, Reactor, RoleId, mio_net, plain};
use crate::roles::console::Console;
use crate::roles::console::config::ConsoleConfig;

/// Opens the socket in this folder, which is made if it is not there.
pub(super) fn open(reactor: &mut Reactor<RoleSet>, folder: Option<&Path>) -> Option<RoleId> {
    let folder = folder?;
    match prepare(folder) {
        Ok(()) => {}
        Err(error) => {
            let (folder, error) = (folder.display(), plain(&error));
            log::debug!("hydrant: no socket for hydrant status in {folder}: {error}");
            return None;
        }
    }
    let path = folder.join(format!("{}.sock", std::process::id()));
    let role = reactor.add(RoleSet::Console(Console::new(ConsoleConfig {
        bind: Endpoint::Unix(path.clone()),
        hosts: Vec::new(),
        token: None,
        view_token: None,
        trust_proxy: Access::ALL,
        max_connections: CONNECTIONS_MAX,
        is_private: true,
    })));
    let closed = match reactor.failure(role) {
        Some(text) => Err(text.to_owned()),
        None => {
            fs::set_permissions(&path, Permissions::from_mode(0o600)).map_err(|error| plain(&error))
        }
    };
    if let Err(text) = closed {
        log::debug!("hydrant: no socket for hydrant status: {text}");
        reactor.with(role, |_, cx| cx.finish(End::Done));
        return None;
    }
    Some(role)
}

/// Other tokens open a console from now on.
pub(super) fn set_tokens(
    reactor: &mut Reactor<RoleSet>,
    console: RoleId,
    ConsoleConfig {
        token, view_token, ..
    }: ConsoleConfig,
) {
    reactor.with(console, |role, cx| {
        if let RoleSet::Console(console) = role {
            console.set_tokens(cx, token, view_token);
        }
    });
}

/// Makes the folder ours alone, and clears away what processes have left that are no more.
fn prepare(folder: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)?;
    let found = fs::symlink_metadata(folder)?;
    let own = fs::metadata("/proc/self")?.uid();
    if !found.is_dir() || found.uid() != own || found.mode() & 0o022 != 0 {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            "others can change what is there",
        ));
    }
    for (pid, path) in sockets_in(folder) {
        // A process of another container may share the folder, and have no number here.
        if !Path::new("/proc").join(pid).exists() && mio_net::is_dead(&path) {
            let _ = fs::remove_file(path);
        }
    }
    Ok(())
}

/// Enough for a few terminals that watch.
const CONNECTIONS_MAX: usize = 16;
