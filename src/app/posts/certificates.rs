//! Looks at the files of certificates while the program runs, in a thread of its own, since reading them may take as
//! long as a file system likes. What it finds holds for new connections at once: sessions are made from what the
//! thread and the roles share.

use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;

use crate::config::Certificates;

/// The thread; it ends when this is dropped.
pub(in crate::app) struct Watch {
    reload: Option<Sender<()>>,
}

impl Watch {
    /// Watches these, if there is any file among them.
    pub(super) fn start(certificates: Certificates) -> Result<Self, String> {
        if certificates.are_none() {
            return Ok(Self { reload: None });
        }
        if let Some(fault) = certificates.out_of_date() {
            log::warn!("hydrant: {fault}: who checks that will not connect");
        }
        let (reload, asked) = mpsc::channel();
        thread::Builder::new()
            .name("certificates".to_owned())
            .spawn(move || watch(&certificates, &asked))
            .map_err(|error| format!("can't watch the certificates: {error}"))?;
        Ok(Self {
            reload: Some(reload),
        })
    }

    /// One whose thread is a test.
    #[cfg(test)]
    pub(in crate::app) fn held() -> (Self, Receiver<()>) {
        let (reload, asked) = mpsc::channel();
        let reload = Some(reload);
        (Self { reload }, asked)
    }

    /// SIGHUP: reads them again, whether or not they seem to have changed.
    pub(super) fn reload(&self) {
        if let Some(reload) = &self.reload {
            // The thread lives as long as this does.
            let _ = reload.send(());
        }
    }
}

fn watch(certificates: &Certificates, asked: &Receiver<()>) {
    let mut known = certificates.first_stamps().to_vec();
    let mut last = known.clone();
    loop {
        let asked = match asked.recv_timeout(LOOK) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout) => false,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        let now = certificates.stamps();
        // A certificate and its key are two files: they are read when both have been left alone for a moment.
        let settled = now != known && now == last;
        last = now.clone();
        if !asked && !settled {
            continue;
        }
        known = now;
        match certificates.renew() {
            Ok(()) => log::info!("hydrant: certificates read again; they hold for new connections"),
            Err(error) => {
                log::warn!("hydrant: {error}; what was read before stays in use");
            }
        }
    }
}

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(1);
