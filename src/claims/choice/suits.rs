//! Whether a provider can make what a claim asks for, whatever it costs.

use super::{Candidate, Reason};
use crate::api::{ClaimProviderSpec, SizeMapping};
use crate::claims::claim::{Claim, STORAGE};
use crate::claims::definition::Service;
use crate::claims::providers::plan_and_flavor;
use crate::scaleway::region_of;

/// The parameter with who may connect.
const CIDRS: &str = "allowedCIDRs";

/// Why not, if it cannot.
pub(super) fn suits(
    claim: &Claim,
    service: Service,
    candidate: &Candidate,
    size: &SizeMapping,
) -> Result<(), Reason> {
    let spec = &candidate.spec;
    let problem = match (service, spec.r#type.as_str()) {
        (Service::PostgreSql, "kubernetes") => None,
        (Service::PostgreSql, "exoscale") => too_big(claim, STORAGE, size),
        (Service::PostgreSql, "ovh") => {
            no_version(claim).or_else(|| no_flavor(size)).or_else(|| no_disk(claim, size))
        }
        (Service::PostgreSql, "scaleway") => {
            no_version(claim).or_else(|| scaleway_networks(claim, spec))
        }
        (Service::VirtualMachine, "exoscale") => no_image(claim, spec),
        (Service::VirtualMachine, "ovh") => no_image(claim, spec)
            .or_else(|| too_big(claim, "diskGB", size))
            .or_else(|| ovh_machine(spec)),
        (Service::VirtualMachine, "scaleway") => {
            no_image(claim, spec).or_else(|| scaleway_machine(spec))
        }
        (service, kind) => return Err(Reason::Unserved { service, kind: kind.to_owned() }),
    };
    let is_open = service == Service::PostgreSql && spec.r#type != "kubernetes";
    let problem = problem.or_else(|| is_open.then(|| open_to_all(claim, spec)).flatten());
    problem.map_or(Ok(()), |problem| Err(Reason::Parameter(problem)))
}

/// Where the plan brings the disk, a claim may not want more than that.
fn too_big(claim: &Claim, parameter: &str, size: &SizeMapping) -> Option<String> {
    let (wanted, there) = (claim.number(parameter)?, size.storage_gb?);
    (wanted > there).then(|| {
        let size = &claim.size;
        format!("its size {size} has {there} GB, not the {wanted} GB of {parameter}")
    })
}

fn no_version(claim: &Claim) -> Option<String> {
    let missing = "it has no default for version: give one in the claim or its ClaimDefinition";
    claim.text("version").is_none().then(|| missing.to_owned())
}

fn no_flavor(size: &SizeMapping) -> Option<String> {
    let plan = size.plan.as_deref().unwrap_or_default();
    plan_and_flavor(plan).is_none().then(|| {
        let size = &size.size;
        format!("the plan of its size {size} is {plan:?}: expected PLAN.FLAVOR, as essential.db1-4")
    })
}

/// A flavor brings a disk, and OVH refuses a smaller one over and over.
fn no_disk(claim: &Claim, size: &SizeMapping) -> Option<String> {
    let is_unknown = claim.number(STORAGE).is_some() && size.storage_gb.is_none();
    // One that is there has a disk.
    (is_unknown && claim.status.provider.is_none()).then(|| {
        let size = &size.size;
        format!(
            "its size {size} has no storageGB: set it to the GB that the flavor brings, which OVH \
             takes for the least"
        )
    })
}

/// Scaleway's lists of who may connect are of IPv4 networks, and there is none for what has no
/// public address.
fn scaleway_networks(claim: &Claim, spec: &ClaimProviderSpec) -> Option<String> {
    let allowed = claim.list(CIDRS);
    if spec.private_network().is_some() {
        let why = "its databases are in a Private Network, where allowedCIDRs says nothing: leave \
                   it out";
        return (!allowed.is_empty()).then(|| why.to_owned());
    }
    let by_default = spec.postgresql.iter().flat_map(|one| &one.allowed_cidrs);
    let mut all = allowed.iter().chain(by_default.filter(|_| allowed.is_empty()));
    let six = all.find(|one| one.contains(':'))?;
    Some(format!("Scaleway takes IPv4 networks only, and allowedCIDRs has {six}"))
}

fn no_image(claim: &Claim, spec: &ClaimProviderSpec) -> Option<String> {
    let image = claim.text("image").unwrap_or_default();
    let images = spec.virtual_machine.as_ref().map(|settings| &settings.images);
    let has_it = images.is_some_and(|images| images.contains_key(image));
    (!has_it).then(|| format!("it has no image {image:?}"))
}

fn ovh_machine(spec: &ClaimProviderSpec) -> Option<String> {
    let settings = spec.virtual_machine.as_ref()?;
    if !settings.public_ip {
        let why = "OVH's machines have a public address: set its virtualMachine.publicIP to true";
        return Some(why.to_owned());
    }
    let why = "OVH takes no security groups for new machines: take them out of its virtualMachine";
    (!settings.security_groups.is_empty()).then(|| why.to_owned())
}

fn scaleway_machine(spec: &ClaimProviderSpec) -> Option<String> {
    let region = spec.region.as_deref().unwrap_or_default();
    if region_of(region).is_none() {
        return Some(format!("its region {region} is no zone, as {region}-1: machines need one"));
    }
    let groups = spec.virtual_machine.as_ref().map_or(0, |one| one.security_groups.len());
    (groups > 1).then(|| format!("Scaleway takes one security group, and it has {groups}"))
}

fn open_to_all(claim: &Claim, spec: &ClaimProviderSpec) -> Option<String> {
    let default = spec.postgresql.as_ref().is_some_and(|one| !one.allowed_cidrs.is_empty());
    let is_open = !default && claim.list(CIDRS).is_empty() && spec.private_network().is_none();
    is_open.then(|| {
        "neither the claim nor the provider has allowedCIDRs, and without them everybody could \
         connect"
            .to_owned()
    })
}
