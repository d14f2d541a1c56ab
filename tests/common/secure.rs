//! Those whom the program talks to by TLS: the same library at the other end, with a blocking socket, and what they
//! need of files.

use std::fs;
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::ops::DerefMut;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{
    ClientConfig, ClientConnection, ConnectionCommon, DEFAULT_VERSIONS, RootCertStore,
    ServerConfig, ServerConnection, SideData, StreamOwned, SupportedProtocolVersion,
};

use super::authority::{Authority, Issued};
use super::peers::connect;
use super::scratch::Scratch;

pub(crate) type Client = StreamOwned<ClientConnection, TcpStream>;
pub(crate) type Server = StreamOwned<ServerConnection, TcpStream>;

/// An authority, and the files that name it and what it has issued for `localhost` and 127.0.0.1.
pub(crate) struct Office {
    pub(crate) authority: Authority,
    pub(crate) folder: Scratch,
}

impl Office {
    /// `ca`, `cert` and `key` are in its folder.
    pub(crate) fn new() -> Self {
        let office = Self {
            authority: Authority::new(),
            folder: Scratch::new(),
        };
        office.put("ca", &office.authority.pem());
        office.install(&office.issue());
        office
    }

    /// One more certificate like the one in `cert`.
    pub(crate) fn issue(&self) -> Issued {
        self.authority.issue(&["localhost", "127.0.0.1"])
    }

    /// Puts this in the place of `cert` and `key`.
    pub(crate) fn install(&self, issued: &Issued) {
        self.put("cert", &issued.certificate);
        self.put("key", &issued.key);
    }

    /// Puts a file into the folder, in one step.
    pub(crate) fn put(&self, name: &str, text: &str) {
        let fresh = self.folder.at("fresh");
        fs::write(&fresh, text).expect("the folder is ours");
        fs::rename(&fresh, self.folder.at(name)).expect("both are in the folder");
    }

    /// The path of a file.
    pub(crate) fn at(&self, name: &str) -> String {
        self.folder.at(name)
    }

    /// The flags of a side to which others connect.
    pub(crate) fn accepting(&self) -> String {
        format!(
            "--tls-cert {} --tls-key {}",
            self.at("cert"),
            self.at("key")
        )
    }

    /// The flags of a side that dials.
    pub(crate) fn dialling(&self) -> String {
        format!("--tls-ca {}", self.at("ca"))
    }

    /// Connects by TLS, with either version.
    #[track_caller]
    pub(crate) fn connect(&self, to: SocketAddr) -> Client {
        self.client(connect(to), DEFAULT_VERSIONS, None)
    }

    /// Speaks TLS over a connection, as the side that dialled. Both sides know each other when it returns, as far as
    /// this side can tell.
    #[track_caller]
    pub(crate) fn client(
        &self,
        stream: TcpStream,
        versions: &[&'static SupportedProtocolVersion],
        show: Option<&Issued>,
    ) -> Client {
        let builder = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(versions)
            .expect("they are supported")
            .with_root_certificates(self.roots());
        let config = match show {
            None => builder.with_no_client_auth(),
            Some(issued) => {
                let (chain, key) = parts(issued);
                builder.with_client_auth_cert(chain, key).expect("it fits")
            }
        };
        let name = "localhost".try_into().expect("a name");
        let conn = ClientConnection::new(Arc::new(config), name).expect("a session");
        let mut client = StreamOwned::new(conn, stream);
        client.flush().expect("the hello can be sent");
        while client.conn.is_handshaking() {
            client
                .conn
                .complete_io(&mut client.sock)
                .unwrap_or_else(|error| panic!("no handshake: {error}"));
        }
        client
    }

    /// Speaks TLS over a connection, as the side that was dialled.
    #[track_caller]
    pub(crate) fn server(&self, stream: TcpStream, issued: &Issued, asks: bool) -> Server {
        let builder = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .expect("they are supported");
        let (chain, key) = parts(issued);
        let builder = if asks {
            let roots = Arc::new(self.roots());
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider());
            builder.with_client_cert_verifier(verifier.build().expect("there is a root"))
        } else {
            builder.with_no_client_auth()
        };
        let config = builder.with_single_cert(chain, key).expect("it fits");
        let conn = ServerConnection::new(Arc::new(config)).expect("a session");
        StreamOwned::new(conn, stream)
    }

    fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(self.authority.pem().as_bytes());
        roots.add(ca.expect("a certificate")).expect("a root");
        roots
    }
}

/// Says that nothing more will come, and sends what waits.
pub(crate) fn say_end<C, S>(ours: &mut StreamOwned<C, TcpStream>)
where
    C: DerefMut<Target = ConnectionCommon<S>>,
    S: SideData,
{
    ours.conn.send_close_notify();
    ours.flush().expect("the other end is there");
    while ours.conn.wants_write() {
        ours.conn
            .write_tls(&mut ours.sock)
            .expect("the other end is there");
    }
}

fn parts(issued: &Issued) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
    let key = PrivateKeyDer::from_pem_slice(issued.key.as_bytes());
    (
        vec![chain.expect("it was issued")],
        key.expect("it was issued"),
    )
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}
