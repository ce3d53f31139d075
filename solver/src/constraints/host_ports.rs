//! Two pods of a node cannot take the same port of it.

use crate::model::HostPort;

/// Whether none of the wanted ports is taken.
pub fn check(wanted: &[HostPort], taken: &[HostPort]) -> bool {
    first_conflict(wanted, taken).is_none()
}

/// The first port that is taken.
pub fn explain(wanted: &[HostPort], taken: &[HostPort]) -> Option<String> {
    first_conflict(wanted, taken)
        .map(|port| format!("host port {} ({:?}) is taken", port.port, port.protocol))
}

fn first_conflict<'a>(wanted: &'a [HostPort], taken: &[HostPort]) -> Option<&'a HostPort> {
    wanted.iter().find(|port| taken.iter().any(|other| other.conflicts(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Name, Protocol};

    fn port(ip: &str, protocol: Protocol, port: u16) -> HostPort {
        HostPort { ip: Name::from(ip), protocol, port }
    }

    #[test]
    fn a_port_is_taken_on_its_address_or_on_all() {
        let taken = [port("0.0.0.0", Protocol::Tcp, 80), port("10.0.0.1", Protocol::Udp, 53)];
        let cases = [
            (port("10.0.0.9", Protocol::Tcp, 80), false),
            (port("0.0.0.0", Protocol::Udp, 80), true),
            (port("0.0.0.0", Protocol::Udp, 53), false),
            (port("10.0.0.2", Protocol::Udp, 53), true),
            (port("0.0.0.0", Protocol::Tcp, 81), true),
        ];
        for (wanted, free) in cases {
            assert_eq!(check(std::slice::from_ref(&wanted), &taken), free, "{wanted:?}");
        }
        assert_eq!(
            explain(&[port("0.0.0.0", Protocol::Tcp, 80)], &taken).as_deref(),
            Some("host port 80 (Tcp) is taken")
        );
    }
}
