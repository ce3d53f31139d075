//! No host port is taken twice.

use crate::model::HostPort;

use super::picture::{Host, ShapeId};
use super::{Code, Findings, Picture};

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    for host in &picture.hosts {
        let users: Vec<ShapeId> = host
            .pods
            .iter()
            .map(|(shape, _)| *shape)
            .filter(|shape| !picture.shapes[*shape].host_ports.is_empty())
            .collect();
        for (index, left) in users.iter().enumerate() {
            for right in &users[index..] {
                if let Some(port) = conflict(picture, host, *left, *right) {
                    findings.add(
                        Code::HostPort,
                        format!("{} would have host port {} taken twice", host.title, port.port),
                    );
                }
            }
        }
    }
}

/// A port that pods of both shapes would take, one of them placed by the plan.
fn conflict<'a>(
    picture: &Picture<'a>,
    host: &Host<'_>,
    left: ShapeId,
    right: ShapeId,
) -> Option<&'a HostPort> {
    let (left_count, right_count) = (host.count(left), host.count(right));
    if left_count.placed + right_count.placed == 0 || (left == right && left_count.all() < 2) {
        return None;
    }
    let others = &picture.shapes[right].host_ports;
    picture.shapes[left]
        .host_ports
        .iter()
        .find(|port| others.iter().any(|other| port.conflicts(other)))
}

#[cfg(test)]
mod tests {
    use crate::testing::{bound, cluster, node, pod, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    #[test]
    fn a_host_port_is_taken_once_on_a_node() {
        let web = shape(100, 100).host_port(8080).build();
        let other = shape(100, 100).host_port(8080).host_port(9090).build();
        let third = shape(100, 100).host_port(9091).build();
        let (one, two, three) = (pod("one", &web), pod("two", &other), pod("three", &third));
        let nodes = || cluster().node(node("n", 4000, 4096)).node(node("m", 4000, 4096));
        let pending = nodes().pods([one.clone(), two.clone(), three.clone()]).snapshot();
        let apart = on_nodes(&[(&one, "n"), (&two, "m"), (&three, "n")]);
        assert_eq!(codes(&pending, &apart), []);
        let together = on_nodes(&[(&one, "n"), (&two, "n"), (&three, "n")]);
        assert_eq!(codes(&pending, &together), [Code::HostPort]);
        let running = nodes().pods([one.clone(), bound(pod("old", &web), "n")]).snapshot();
        assert_eq!(codes(&running, &on_nodes(&[(&one, "n")])), [Code::HostPort]);
        assert_eq!(codes(&running, &on_nodes(&[(&one, "m")])), []);
    }
}
