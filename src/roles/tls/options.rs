//! The options of every role that speaks TLS, and what of them fits together. Files are named here, and read elsewhere.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

use crate::base::endpoint::Endpoint;
use crate::base::option::{Kind, Opt, OptionError, Preset, Values};

/// `--tls-cert`.
pub const CERT: Opt = Opt {
    flag: "--tls-cert",
    help: "the certificate to show to those who connect to tls://, with those that lead to its issuer, in PEM",
    ..FILE
};

/// `--tls-key`.
pub const KEY: Opt = Opt {
    flag: "--tls-key",
    preset: Preset::Said("in the file of --tls-cert"),
    help: "the private key of that certificate, in PEM",
    ..FILE
};

/// `--tls-client-ca`.
pub const CLIENT_CA: Opt = Opt {
    flag: "--tls-client-ca",
    help: "those who connect to tls:// must show a certificate that one of these has issued",
    ..FILE
};

/// `--tls-ca`.
pub const CA: Opt = Opt {
    flag: "--tls-ca",
    preset: Preset::Said("those whom this system trusts"),
    help: "the issuers whom we trust when we dial tls://",
    ..FILE
};

/// `--tls-client-cert`.
pub const CLIENT_CERT: Opt = Opt {
    flag: "--tls-client-cert",
    help: "the certificate to show to a tls:// that is dialled and asks for one",
    ..FILE
};

/// `--tls-client-key`.
pub const CLIENT_KEY: Opt = Opt {
    flag: "--tls-client-key",
    preset: Preset::Said("in the file of --tls-client-cert"),
    help: "the private key of that certificate, in PEM",
    ..FILE
};

/// `--tls-insecure`.
pub const INSECURE: Opt = Opt {
    flag: "--tls-insecure",
    preset: Preset::Said("off"),
    group: TLS,
    help: "take the certificate of a tls:// that is dialled for good, whoever shows it; a warning says so",
    ..Opt::SWITCH
};

/// What one invocation says about certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// For those who connect to us; `None` where nobody does by TLS.
    pub accepting: Option<Accepting>,
    /// For those whom we dial; `None` where nobody is dialled by TLS.
    pub dialling: Option<Dialling>,
}

/// What those who connect to us are shown, and asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepting {
    /// The certificate and its key.
    pub own: Pair,
    /// `--tls-client-ca`: those whose certificates they have to show.
    pub ca: Option<PathBuf>,
}

/// What those whom we dial have to show, and may ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialling {
    /// Our certificate and its key.
    pub own: Option<Pair>,
    /// `--tls-ca`: whom we trust instead of those whom the system trusts.
    pub ca: Option<PathBuf>,
    /// `--tls-insecure`: anybody.
    pub insecure: bool,
}

/// The files of a certificate and of its key, which may be one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// The certificate.
    pub cert: PathBuf,
    /// The key, where it has a file of its own.
    pub key: Option<PathBuf>,
}

impl Files {
    /// Reads what was given to a role that lets others connect by TLS, or dials others by TLS, or both.
    ///
    /// # Errors
    /// Where something is missing, or was given for a side that is not there.
    pub fn new(values: &Values, accepts: bool, dials: bool) -> Result<Self, FilesError> {
        let (listens, dialled) = ("a tls:// to listen on", "a tls:// that is dialled");
        refuse_in_vain(values, ACCEPTING, accepts, listens)?;
        refuse_in_vain(values, DIALLING, dials, dialled)?;
        Ok(Self {
            accepting: accepts.then(|| accepting(values)).transpose()?,
            dialling: dials.then(|| dialling(values)).transpose()?,
        })
    }

    /// Reads what was given to a role to which others connect at one address, and which dials nobody. It speaks TLS
    /// where the address says so, and where there is a certificate to show.
    ///
    /// # Errors
    /// As [`Files::new`].
    pub fn of_server(values: &Values, at: &Endpoint) -> Result<Self, FilesError> {
        let is_given = ACCEPTING.iter().any(|opt| values.given(opt.name()));
        if let Endpoint::Unix(_) = at {
            refuse_in_vain(values, ACCEPTING, false, "an ADDR that is no Unix socket")?;
        }
        let accepts = at.is_tls() || is_given;
        Ok(Self {
            accepting: accepts.then(|| accepting(values)).transpose()?,
            dialling: None,
        })
    }

    /// Reads what was given to a role that dials one address, and to which nobody connects.
    ///
    /// # Errors
    /// As [`Files::new`].
    pub fn of_client(values: &Values, to: &Endpoint) -> Result<Self, FilesError> {
        refuse_in_vain(values, DIALLING, to.is_tls(), "a tls:// that is dialled")?;
        Ok(Self {
            accepting: None,
            dialling: to.is_tls().then(|| dialling(values)).transpose()?,
        })
    }

    /// Every file that is named.
    pub fn all(&self) -> Vec<PathBuf> {
        let pair = |pair: &Pair| [Some(pair.cert.clone()), pair.key.clone()];
        let accepting = self.accepting.iter().flat_map(|side| {
            let [cert, key] = pair(&side.own);
            [cert, key, side.ca.clone()]
        });
        let dialling = self.dialling.iter().flat_map(|side| {
            let [cert, key] = side.own.as_ref().map_or([None, None], pair);
            [cert, key, side.ca.clone()]
        });
        accepting.chain(dialling).flatten().collect()
    }
}

/// What was given for a side that is there.
fn accepting(values: &Values) -> Result<Accepting, FilesError> {
    let own = pair(values, &CERT, &KEY)?;
    Ok(Accepting {
        own: own.ok_or(FilesError::NoCertificate)?,
        ca: values.path(CLIENT_CA.name())?,
    })
}

