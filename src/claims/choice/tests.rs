use serde_json::json;

use super::*;
use crate::claims::testing::{claim, provider};

fn candidate(name: &str, price: &str) -> Candidate {
    Candidate {
        name: name.to_owned(),
        labels: BTreeMap::from([("tier".to_owned(), "managed".to_owned())]),
        spec: provider("exoscale", price),
        price: Err("not asked".to_owned()),
        problem: None,
        used: BTreeMap::new(),
    }
}

fn chosen(claim: &Claim, candidates: &[Candidate]) -> String {
    match choose(claim, Service::PostgreSql, &BTreeMap::new(), candidates) {
        Ok(choice) => choice.to_string(),
        Err(none) => none.to_string(),
    }
}

#[test]
fn the_cheapest_that_can_is_taken_and_every_other_has_a_reason() {
    let mut unlabelled = candidate("d-unlabelled", "1.00");
    unlabelled.labels.clear();
    let mut down = candidate("e-down", "1.00");
    down.problem = Some("no answer in time".to_owned());
    let mut small_only = candidate("f-none", "1.00");
    small_only.spec.sizes.clear();
    let candidates = [
        candidate("a-dear", "61.00"),
        candidate("b-cheap", "52.00"),
        candidate("c-same", "52.00"),
        unlabelled,
        down,
        small_only,
    ];
    let claim = claim(&json!({
        "parameters": { "size": "small", "version": "17", "allowedCIDRs": ["10.0.0.0/8"] },
        "compositionSelector": { "matchLabels": { "tier": "managed" } },
    }));
    assert_eq!(
        chosen(&claim, &candidates),
        "b-cheap for 52.00 a month; not a-dear: it costs 61.00; not c-same: it costs the same, and \
         comes later by name; not d-unlabelled: it has no label tier (wanted \"managed\"); not \
         e-down: not usable now: no answer in time; not f-none: it has no PostgreSQL of size small"
    );
    let mut backwards = candidates;
    backwards.reverse();
    assert!(chosen(&claim, &backwards).starts_with("b-cheap for 52.00"), "order does not matter");
}

#[test]
fn a_choice_is_kept_though_another_is_cheaper_or_the_budget_is_spent() {
    let mut kept = candidate("dear", "61.00");
    kept.spec.monthly_budget = Some("1".to_owned());
    kept.labels.clear();
    kept.problem = Some("down".to_owned());
    let mut claim = claim(&json!({
        "parameters": { "size": "small", "version": "17", "allowedCIDRs": ["10.0.0.0/8"] },
        "providerSelector": { "matchLabels": { "tier": "managed" } },
    }));
    claim.status.provider = Some("dear".to_owned());
    let candidates = [kept, candidate("cheap", "52.00")];
    let expected = "dear for 61.00 a month; not cheap: the choice was made before";
    assert_eq!(chosen(&claim, &candidates), expected);
    assert_eq!(
        chosen(&claim, &candidates[1..]),
        "no ClaimProvider serves it: cheap: the choice was made before; dear: ClaimProvider dear \
         is gone, and has what this claim stands for"
    );
}

#[test]
fn budgets_and_quotas_count_what_others_have() {
    let claim = claim(&json!({
        "parameters": { "size": "small", "version": "17", "allowedCIDRs": ["10.0.0.0/8"] },
    }));
    let with = |change: fn(&mut ClaimProviderSpec)| {
        let mut one = candidate("one", "52.00");
        let used = |claims, price: &str| Used { claims, price: price.parse().unwrap() };
        one.used = BTreeMap::from([
            ("team-a".to_owned(), used(2, "104.00")),
            ("team-b".to_owned(), used(1, "52.00")),
        ]);
        change(&mut one.spec);
        chosen(&claim, &[one])
    };
    assert_eq!(
        with(|spec| spec.monthly_budget = Some("207.99".to_owned())),
        "no ClaimProvider serves it: one: 52.00 a month is 0.01 over its budget: 156.00 of 207.99 are used"
    );
    assert_eq!(with(|spec| spec.monthly_budget = Some("208".to_owned())), "one for 52.00 a month");
    assert_eq!(
        with(|spec| {
            spec.quota_per_namespace =
                Some(crate::api::NamespaceQuota { claims: Some(2), price_per_month: None });
        }),
        "no ClaimProvider serves it: one: the namespace has its 2 claims already"
    );
    assert_eq!(
        with(|spec| {
            spec.quota_per_namespace = Some(crate::api::NamespaceQuota {
                claims: None,
                price_per_month: Some("155".to_owned()),
            });
        }),
        "no ClaimProvider serves it: one: 52.00 a month is 1.00 over the namespace's quota: 104.00 of \
         155.00 are used"
    );
    assert_eq!(
        with(|spec| spec.namespaces = Some(crate::api::NamespaceSelection::default())),
        "no ClaimProvider serves it: one: namespace team-a may not use it"
    );
}

#[test]
fn a_database_that_everybody_could_reach_is_never_made() {
    let claim = claim(&json!({ "parameters": { "size": "small", "version": "17" } }));
    let mut one = candidate("one", "52.00");
    assert_eq!(
        chosen(&claim, std::slice::from_ref(&one)),
        "no ClaimProvider serves it: one: neither the claim nor the provider has allowedCIDRs, and \
         without them everybody could connect"
    );
    one.spec.postgresql = Some(crate::api::PostgresqlSettings {
        allowed_cidrs: vec!["192.0.2.1/32".to_owned()],
        ..Default::default()
    });
    assert_eq!(chosen(&claim, &[one]), "one for 52.00 a month");
    assert_eq!(chosen(&claim, &[]), "there is no ClaimProvider: ask the platform team for one");
}

