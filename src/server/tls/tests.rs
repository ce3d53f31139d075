//! Over real sockets, with certificates made on the spot.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::server::{Handler, Limits, Reply, bind_tls, json, text};

/// Nothing here takes this long unless it hangs.
const DEADLINE: Duration = Duration::from_secs(30);
const BODY: &str = r#"{"some":"body"}"#;

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(result) => result,
        Err(_) => panic!("{what}: still waiting after {DEADLINE:?}"),
    }
}

/// Gives every body back, if it is JSON.
struct Echo;

impl Handler for Echo {
    fn handle(&self, request: Request<Bytes>) -> Reply {
        let parsed = serde_json::from_slice::<serde_json::Value>(request.body());
        match parsed {
            Ok(_) => json(hyper::StatusCode::OK, request.into_body()).into(),
            Err(error) => text(hyper::StatusCode::BAD_REQUEST, error.to_string()).into(),
        }
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// A certificate and its key, PEM.
struct Issued(String, String);

fn named(attributes: &[(DnType, &str)]) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    for (kind, value) in attributes {
        name.push(kind.clone(), *value);
    }
    name
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = named(&[(DnType::CommonName, "authority")]);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    fn issue(&self, host: Option<&str>, subject: &[(DnType, &str)]) -> Issued {
        let hosts: Vec<String> = host.into_iter().map(str::to_owned).collect();
        let mut params = CertificateParams::new(hosts).unwrap();
        params.distinguished_name = named(subject);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Issued(certificate.pem(), key.serialize_pem())
    }

    fn server(&self) -> Issued {
        self.issue(Some("localhost"), &[(DnType::CommonName, "server")])
    }

    fn scheduler(&self) -> Issued {
        self.issue(
            None,
            &[(DnType::OrganizationName, "berth"), (DnType::CommonName, "kube-scheduler")],
        )
    }
}

/// The files as Kubernetes mounts a Secret: `tls.crt` leads through `..data` to a folder.
struct Mounted {
    folder: TempDir,
    version: u32,
}

impl Mounted {
    fn new(server: &Issued, client_ca: &str) -> Self {
        let mut mounted = Self { folder: tempfile::tempdir().unwrap(), version: 0 };
        mounted.swap(&server.0, &server.1, client_ca);
        for file in ["tls.crt", "tls.key", "ca.crt"] {
            let link = mounted.folder.path().join(file);
            std::os::unix::fs::symlink(Path::new("..data").join(file), link).unwrap();
        }
        mounted
    }

    /// Writes everything into a new folder and swaps the link, all at once.
    fn swap(&mut self, certificate: &str, key: &str, client_ca: &str) {
        self.version += 1;
        let root = self.folder.path();
        let name = format!("..version-{}", self.version);
        let folder = root.join(&name);
        std::fs::create_dir(&folder).unwrap();
        for (file, text) in [("tls.crt", certificate), ("tls.key", key), ("ca.crt", client_ca)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
        let new = root.join("..data_tmp");
        std::os::unix::fs::symlink(name, &new).unwrap();
        std::fs::rename(new, root.join("..data")).unwrap();
    }

    fn files(&self) -> TlsFiles {
        let file = |name| self.folder.path().join(name);
        TlsFiles {
            certificate: file("tls.crt"),
            key: file("tls.key"),
            client_ca: file("ca.crt"),
            client_subject: "O=berth, CN=kube-scheduler".to_owned(),
        }
    }
}

struct Server {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

async fn serve(tls: &Tls, limits: Limits) -> Server {
    let listener = bind_tls(SocketAddr::from(([127, 0, 0, 1], 0)), tls).await.unwrap();
    let (address, stop) = (listener.address(), CancellationToken::new());
    let task = tokio::spawn(listener.serve(Arc::new(Echo), limits, stop.clone()));
    Server { address, stop, task }
}

/// A client that trusts one CA and shows a certificate, if it has one.
struct Client<'a> {
    trusts: &'a Authority,
    shows: Option<&'a Issued>,
}

impl Client<'_> {
    fn config(&self, protocol: &str) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.trusts.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match self.shows {
            None => config.with_no_client_auth(),
            Some(Issued(certificate, key)) => config
                .with_client_auth_cert(
                    vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                    PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
                )
                .unwrap(),
        };
        config.alpn_protocols = vec![protocol.as_bytes().to_vec()];
        config
    }

