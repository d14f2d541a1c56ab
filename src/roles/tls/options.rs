//! The options of every role that speaks TLS, and what of them fits together. Files are named here, and read elsewhere.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;

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
        let pair =
            |cert: &'static str, key: &'static str| match (values.path(cert)?, values.path(key)?) {
                (Some(cert), key) => Ok(Some(Pair { cert, key })),
                (None, Some(_)) => Err(FilesError::Alone {
                    name: key,
                    needs: cert,
                }),
                (None, None) => Ok(None),
            };
        for (name, met, needs) in [
            (CERT.name(), accepts, LISTENS),
            (KEY.name(), accepts, LISTENS),
            (CLIENT_CA.name(), accepts, LISTENS),
            (CA.name(), dials, DIALS),
            (CLIENT_CERT.name(), dials, DIALS),
            (CLIENT_KEY.name(), dials, DIALS),
            (INSECURE.name(), dials, DIALS),
        ] {
            if !met && values.given(name) {
                return Err(FilesError::InVain { name, needs });
            }
        }
        let own = pair(CERT.name(), KEY.name())?;
        let accepting = match own {
            None if accepts => return Err(FilesError::NoCertificate),
            None => None,
            Some(own) => Some(Accepting {
                own,
                ca: values.path(CLIENT_CA.name())?,
            }),
        };
        let dialling = Dialling {
            own: pair(CLIENT_CERT.name(), CLIENT_KEY.name())?,
            ca: values.path(CA.name())?,
            insecure: values.given(INSECURE.name()),
        };
        if dialling.insecure && dialling.ca.is_some() {
            return Err(FilesError::TrustTwice);
        }
        Ok(Self {
            accepting,
            dialling: dials.then_some(dialling),
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
const LISTENS: &str = "a tls:// to listen on";
const DIALS: &str = "a tls:// that is dialled";
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