#[test]
fn what_is_there_is_adopted_only_where_the_provider_says_so() {
    let claim = claim(&json!({
        "parameters": { "size": "small", "version": "17", "allowedCIDRs": ["10.0.0.0/8"] },
        "adopt": { "externalName": "legacy" },
    }));
    let mut one = candidate("one", "52.00");
    let refused = "no ClaimProvider serves it: one: it does not let the namespace adopt \"legacy\"";
    assert_eq!(chosen(&claim, std::slice::from_ref(&one)), refused);
    one.spec.adoptable = vec![crate::api::Adoptable {
        namespace: "team-b".to_owned(),
        external_name: "legacy".to_owned(),
    }];
    assert_eq!(chosen(&claim, std::slice::from_ref(&one)), refused);
    one.spec.adoptable[0].namespace = "team-a".to_owned();
    assert_eq!(chosen(&claim, &[one]), "one for 52.00 a month");
}

/// What a provider says of a claim, after a change of it.
fn said(kind: &str, service: Service, change: fn(&mut ClaimProviderSpec)) -> String {
    said_of(None, kind, service, change)
}

/// The same of a claim for that disk.
fn said_of(
    storage: Option<i64>,
    kind: &str,
    service: Service,
    change: fn(&mut ClaimProviderSpec),
) -> String {
    let mut candidate = candidate("one", "10.00");
    candidate.spec.r#type = kind.to_owned();
    candidate.spec.region = Some("fr-par-1".to_owned());
    candidate.spec.sizes[0].service = service.as_str().to_owned();
    candidate.spec.sizes[0].plan = Some("essential.db1-4".to_owned());
    candidate.spec.virtual_machine = Some(crate::api::MachineSettings {
        images: [("debian-13".to_owned(), "id".to_owned())].into_iter().collect(),
        public_ip: true,
        ..Default::default()
    });
    change(&mut candidate.spec);
    let parameters = json!({
        "size": "small", "version": "17", "allowedCIDRs": ["10.0.0.0/8"], "image": "debian-13",
        "diskGB": 100,
    });
    let mut claim = claim(&json!({ "parameters": { "size": "small" } }));
    claim.parameters = serde_json::from_value(parameters).unwrap();
    claim.parameters.extend(storage.map(|storage| (STORAGE.to_owned(), storage.into())));
    match choose(&claim, service, &BTreeMap::new(), &[candidate]) {
        Ok(choice) => choice.to_string(),
        Err(none) => none.to_string().replace("no ClaimProvider serves it: one: ", ""),
    }
}

#[test]
fn every_cloud_says_what_it_cannot_make() {
    use Service::{PostgreSql, VirtualMachine};
    for (kind, service) in [
        ("ovh", PostgreSql),
        ("scaleway", PostgreSql),
        ("exoscale", PostgreSql),
        ("exoscale", VirtualMachine),
        ("scaleway", VirtualMachine),
    ] {
        assert_eq!(said(kind, service, |_| ()), "one for 10.00 a month", "{kind} {service}");
    }
    assert_eq!(
        said("ovh", VirtualMachine, |_| ()),
        "its size small has 80 GB, not the 100 GB of diskGB"
    );
    assert_eq!(
        said("kubernetes", VirtualMachine, |_| ()),
        "this version of Berth makes no VirtualMachine at type kubernetes"
    );
    let plan = |spec: &mut ClaimProviderSpec| spec.sizes[0].plan = Some("db1-4".to_owned());
    assert_eq!(
        said("ovh", PostgreSql, plan),
        "the plan of its size small is \"db1-4\": expected PLAN.FLAVOR, as essential.db1-4"
    );
    let disk = |spec: &mut ClaimProviderSpec| spec.sizes[0].storage_gb = None;
    assert_eq!(
        said_of(Some(20), "ovh", PostgreSql, disk),
        "its size small has no storageGB: set it to the GB that the flavor brings, which OVH takes \
         for the least"
    );
    assert_eq!(said("ovh", PostgreSql, disk), "one for 10.00 a month", "the flavor's");
    let six = |spec: &mut ClaimProviderSpec| {
        spec.postgresql = Some(crate::api::PostgresqlSettings {
            private_network: Some("n".to_owned()),
            ..Default::default()
        });
    };
    assert_eq!(
        said("scaleway", PostgreSql, six),
        "its databases are in a Private Network, where allowedCIDRs says nothing: leave it out"
    );
    let private = |spec: &mut ClaimProviderSpec| {
        spec.sizes[0].storage_gb = None;
        spec.virtual_machine.as_mut().unwrap().public_ip = false;
    };
    assert_eq!(
        said("ovh", VirtualMachine, private),
        "OVH's machines have a public address: set its virtualMachine.publicIP to true"
    );
    let region = |spec: &mut ClaimProviderSpec| spec.region = Some("fr-par".to_owned());
    assert_eq!(
        said("scaleway", VirtualMachine, region),
        "its region fr-par is no zone, as fr-par-1: machines need one"
    );
    let groups = |spec: &mut ClaimProviderSpec| {
        spec.virtual_machine.as_mut().unwrap().security_groups = vec!["a".into(), "b".into()];
    };
    assert_eq!(
        said("scaleway", VirtualMachine, groups),
        "Scaleway takes one security group, and it has 2"
    );
}
