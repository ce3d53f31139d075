//! Shares of GPUs: each lies on one device. Searched for exactly, as far as that takes no longer
//! than [`MOST_STEPS`]: then a placement is believed.

use crate::model::Resources;

use super::picture::Host;
use super::{Code, Findings, Picture};

const SHARES: &str = "gpu-milli";
const WHOLE: i64 = 1_000;
const MOST_STEPS: u32 = 100_000;

/// Whether these requests are for thousandths of GPUs.
pub(super) fn are_shared(requests: &Resources) -> bool {
    requests.extended_amount(SHARES) > 0
}

/// The requests without what this file looks after.
pub(super) fn without_shares(requests: &Resources) -> Resources {
    let mut rest = requests.clone();
    rest.set_extended(SHARES.into(), 0);
    rest
}

pub(super) fn check(picture: &Picture<'_>, findings: &mut Findings) {
    for host in &picture.hosts {
        let involved = host.planned.extended().iter().any(|(name, _)| is_device(name));
        if !involved && !are_shared(&host.planned) {
            continue;
        }
        let Some(allocatable) = &host.allocatable else { continue };
        let (mut shares, mut whole) = (Vec::new(), 0_i64);
        for (requests, count) in asked_on(picture, host) {
            let milli = requests.extended_amount(SHARES).max(0);
            let devices = devices(requests).saturating_add(milli / WHOLE);
            whole = whole.saturating_add(devices.saturating_mul(i64::from(count)));
            if milli % WHOLE > 0 {
                shares.extend(std::iter::repeat_n(milli % WHOLE, count as usize));
            }
        }
        if shares.is_empty() && !are_shared(&host.planned) {
            continue;
        }
        let milli = devices(allocatable)
            .saturating_mul(WHOLE)
            .saturating_add(allocatable.extended_amount(SHARES));
        let free = (milli / WHOLE).saturating_sub(whole);
        shares.sort_unstable_by(|left, right| right.cmp(left));
        if free < 0 || !lie_on(free, &shares) {
            findings.add(
                Code::GpuShare,
                format!(
                    "{} has {} GPUs, of which {whole} are taken whole: no room for shares of {:?} \
                     thousandths",
                    host.title,
                    milli / WHOLE,
                    shares
                ),
            );
        }
    }
}

fn is_device(name: &str) -> bool {
    name.ends_with("/gpu")
}

fn devices(resources: &Resources) -> i64 {
    let devices = resources.extended().iter().filter(|(name, _)| is_device(name));
    devices.map(|(_, amount)| *amount).sum()
}

fn asked_on<'p>(
    picture: &'p Picture<'_>,
    host: &'p Host<'_>,
) -> impl Iterator<Item = (&'p Resources, u32)> {
    host.pods.iter().map(|(shape, count)| (&picture.shapes[*shape].requests, count.all()))
}

/// Whether shares, by falling size, can lie on so many devices.
fn lie_on(devices: i64, shares: &[i64]) -> bool {
    let devices = usize::try_from(devices).unwrap_or(0).min(shares.len());
    let mut free = vec![WHOLE; devices];
    let mut steps = 0;
    search(&mut free, shares, &mut steps)
}

fn search(free: &mut [i64], shares: &[i64], steps: &mut u32) -> bool {
    let Some((share, rest)) = shares.split_first() else { return true };
    *steps += 1;
    if *steps > MOST_STEPS {
        return true;
    }
    for device in 0..free.len() {
        // Devices of equal room are interchangeable.
        let seen = free[..device].contains(&free[device]);
        if seen || free[device] < *share {
            continue;
        }
        free[device] -= share;
        let found = search(free, rest, steps);
        free[device] += share;
        if found {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use crate::model::Pod;
    use crate::testing::{bound, cluster, node, pod, shape};
    use crate::verify::Code;
    use crate::verify::testing::{codes, on_nodes};

    fn sharing(name: &str, resource: &str, amount: i64) -> Pod {
        pod(name, &shape(1, 1).resource(resource, amount).build())
    }

    /// A node of two GPUs with pods on it and pods that are placed there: what each asks for.
    fn found(there: &[(&str, i64)], placed: &[(&str, i64)]) -> Vec<Code> {
        let mut machine = node("n", 4_000, 4_000);
        machine.allocatable.set_extended("nvidia.com/gpu".into(), 2);
        let make = |prefix: &str, list: &[(&str, i64)]| -> Vec<Pod> {
            let pods = list.iter().enumerate();
            pods.map(|(index, (name, amount))| sharing(&format!("{prefix}{index}"), name, *amount))
                .collect()
        };
        let new = make("new", placed);
        let old = make("old", there).into_iter().map(|pod| bound(pod, "n"));
        let snapshot = cluster().node(machine).pods(old).pods(new.clone()).snapshot();
        let places: Vec<(&Pod, &str)> = new.iter().map(|pod| (pod, "n")).collect();
        codes(&snapshot, &on_nodes(&places))
    }

    #[test]
    fn each_share_lies_on_one_device() {
        const GPU: &str = "nvidia.com/gpu";
        let share = |milli: i64| ("gpu-milli", milli);
        assert_eq!(found(&[], &[share(500), share(500), share(1_000)]), []);
        assert_eq!(found(&[share(600)], &[share(600), share(400), share(400)]), []);
        assert_eq!(found(&[share(600)], &[share(600), share(500)]), [Code::GpuShare]);
        assert_eq!(found(&[(GPU, 1)], &[share(600), share(400)]), []);
        assert_eq!(found(&[(GPU, 1)], &[share(600), share(500)]), [Code::GpuShare]);
        assert_eq!(found(&[share(100)], &[(GPU, 1)]), []);
        assert_eq!(found(&[share(100)], &[(GPU, 2)]), [Code::GpuShare]);
        assert_eq!(found(&[], &[(GPU, 3)]), [Code::TooLittleRoom]);
        assert_eq!(found(&[], &[share(2_500)]), [Code::GpuShare]);
        // Only an exact search finds this one: 6 + 4, 5 + 3 + 2.
        let tight = [share(600), share(500), share(300), share(400), share(200)];
        assert_eq!(found(&[], &tight), []);
    }
}
