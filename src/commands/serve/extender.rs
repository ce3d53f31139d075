//! How the extender is served: the flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::server::TlsFiles;

/// What says how the extender is served.
#[derive(Clone, Debug, Args)]
pub(super) struct ExtenderArguments {
    /// Where kube-scheduler asks; a loopback address unless TLS is served
    #[arg(
        long = "extender-address",
        value_name = "ADDRESS",
        env = "BERTH_EXTENDER_ADDRESS",
        default_value = "127.0.0.1:8888"
    )]
    pub(super) address: SocketAddr,
    /// Bind pods too, for a scheduler whose configuration has bindVerb; needs the right to create
    /// pods/binding
    #[arg(long = "extender-bind", env = "BERTH_EXTENDER_BIND")]
    pub(super) bind: bool,
    /// Serve TLS: the certificate chain, PEM; files are read again when they change
    #[arg(
        long = "extender-tls-cert",
        value_name = "FILE",
        env = "BERTH_EXTENDER_TLS_CERT",
        requires_all = ["key", "client_ca", "client_subject"]
    )]
    certificate: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(
        long = "extender-tls-key",
        value_name = "FILE",
        env = "BERTH_EXTENDER_TLS_KEY",
        requires = "certificate"
    )]
    key: Option<PathBuf>,
    /// The CA that signs the scheduler's client certificate and nothing else, PEM
    #[arg(
        long = "extender-tls-client-ca",
        value_name = "FILE",
        env = "BERTH_EXTENDER_TLS_CLIENT_CA",
        requires = "certificate"
    )]
    client_ca: Option<PathBuf>,
    /// The subject of that certificate, for example CN=kube-scheduler
    #[arg(
        long = "extender-tls-client-subject",
        value_name = "SUBJECT",
        env = "BERTH_EXTENDER_TLS_CLIENT_SUBJECT",
        requires = "certificate"
    )]
    client_subject: Option<String>,
}

impl ExtenderArguments {
    /// The files, if TLS is to be served. The flags come together or not at all.
    pub(super) fn tls(&self) -> Option<TlsFiles> {
        Some(TlsFiles {
            certificate: self.certificate.clone()?,
            key: self.key.clone()?,
            client_ca: self.client_ca.clone()?,
            client_subject: self.client_subject.clone()?,
        })
    }
}
