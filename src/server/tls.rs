//! TLS for a port that others than the machine itself may reach.
//!
//! A client must show a certificate from a CA that is for nothing else, with one certain subject.
//! The files are read again every few seconds by their content, so that a Secret that Kubernetes
//! swaps under the daemon (a symbolic link named `..data`) is taken up without a restart: by new
//! connections, while old ones go on. Files that make no sense are logged, and what was there
//! before stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use x509_parser::objects::{oid_registry, oid2abbrev};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Where the files are, and who may connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
    /// The certificates of the CA that signs the client's certificate, PEM.
    pub client_ca: PathBuf,
    /// The subject of the client's certificate, attribute by attribute in the certificate's order:
    /// `CN=kube-scheduler` or `O=berth,CN=kube-scheduler`.
    pub client_subject: String,
}

/// Why TLS cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("{file}: {source}", file = file.display())]
    Unreadable {
        /// Which.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{file}: {wrong}: expected {expected} in PEM", file = file.display())]
    Malformed {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        wrong: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// Certificate and key do not go together, or the CA is of no use.
    #[error("{file}: {wrong}", file = file.display())]
    Unusable {
        /// Which.
        file: PathBuf,
        /// What is wrong.
        wrong: String,
    },
    /// The subject makes no sense.
    #[error(
        "the subject of the client's certificate is {0:?}: expected attributes like \
         CN=kube-scheduler, separated by commas"
    )]
    Subject(String),
}

/// What was in the files.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contents {
    certificate: Vec<u8>,
    key: Vec<u8>,
    client_ca: Vec<u8>,
}

impl Contents {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |file: &Path| {
            std::fs::read(file)
                .map_err(|source| TlsError::Unreadable { file: file.to_owned(), source })
        };
        Ok(Self {
            certificate: read(&files.certificate)?,
            key: read(&files.key)?,
            client_ca: read(&files.client_ca)?,
        })
    }
}

/// How connections are secured, as the files say now.
#[derive(Debug)]
pub struct Tls {
    files: TlsFiles,
    read: Contents,
    current: Arc<ArcSwap<ServerConfig>>,
}

/// The side of it that accepts connections.
#[derive(Clone, Debug)]
pub(super) struct Acceptor(Arc<ArcSwap<ServerConfig>>);

impl Acceptor {
    pub(super) fn latest(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.0.load_full())
    }
}

impl Tls {
    /// Reads the files.
    ///
    /// # Errors
    /// When one is not there, does not hold what it should, or the subject makes no sense.
    pub fn load(files: TlsFiles) -> Result<Self, TlsError> {
        let read = Contents::read(&files)?;
        let config = server_config(&files, &read)?;
        Ok(Self { files, read, current: Arc::new(ArcSwap::from_pointee(config)) })
    }

    pub(super) fn acceptor(&self) -> Acceptor {
        Acceptor(Arc::clone(&self.current))
    }

    /// Reads the files again every so often, until `stop` is cancelled.
    pub async fn keep_fresh(mut self, every: Duration, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(every) => {}
            }
            match self.refresh() {
                Ok(false) => {}
                Ok(true) => tracing::info!("the TLS files have changed: they are in use now"),
                Err(error) => {
                    tracing::error!(%error, "the TLS files are not right: the old ones stay in use");
                }
            }
        }
    }

    /// Reads the files again. Returns whether anything changed. The same wrong content is
    /// complained about once.
    fn refresh(&mut self) -> Result<bool, TlsError> {
        let read = Contents::read(&self.files)?;
        if read == self.read {
            return Ok(false);
        }
        self.read = read;
        self.current.store(Arc::new(server_config(&self.files, &self.read)?));
        Ok(true)
    }
}

/// A new configuration has no memory of old sessions: nobody resumes one that it would refuse.
fn server_config(files: &TlsFiles, read: &Contents) -> Result<ServerConfig, TlsError> {
    let unusable = |file: &Path| {
        let file = file.to_owned();
        move |wrong: String| TlsError::Unusable { file, wrong }
    };
    let chain = certificates(&files.certificate, &read.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read.key).map_err(|error| TlsError::Malformed {
        file: files.key.clone(),
        wrong: error.to_string(),
        expected: "a private key",
    })?;
    let mut roots = RootCertStore::empty();
    for root in certificates(&files.client_ca, &read.client_ca)? {
        roots.add(root).map_err(|error| unusable(&files.client_ca)(error.to_string()))?;
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let inner = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(&provider))
        .build()
        .map_err(|error| unusable(&files.client_ca)(error.to_string()))?;
    let subject = parse_subject(&files.client_subject)
        .ok_or_else(|| TlsError::Subject(files.client_subject.clone()))?;
    let in_certificate = |error: rustls::Error| unusable(&files.certificate)(error.to_string());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&TLS13])
        .map_err(in_certificate)?
        .with_client_cert_verifier(Arc::new(Pinned { inner, subject }))
        .with_single_cert(chain, key)
        .map_err(in_certificate)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn certificates(file: &Path, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let malformed = |wrong: String| TlsError::Malformed {
        file: file.to_owned(),
        wrong,
        expected: "certificates",
    };
    let all: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|error| malformed(error.to_string()))?;
    if all.is_empty() { Err(malformed("there is no certificate".to_owned())) } else { Ok(all) }
}

/// Attributes of a subject, as `("CN", "kube-scheduler")`.
type Subject = Vec<(String, String)>;

fn parse_subject(text: &str) -> Option<Subject> {
    text.split(',')
        .map(|attribute| {
            let (kind, value) = attribute.split_once('=')?;
            let (kind, value) = (kind.trim(), value.trim());
            (!kind.is_empty() && !value.is_empty()).then(|| (kind.to_owned(), value.to_owned()))
        })
        .collect()
}

/// The subject of a certificate. Attributes are kept apart, so that no value can pass for two.
fn subject_of(certificate: &CertificateDer<'_>) -> Option<Subject> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    certificate
        .subject()
        .iter_attributes()
        .map(|attribute| {
            let oid = attribute.attr_type();
            let kind = match oid2abbrev(oid, oid_registry()) {
                Ok(kind) => kind.to_owned(),
                Err(_) => oid.to_id_string(),
            };
            Some((kind, attribute.as_str().ok()?.to_owned()))
        })
        .collect()
}

/// Takes a client's certificate if its CA is right, and then only one subject.
#[derive(Debug)]
struct Pinned {
    inner: Arc<dyn ClientCertVerifier>,
    subject: Subject,
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        let subject = subject_of(end_entity);
        if subject.as_ref() == Some(&self.subject) {
            return Ok(verified);
        }
        tracing::warn!(?subject, expected = ?self.subject, "a client with another subject");
        Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests;