    async fn connect(
        &self,
        server: &Server,
        protocol: &str,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(server.address).await?;
        let connector = TlsConnector::from(Arc::new(self.config(protocol)));
        let name = ServerName::try_from("localhost").unwrap();
        let stream = within("handshake", connector.connect(name, stream)).await?;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(protocol.as_bytes()));
        Ok(stream)
    }

    /// One call over HTTP/1.1: its status, or `None` if the server hung up.
    async fn status(&self, server: &Server) -> Option<u16> {
        let mut stream = self.connect(server, "http/1.1").await.ok()?;
        stream.write_all(request(BODY).as_bytes()).await.ok()?;
        status(&mut stream).await
    }
}

fn request(body: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

async fn status(stream: &mut TlsStream<TcpStream>) -> Option<u16> {
    let mut head = [0; 12];
    within("answer", stream.read_exact(&mut head)).await.ok()?;
    std::str::from_utf8(&head[9..]).unwrap().parse().ok()
}

fn quick() -> Limits {
    let timeout = Duration::from_millis(200);
    Limits {
        handshake_timeout: timeout,
        header_timeout: timeout,
        body_timeout: timeout,
        ..Limits::default()
    }
}

#[tokio::test]
async fn only_the_right_certificate_of_the_right_authority_is_let_in() {
    let (authority, other) = (Authority::new(), Authority::new());
    let mounted = Mounted::new(&authority.server(), &authority.pem);
    let server = serve(&Tls::load(mounted.files()).unwrap(), Limits::default()).await;
    let status = async |shown: Option<Issued>| {
        Client { trusts: &authority, shows: shown.as_ref() }.status(&server).await
    };
    assert_eq!(status(Some(authority.scheduler())).await, Some(200));
    assert_eq!(status(None).await, None, "no certificate");
    assert_eq!(status(Some(other.scheduler())).await, None, "another CA");
    let organization = (DnType::OrganizationName, "berth");
    for subject in [
        vec![organization.clone(), (DnType::CommonName, "another")],
        vec![(DnType::CommonName, "kube-scheduler")],
        vec![(DnType::CommonName, "kube-scheduler"), organization.clone()],
        vec![(DnType::OrganizationName, "berth,CN=kube-scheduler")],
    ] {
        let shown = authority.issue(None, &subject);
        assert_eq!(status(Some(shown)).await, None, "{subject:?}");
    }
    assert_eq!(status(Some(authority.scheduler())).await, Some(200));
    // Nor does it speak plain HTTP.
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(request(BODY).as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = within("plain", plain.read_to_end(&mut answer)).await;
    assert!(!answer.starts_with(b"HTTP"), "{answer:?}");
}

#[tokio::test]
async fn http_2_is_spoken_where_alpn_asks_for_it() {
    let authority = Authority::new();
    let mounted = Mounted::new(&authority.server(), &authority.pem);
    let server = serve(&Tls::load(mounted.files()).unwrap(), Limits::default()).await;
    let scheduler = authority.scheduler();
    let client = Client { trusts: &authority, shows: Some(&scheduler) };
    let stream = client.connect(&server, "h2").await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream))
            .await
            .unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::post("https://localhost/").body(Full::new(Bytes::from(BODY))).unwrap();
    let response = within("h2", sender.send_request(request)).await.unwrap();
    assert_eq!((response.version(), response.status().as_u16()), (Version::HTTP_2, 200));
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), BODY);
    // A drain lets it end well.
    server.stop.cancel();
    within("server", server.task).await.unwrap();
    within("client", connection).await.unwrap().unwrap();
}

#[tokio::test]
async fn rotated_files_are_taken_up_and_wrong_ones_are_not() {
    let (old, new) = (Authority::new(), Authority::new());
    let (old_scheduler, new_scheduler) = (old.scheduler(), new.scheduler());
    let mut mounted = Mounted::new(&old.server(), &old.pem);
    let mut tls = Tls::load(mounted.files()).unwrap();
    let server = serve(&tls, Limits::default()).await;
    let as_before = Client { trusts: &old, shows: Some(&old_scheduler) };
    let as_after = Client { trusts: &new, shows: Some(&new_scheduler) };
    let mut kept = as_before.connect(&server, "http/1.1").await.unwrap();
    assert!(!tls.refresh().unwrap(), "nothing has changed");

    let broken = new.server();
    for (certificate, key, ca) in [
        ("nonsense", broken.1.as_str(), new.pem.as_str()),
        (&broken.0, "nonsense", &new.pem),
        (&broken.0, &broken.1, "nonsense"),
        (&broken.0, &new_scheduler.1, &new.pem),
    ] {
        mounted.swap(certificate, key, ca);
        tls.refresh().unwrap_err();
        assert!(!tls.refresh().unwrap(), "told once");
        assert_eq!(as_before.status(&server).await, Some(200));
        assert_eq!(as_after.status(&server).await, None);
    }

    mounted.swap(&broken.0, &broken.1, &new.pem);
    assert!(tls.refresh().unwrap());
    assert_eq!(as_after.status(&server).await, Some(200));
    assert_eq!(as_before.status(&server).await, None);
    // What is open stays open.
    kept.write_all(request(BODY).as_bytes()).await.unwrap();
    assert_eq!(status(&mut kept).await, Some(200));
}

