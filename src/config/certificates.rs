//! Certificates and keys out of the files that the options name: read when the program starts, and again when the
//! files change or a reload asks for it. A file that can't be used leaves what was read before in use.

use std::error::Error;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::files::{NO_END, NO_ROOM, read_bounded};
use crate::base::option::{Opt, Values};
use crate::base::units::Typed;
use crate::proto::tls::{Acceptor, CertificateFault, Connector, Fault, Identity, Roots, Trust};
use crate::roles::tls::Tls;
use crate::roles::tls::options::{
    Accepting, CA, CERT, CLIENT_CA, CLIENT_CERT, CLIENT_KEY, Dialling, Files, KEY, Pair,
};

/// The files that were named, and what is in use of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    files: Files,
    tls: Tls,
    /// A certificate of our own that nobody who checks its dates takes.
    out_of_date: Option<CertificatesError>,
    /// What the files were just before they were read.
    stamps: Vec<Stamp>,
}

impl Certificates {
    /// Reads the files.
    ///
    /// # Errors
    /// Which file can't be used, and why.
    pub fn read(files: Files) -> Result<Self, CertificatesError> {
        let stamps = stamps(&files);
        let accepting = files.accepting.as_ref();
        let dialling = files.dialling.as_ref();
        let mut out_of_date = None;
        let tls = Tls {
            acceptor: accepting
                .map(|side| acceptor(side, &mut out_of_date))
                .transpose()?,
            connector: dialling
                .map(|side| connector(side, &mut out_of_date))
                .transpose()?,
            insecure: dialling.is_some_and(|side| side.insecure),
        };
        Ok(Self {
            files,
            tls,
            out_of_date,
            stamps,
        })
    }

    /// What is wrong with each of the files that these settings name, whatever they are for.
    pub(super) fn faults(values: &Values) -> Vec<CertificatesError> {
        // Not every role has all of them.
        let path = |opt: &Opt| {
            let opt = values.find(opt.flag)?;
            values.path(opt.name()).ok().flatten()
        };
        let mut faults = Vec::new();
        for (cert, key) in [(&CERT, &KEY), (&CLIENT_CERT, &CLIENT_KEY)] {
            let (own, secret) = (path(cert), path(key));
            let named = [(cert, &own), (key, &secret)];
            let named = named
                .iter()
                .filter_map(|(opt, path)| Some((opt, path.as_ref()?)));
            let unread = named.filter_map(|(opt, path)| read(opt.flag, path).err());
            let unread: Vec<_> = unread.collect();
            // What fits together is seen where both can be read.
            if let (Some(cert_path), true) = (own, unread.is_empty()) {
                let pair = Pair {
                    cert: cert_path,
                    key: secret,
                };
                faults.extend(identity(&pair, cert.flag, key.flag).err());
            }
            faults.extend(unread);
        }
        for opt in [&CLIENT_CA, &CA] {
            faults.extend(path(opt).and_then(|path| roots(opt.flag, &path).err()));
        }
        faults
    }

    /// What is wrong with the dates of a certificate of our own, that is taken all the same.
    pub fn out_of_date(&self) -> Option<&CertificatesError> {
        self.out_of_date.as_ref()
    }

    /// What a role needs.
    pub fn tls(&self) -> Tls {
        self.tls.clone()
    }

    /// Whether they come from the same files.
    pub fn has_files_of(&self, other: &Self) -> bool {
        self.files == other.files
    }

    /// Whether there is nothing to read: no file, and not the system's own.
    pub fn are_none(&self) -> bool {
        let dialling = self.files.dialling.as_ref();
        self.files.all().is_empty() && dialling.is_none_or(|side| side.insecure)
    }

    /// Reads the files again. What they say holds for the connections that begin from now on.
    ///
    /// # Errors
    /// Which file can't be used, and why, which here may be its dates: then nothing changes.
    pub fn renew(&self) -> Result<(), CertificatesError> {
        let read = Self::read(self.files.clone())?;
        if let Some(fault) = read.out_of_date {
            return Err(fault);
        }
        let fresh = read.tls;
        if let (Some(held), Some(fresh)) = (&self.tls.acceptor, &fresh.acceptor) {
            held.renew(fresh);
        }
        if let (Some(held), Some(fresh)) = (&self.tls.connector, &fresh.connector) {
            held.renew(fresh);
        }
        Ok(())
    }

    /// What the files were when they were read first.
    pub fn first_stamps(&self) -> &[Stamp] {
        &self.stamps
    }

    /// What the files are at present.
    pub fn stamps(&self) -> Vec<Stamp> {
        stamps(&self.files)
    }
}

/// What tells one state of a file from another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp(Option<[i64; 5]>);

impl Stamp {
    fn of(path: &Path) -> Self {
        // Through links, which is how some programs put a new certificate in the old one's place.
        let found = fs::metadata(path).ok();
        Self(found.map(|file| {
            let which = [file.dev() as i64, file.ino() as i64];
            [
                which[0],
                which[1],
                file.len() as i64,
                file.mtime(),
                file.mtime_nsec(),
            ]
        }))
    }
}

