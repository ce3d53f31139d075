//! How the extender is served: the flags.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::server::{Limits, TlsFiles};

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
    /// The largest request that is read, in MiB. The names of 5,000 nodes are 0.2 MiB; whole nodes,
    /// which come without nodeCacheCapable, about 14 MiB a thousand
    #[arg(
        long = "extender-body-mib",
        value_name = "MIB",
        env = "BERTH_EXTENDER_BODY_MIB",
        default_value_t = 4,
        value_parser = clap::value_parser!(u16).range(1..=256)
    )]
    body_mib: u16,
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
    /// What a client may use up at most.
    pub(super) fn limits(&self) -> Limits {
        Limits { body: usize::from(self.body_mib) << 20, ..Limits::default() }
    }

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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        extender: ExtenderArguments,
    }

    fn body(arguments: &[&str]) -> Result<usize, String> {
        let command = Command::try_parse_from([&["berth"], arguments].concat());
        command.map(|command| command.extender.limits().body).map_err(|error| error.to_string())
    }

    #[test]
    fn whole_nodes_of_a_large_cluster_are_read_when_asked_for() {
        assert_eq!(body(&[]), Ok(4 << 20));
        assert_eq!(body(&["--extender-body-mib", "64"]), Ok(64 << 20));
        let refused = body(&["--extender-body-mib", "0"]).unwrap_err();
        assert!(
            refused.contains("--extender-body-mib") && refused.contains("1..=256"),
            "{refused}"
        );
    }
}