#[tokio::test]
async fn files_are_read_again_by_themselves() {
    let (old, new) = (Authority::new(), Authority::new());
    let mut mounted = Mounted::new(&old.server(), &old.pem);
    let tls = Tls::load(mounted.files()).unwrap();
    let server = serve(&tls, Limits::default()).await;
    let fresh = tokio::spawn(tls.keep_fresh(Duration::from_millis(10), server.stop.clone()));
    let issued = new.server();
    mounted.swap(&issued.0, &issued.1, &new.pem);
    let scheduler = new.scheduler();
    let client = Client { trusts: &new, shows: Some(&scheduler) };
    let taken_up = async {
        while client.status(&server).await != Some(200) {
            tokio::task::yield_now().await;
        }
    };
    within("the new files are in use", taken_up).await;
    server.stop.cancel();
    within("the end", fresh).await.unwrap();
}

#[tokio::test]
async fn limits_hold_behind_tls_too() {
    let authority = Authority::new();
    let mounted = Mounted::new(&authority.server(), &authority.pem);
    let tls = Tls::load(mounted.files()).unwrap();
    let server = serve(&tls, Limits { body: 1_000, ..quick() }).await;
    let scheduler = authority.scheduler();
    let client = Client { trusts: &authority, shows: Some(&scheduler) };

    let mut silent = TcpStream::connect(server.address).await.unwrap();
    let end = within("no handshake", silent.read(&mut [0; 1])).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");

    let whole = request(BODY);
    let deep = "[".repeat(900);
    for (sent, expected) in [
        (&whole[..10], None),
        (&whole[..whole.len() - 1], Some(408)),
        (&request(&"x".repeat(1_001)), Some(413)),
        (&request(&deep), Some(400)),
        (&whole, Some(200)),
    ] {
        let mut stream = client.connect(&server, "http/1.1").await.unwrap();
        stream.write_all(sent.as_bytes()).await.unwrap();
        assert_eq!(status(&mut stream).await, expected, "{sent}");
    }
}

#[tokio::test]
async fn connections_over_the_limit_wait_behind_tls_too() {
    let authority = Authority::new();
    let mounted = Mounted::new(&authority.server(), &authority.pem);
    let tls = Tls::load(mounted.files()).unwrap();
    let server = serve(&tls, Limits { connections: 1, ..Limits::default() }).await;
    let scheduler = authority.scheduler();
    let client = Client { trusts: &authority, shows: Some(&scheduler) };
    let mut first = client.connect(&server, "http/1.1").await.unwrap();
    let second = client.status(&server);
    tokio::pin!(second);
    assert!(futures::poll!(&mut second).is_pending());
    first.write_all(request(BODY).as_bytes()).await.unwrap();
    assert_eq!(status(&mut first).await, Some(200), "while the second one waits");
    assert!(futures::poll!(&mut second).is_pending());
    drop(first);
    assert_eq!(within("its turn", second).await, Some(200));
}

#[test]
fn what_is_wrong_with_the_files_is_said() {
    let authority = Authority::new();
    let mounted = Mounted::new(&authority.server(), &authority.pem);
    let files = mounted.files();
    let why = |files: TlsFiles| Tls::load(files).unwrap_err().to_string();
    let nowhere = mounted.folder.path().join("nowhere");
    let said = why(TlsFiles { key: nowhere.clone(), ..files.clone() });
    assert!(said.starts_with(&format!("{}: ", nowhere.display())), "{said}");
    let said = why(TlsFiles { certificate: files.key.clone(), ..files.clone() });
    assert!(said.ends_with("there is no certificate: expected certificates in PEM"), "{said}");
    for subject in ["", "kube-scheduler", "CN=", "CN=a,,O=b"] {
        let said = why(TlsFiles { client_subject: subject.to_owned(), ..files.clone() });
        assert!(said.contains("expected attributes like CN=kube-scheduler"), "{said}");
    }
}
