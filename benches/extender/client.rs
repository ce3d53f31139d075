//! kube-scheduler's side: connections that are kept, one call after the other on each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use berth::server::{self, Handler, Limits, Tls, TlsFiles};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP/1.1, as beside the scheduler.
    Http1,
    /// HTTP/2 over TLS with client certificates, as from another machine.
    Http2,
}

impl Protocol {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http1 => "HTTP/1.1",
            Self::Http2 => "h2 (TLS)",
        }
    }
}

/// Certificates of both sides.
pub struct Secrets {
    _folder: TempDir,
    files: TlsFiles,
    client: Arc<ClientConfig>,
}

fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

impl Secrets {
    pub fn new() -> Self {
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let authority = params.self_signed(&key).expect("a certificate");
        let issuer = Issuer::new(params, key);
        let issue = |name: &str| {
            let key = KeyPair::generate().expect("a key");
            let certificate = named(name).signed_by(&key, &issuer).expect("a certificate");
            (certificate, key)
        };
        let (server, server_key) = issue("server");
        let (scheduler, scheduler_key) = issue("kube-scheduler");
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("a file");
            path
        };
        let files = TlsFiles {
            certificate: write("tls.crt", server.pem()),
            key: write("tls.key", server_key.serialize_pem()),
            client_ca: write("ca.crt", authority.pem()),
            client_subject: "CN=kube-scheduler".to_owned(),
        };
        let mut roots = RootCertStore::empty();
        roots.add(authority.der().clone()).expect("a root");
        let key = scheduler_key.serialize_pem();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key");
        let chain: Vec<CertificateDer<'static>> = vec![scheduler.der().clone()];
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .expect("a configuration");
        client.alpn_protocols = vec![b"h2".to_vec()];
        Self { _folder: folder, files, client: Arc::new(client) }
    }
}

/// Where a handler is served.
#[derive(Clone, Copy)]
pub struct Addresses {
    plain: SocketAddr,
    secured: SocketAddr,
}

/// Serves a handler both ways.
pub async fn serve(
    handler: &Arc<dyn Handler>,
    secrets: &Secrets,
    shutdown: &CancellationToken,
) -> Addresses {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let tls = Tls::load(secrets.files.clone()).expect("the files are right");
    let plain = server::bind_loopback(any).await.expect("a port");
    let secured = server::bind_tls(any, &tls).await.expect("a port");
    let addresses = Addresses { plain: plain.address(), secured: secured.address() };
    for listener in [plain, secured] {
        let serving = listener.serve(Arc::clone(handler), Limits::default(), shutdown.clone());
        tokio::spawn(serving);
    }
    addresses
}

/// What came of asking.
pub struct Asked {
    pub took: Vec<Duration>,
    pub last_answer: Bytes,
}

enum Connection {
    Http1(http1::SendRequest<Full<Bytes>>),
    Http2(http2::SendRequest<Full<Bytes>>),
}

impl Connection {
    async fn open(addresses: &Addresses, secrets: &Secrets, protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => {
                let stream = TcpStream::connect(addresses.plain).await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let (sender, connection) =
                    http1::handshake(TokioIo::new(stream)).await.expect("HTTP/1.1");
                tokio::spawn(connection);
                Self::Http1(sender)
            }
            Protocol::Http2 => {
                let stream = TcpStream::connect(addresses.secured).await.expect("a connection");
                stream.set_nodelay(true).expect("no delay");
                let connector = tokio_rustls::TlsConnector::from(Arc::clone(&secrets.client));
                let name = ServerName::try_from("localhost").expect("a name");
                let stream = connector.connect(name, stream).await.expect("a handshake");
                // Windows of 4 MB, as Go's client has them.
                let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(1 << 30)
                    .handshake(TokioIo::new(stream))
                    .await
                    .expect("h2");
                tokio::spawn(connection);
                Self::Http2(sender)
            }
        }
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Response<Incoming> {
        match self {
            Self::Http1(sender) => {
                sender.ready().await.expect("ready");
                sender.send_request(request).await.expect("an answer")
            }
            Self::Http2(sender) => {
                sender.ready().await.expect("ready");
                sender.send_request(request).await.expect("an answer")
            }
        }
    }
}

/// Asks on so many connections for so long, one call after the other on each.
pub async fn ask(
    addresses: &Addresses,
    secrets: &Secrets,
    protocol: Protocol,
    connections: usize,
    verb: &'static str,
    bodies: &[Bytes],
    for_long: Duration,
) -> Asked {
    let mut tasks = JoinSet::new();
    for _ in 0..connections {
        let mut connection = Connection::open(addresses, secrets, protocol).await;
        let bodies = bodies.to_vec();
        tasks.spawn(async move {
            let (mut took, mut last_answer) = (Vec::new(), Bytes::new());
            let until = Instant::now() + for_long;
            let mut bodies = bodies.iter().cycle();
            while Instant::now() < until {
                let body = bodies.next().cloned().unwrap_or_default();
                let request = Request::post(format!("https://localhost/{verb}"))
                    .header(CONTENT_TYPE, "application/json")
                    .header(HOST, "localhost")
                    .body(Full::new(body))
                    .expect("a request");
                let began = Instant::now();
                let response = connection.send(request).await;
                let answer = response.into_body().collect().await.expect("an answer").to_bytes();
                took.push(began.elapsed());
                last_answer = answer;
            }
            Asked { took, last_answer }
        });
    }
    let mut all = Asked { took: Vec::new(), last_answer: Bytes::new() };
    while let Some(asked) = tasks.join_next().await {
        let asked = asked.expect("no connection breaks");
        all.took.extend(asked.took);
        all.last_answer = asked.last_answer;
    }
    all
}