fn stamps(files: &Files) -> Vec<Stamp> {
    files.all().iter().map(|path| Stamp::of(path)).collect()
}

fn acceptor(
    side: &Accepting,
    out_of_date: &mut Option<CertificatesError>,
) -> Result<Acceptor, CertificatesError> {
    let (cert, key) = ("--tls-cert", "--tls-key");
    let own = identity(&side.own, cert, key)?;
    look_at_dates(&own, cert, &side.own.cert, out_of_date);
    let ca = side.ca.as_ref().map(|path| roots("--tls-client-ca", path));
    Acceptor::new(own, ca.transpose()?).map_err(|fault| blame(&side.own, cert, key, fault))
}

fn connector(
    side: &Dialling,
    out_of_date: &mut Option<CertificatesError>,
) -> Result<Connector, CertificatesError> {
    let (cert, key) = ("--tls-client-cert", "--tls-client-key");
    let own = side.own.as_ref().map(|pair| {
        identity(pair, cert, key).inspect(|own| look_at_dates(own, cert, &pair.cert, out_of_date))
    });
    let trust = match &side.ca {
        _ if side.insecure => Trust::Anyone,
        Some(path) => Trust::Roots(roots("--tls-ca", path)?),
        None => Trust::Roots(Roots::of_system().map_err(CertificatesError::System)?),
    };
    Connector::new(trust, own.transpose()?).map_err(|fault| match &side.own {
        Some(pair) => blame(pair, cert, key, fault),
        None => CertificatesError::System(fault),
    })
}

fn identity(
    pair: &Pair,
    cert: &'static str,
    key: &'static str,
) -> Result<Identity, CertificatesError> {
    let chain = read(cert, &pair.cert)?;
    let secret = pair.key.as_ref().map(|path| read(key, path)).transpose()?;
    Identity::from_pem(&chain, secret.as_ref().unwrap_or(&chain))
        .map_err(|fault| blame(pair, cert, key, fault))
}

fn look_at_dates(
    own: &Identity,
    flag: &'static str,
    path: &Path,
    found: &mut Option<CertificatesError>,
) {
    if let Some(fault) = own.is_out_of_date() {
        *found = Some(CertificatesError::OutOfDate {
            flag,
            path: path.to_owned(),
            fault,
        });
    }
}

/// Names the file that is at fault.
fn blame(pair: &Pair, cert: &'static str, key: &'static str, fault: Fault) -> CertificatesError {
    let (flag, path) = match &pair.key {
        Some(path) if fault.is_about_key() => (key, path),
        _ => (cert, &pair.cert),
    };
    CertificatesError::File {
        flag,
        path: path.clone(),
        fault,
    }
}

fn roots(flag: &'static str, path: &Path) -> Result<Roots, CertificatesError> {
    Roots::from_pem(&read(flag, path)?).map_err(|fault| CertificatesError::File {
        flag,
        path: path.to_owned(),
        fault,
    })
}

fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, CertificatesError> {
    let read = read_bounded(path, FILE_MAX);
    let (bytes, _) = read.map_err(|error| CertificatesError::Unreadable {
        flag,
        path: path.to_owned(),
        kind: error.kind(),
    })?;
    match bytes.len() as u64 {
        0..=FILE_MAX => Ok(bytes),
        _ => Err(CertificatesError::TooLong {
            flag,
            path: path.to_owned(),
        }),
    }
}

/// Why certificates can't be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificatesError {
    /// A file can't be read.
    Unreadable {
        /// The option that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        kind: io::ErrorKind,
    },
    /// A file is longer than 1 MiB.
    TooLong {
        /// The option that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
    },
    /// What is in a file can't be used.
    File {
        /// The option that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        fault: Fault,
    },
    /// Whoever checks the dates of our certificate refuses it.
    OutOfDate {
        /// The option that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with them.
        fault: CertificateFault,
    },
    /// The system's own certificates can't be used.
    System(Fault),
}

impl fmt::Display for CertificatesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = |path: &Path| Typed(&path.to_string_lossy()).to_string();
        match self {
            Self::Unreadable { flag, path, kind } => {
                let path = named(path);
                match kind {
                    io::ErrorKind::NotFound => {
                        write!(f, "can't read {flag} {path}: no such file or directory")
                    }
                    io::ErrorKind::TimedOut => write!(f, "can't read {flag} {path}: {NO_END}"),
                    io::ErrorKind::ResourceBusy => write!(f, "can't read {flag} {path}: {NO_ROOM}"),
                    kind => write!(f, "can't read {flag} {path}: {kind}"),
                }
            }
            Self::TooLong { flag, path } => {
                write!(f, "{flag} {} is too long: the most is 1M", named(path))
            }
            Self::OutOfDate { flag, path, fault } => write!(f, "{flag} {} {fault}", named(path)),
            Self::File { flag, path, fault } => write!(f, "{flag} {} {fault}", named(path)),
            Self::System(fault) => {
                write!(f, "this system {fault}; --tls-ca FILE says whom to trust")
            }
        }
    }
}

impl Error for CertificatesError {}

/// The longest file that is read: as many issuers as a system has fit in a quarter of it.
const FILE_MAX: u64 = 1 << 20;