fn dialling(values: &Values) -> Result<Dialling, FilesError> {
    let dialling = Dialling {
        own: pair(values, &CLIENT_CERT, &CLIENT_KEY)?,
        ca: values.path(CA.name())?,
        insecure: values.given(INSECURE.name()),
    };
    match dialling.insecure && dialling.ca.is_some() {
        true => Err(FilesError::TrustTwice),
        false => Ok(dialling),
    }
}

fn pair(values: &Values, cert: &Opt, key: &Opt) -> Result<Option<Pair>, FilesError> {
    let (cert, key) = (cert.name(), key.name());
    match (values.path(cert)?, values.path(key)?) {
        (Some(cert), key) => Ok(Some(Pair { cert, key })),
        (None, Some(_)) => Err(FilesError::Alone {
            name: key,
            needs: cert,
        }),
        (None, None) => Ok(None),
    }
}

fn refuse_in_vain(
    values: &Values,
    side: &'static [Opt],
    is_there: bool,
    needs: &'static str,
) -> Result<(), FilesError> {
    let given = side.iter().find(|opt| values.given(opt.name()));
    match given.filter(|_| !is_there) {
        Some(opt) => Err(FilesError::InVain {
            name: opt.name(),
            needs,
        }),
        None => Ok(()),
    }
}

/// What does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesError {
    /// An option's value is wrong.
    Option(OptionError),
    /// There is nothing to show to those who connect.
    NoCertificate,
    /// A key without its certificate.
    Alone {
        /// The key's option, without dashes.
        name: &'static str,
        /// The certificate's.
        needs: &'static str,
    },
    /// An option for a side that is not there.
    InVain {
        /// The option's name, without dashes.
        name: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// `--tls-ca` and `--tls-insecure` at once.
    TrustTwice,
}

impl fmt::Display for FilesError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Option(error) => error.fmt(f),
            Self::NoCertificate => f.write_str(
                "tls:// to listen on needs a certificate and its key: add --tls-cert FILE and --tls-key FILE",
            ),
            Self::Alone { name, needs } => write!(f, "--{name} alone proves nothing: add --{needs}"),
            Self::InVain { name, needs } => write!(f, "--{name} needs {needs}"),
            Self::TrustTwice => f.write_str(
                "--tls-ca and --tls-insecure contradict each other: leave one of them out",
            ),
        }
    }
}

impl Error for FilesError {}

impl From<OptionError> for FilesError {
    fn from(error: OptionError) -> Self {
        Self::Option(error)
    }
}

const FILE: Opt = Opt {
    kind: Kind::Path { max: PATH_MAX },
    unit: "FILE",
    preset: Preset::Said("none"),
    live: true,
    group: TLS,
    ..Opt::SWITCH
};
const TLS: &str = "TLS";
/// For those who connect to us, in the order of the help.
pub static ACCEPTING: &[Opt] = &[CERT, KEY, CLIENT_CA];
/// For those whom we dial.
pub static DIALLING: &[Opt] = &[CA, CLIENT_CERT, CLIENT_KEY, INSECURE];
const PATH_MAX: usize = 4095; // of Linux, without the zero at the end

#[cfg(test)]
mod tests {
    use super::*;

    static TABLE: &[Opt] = &[CERT, KEY, CLIENT_CA, CA, CLIENT_CERT, CLIENT_KEY, INSECURE];

    fn files(line: &str, accepts: bool, dials: bool) -> Result<Files, FilesError> {
        let mut values = Values::new(vec![TABLE]);
        let mut given = line.split_whitespace();
        while let Some(word) = given.next() {
            let opt = values.find(word).expect("it is in the table");
            let value = if opt.is_switch() {
                Some("")
            } else {
                given.next()
            };
            values.put(opt, value.expect("a value").to_owned());
        }
        Files::new(&values, accepts, dials)
    }

    #[test]
    fn what_is_given_arrives() {
        let all = "--tls-cert c --tls-key k --tls-client-ca a --tls-ca r --tls-client-cert cc --tls-client-key ck";
        let read = files(all, true, true).expect("it fits");
        let names = ["c", "k", "a", "cc", "ck", "r"].map(PathBuf::from);
        assert_eq!(read.all(), names);
        assert_eq!(files("", false, false), Ok(Files::default()));
        let one = files("--tls-cert both", true, false).expect("one file may hold both");
        assert_eq!(one.accepting.map(|side| side.own.key), Some(None));
        let any = files("--tls-insecure", false, true).expect("it fits");
        assert!(any.dialling.is_some_and(|side| side.insecure));
        assert!(files("", false, true).is_ok_and(|files| files.all().is_empty()));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let needs = "--tls-cert needs a tls:// to listen on";
        let cases = [
            ("--tls-cert c", false, true, needs),
            (
                "--tls-ca c",
                true,
                false,
                "--tls-ca needs a tls:// that is dialled",
            ),
            (
                "--tls-insecure",
                false,
                false,
                "--tls-insecure needs a tls:// that is dialled",
            ),
            (
                "--tls-key k",
                true,
                false,
                "--tls-key alone proves nothing: add --tls-cert",
            ),
            (
                "--tls-client-key k",
                false,
                true,
                "--tls-client-key alone proves nothing: add --tls-client-cert",
            ),
            (
                "",
                true,
                false,
                "tls:// to listen on needs a certificate and its key: add --tls-cert FILE and --tls-key FILE",
            ),
            (
                "--tls-ca c --tls-insecure",
                false,
                true,
                "--tls-ca and --tls-insecure contradict each other: leave one of them out",
            ),
        ];
        for (line, accepts, dials, said) in cases {
            let error = files(line, accepts, dials).expect_err(line);
            assert_eq!(error.to_string(), said, "{line}");
        }
    }
}
