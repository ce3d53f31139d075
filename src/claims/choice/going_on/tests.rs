use std::collections::BTreeMap;

use serde_json::json;

use crate::api::conditions::time;
use crate::api::{ClaimProviderSpec, NamespaceQuota, SizeMapping};
use crate::claims::choice::{Candidate, Choice, Used, choose};
use crate::claims::claim::Claim;
use crate::claims::definition::Service;
use crate::claims::testing::{claim, provider};
use berth_solver::model::Timestamp;

/// A provider with three sizes, of which another claim has had 100 so far.
fn candidate(change: fn(&mut ClaimProviderSpec)) -> Candidate {
    let mut spec = provider("scaleway", "52.00");
    let size = |name: &str, price: &str| SizeMapping {
        size: name.to_owned(),
        plan: Some(format!("plan-{name}")),
        price_per_month: Some(price.to_owned()),
        storage_gb: Some(20),
        ..spec.sizes[0].clone()
    };
    spec.sizes = vec![size("small", "52.00"), size("medium", "104.00")];
    change(&mut spec);
    let used = Used { claims: 1, price: "100.00".parse().unwrap() };
    Candidate {
        name: "one".to_owned(),
        labels: BTreeMap::new(),
        spec,
        price: Err("not asked".to_owned()),
        problem: None,
        used: BTreeMap::from([("team-a".to_owned(), used)]),
    }
}

/// A claim that has a small database with 20 GB, and asks for this by now.
fn changed(size: &str, storage: i64) -> Claim {
    let mut claim = claim(&json!({
        "parameters": {
            "size": size, "version": "17", "storageGB": storage, "allowedCIDRs": ["10.0.0.0/8"],
        },
    }));
    claim.status.provider = Some("one".to_owned());
    claim.status.size = Some("small".to_owned());
    claim.status.storage_gb = Some(20);
    claim.status.plan = Some("plan-small".to_owned());
    claim.status.price_per_month = Some("52.00".to_owned());
    claim
}

fn go_on(claim: &Claim, change: fn(&mut ClaimProviderSpec)) -> Choice {
    let service = Service::PostgreSql;
    choose(claim, service, &BTreeMap::new(), &[candidate(change)]).unwrap()
}

/// Size, disk and price, and what is said of the rest.
fn has(choice: &Choice) -> (String, Option<i64>, String, Option<String>) {
    let held = choice.held.as_ref().map(ToString::to_string);
    (choice.size.size.clone(), choice.storage, choice.price.to_string(), held)
}

#[test]
fn a_claim_grows_as_far_as_budget_and_quota_go() {
    let larger = changed("medium", 20);
    let given = ("medium".to_owned(), Some(20), "104.00".to_owned(), None);
    assert_eq!(has(&go_on(&larger, |_| ())), given);
    assert_eq!(has(&go_on(&larger, |spec| spec.monthly_budget = Some("204".to_owned()))), given);
    let (size, storage, price, held) =
        has(&go_on(&larger, |spec| spec.monthly_budget = Some("203.50".to_owned())));
    assert_eq!((size.as_str(), storage, price.as_str()), ("small", Some(20), "52.00"));
    assert_eq!(
        held.unwrap(),
        "size medium with 20 GB is not given, it stays size small with 20 GB for 52.00 a month: \
         one: 104.00 a month is 0.50 over its budget: 100.00 of 203.50 are used: take the change \
         back, or have the platform team raise monthlyBudget of ClaimProvider one"
    );
    let quota = |spec: &mut ClaimProviderSpec| {
        // It has its place among the claims, however many there may be.
        let price_per_month = Some("200".to_owned());
        spec.quota_per_namespace = Some(NamespaceQuota { claims: Some(1), price_per_month });
    };
    let held = go_on(&larger, quota).held.unwrap().to_string();
    assert!(held.contains("104.00 a month is 4.00 over the namespace's quota"), "{held}");
    assert!(held.ends_with("raise quotaPerNamespace of ClaimProvider one"), "{held}");
}

#[test]
fn a_disk_that_costs_counts_and_what_costs_less_is_always_given() {
    let prices = |spec: &mut ClaimProviderSpec| {
        spec.sizes.iter_mut().for_each(|size| size.price_per_gb = Some("0.50".to_owned()));
        spec.monthly_budget = Some("162".to_owned());
    };
    let given = ("small".to_owned(), Some(40), "62.00".to_owned(), None);
    assert_eq!(has(&go_on(&changed("small", 40), prices)), given);
    let (_, storage, price, held) = has(&go_on(&changed("small", 42), prices));
    assert_eq!((storage, price.as_str()), (Some(20), "52.00"));
    let held = held.unwrap();
    assert!(held.starts_with("size small with 42 GB is not given"), "{held}");
    assert!(held.contains("63.00 a month is 1.00 over its budget"), "{held}");
    // Over budget already, since prices have gone up: smaller is given, and as it is it stays.
    let mut smaller = changed("small", 20);
    smaller.status.size = Some("medium".to_owned());
    let budget = |spec: &mut ClaimProviderSpec| spec.monthly_budget = Some("1".to_owned());
    let given = ("small".to_owned(), Some(20), "52.00".to_owned(), None);
    assert_eq!(has(&go_on(&smaller, budget)), given);
    assert_eq!(has(&go_on(&changed("small", 20), budget)), given);
}

#[test]
fn what_the_provider_cannot_do_is_not_given_and_what_is_there_stays() {
    let larger = changed("large", 20);
    let (size, _, price, held) = has(&go_on(&larger, |_| ()));
    assert_eq!((size.as_str(), price.as_str()), ("small", "52.00"));
    let held = held.unwrap();
    assert!(
        held.ends_with("one: it has no PostgreSQL of size large: take the change back"),
        "{held}"
    );
}

#[test]
fn on_this_cluster_more_costs_what_the_cluster_has_to_add() {
    let larger = changed("medium", 20);
    let with = |price: Result<&str, &str>| {
        let mut candidate = candidate(|spec| {
            spec.r#type = "kubernetes".to_owned();
            spec.sizes.iter_mut().for_each(|size| size.price_per_month = None);
            spec.monthly_budget = Some("200".to_owned());
        });
        candidate.price = price.map(|price| price.parse().unwrap()).map_err(str::to_owned);
        choose(&larger, Service::PostgreSql, &BTreeMap::new(), &[candidate]).unwrap()
    };
    assert_eq!(has(&with(Ok("100.00"))).0, "medium");
    let held = with(Ok("100.01")).held.unwrap().to_string();
    assert!(held.contains("100.01 a month is 0.01 over its budget"), "{held}");
    let held = with(Err("the cluster has no place for its pods")).held.unwrap().to_string();
    assert!(held.ends_with("the cluster has no place for its pods: it is tried again"), "{held}");
}

#[test]
fn a_machine_that_is_made_stays_what_it_is() {
    let mut machine = changed("medium", 20);
    machine.parameters = BTreeMap::from([("image".to_owned(), json!("debian-13"))]);
    machine.status.storage_gb = None;
    machine.status.plan = Some("plan-of-then".to_owned());
    let candidate = || {
        let mut candidate = candidate(|spec| {
            spec.sizes.iter_mut().for_each(|size| size.service = "VirtualMachine".to_owned());
        });
        candidate.spec.region = Some("fr-par-1".to_owned());
        candidate.spec.virtual_machine = Some(crate::api::MachineSettings {
            images: BTreeMap::from([("debian-13".to_owned(), "id".to_owned())]),
            ..Default::default()
        });
        candidate
    };
    let go_on = |claim: &Claim| {
        let service = Service::VirtualMachine;
        choose(claim, service, &BTreeMap::new(), &[candidate()]).unwrap()
    };
    assert_eq!(has(&go_on(&machine)).0, "medium", "nothing was asked for yet");
    machine.status.create_requested_at = Some(time(Timestamp::default()));
    machine.status.created_at = Some(time(Timestamp::default()));
    machine.status.price_per_month = Some("40.00".to_owned());
    let choice = go_on(&machine);
    // Whatever the list says of the size by now.
    assert_eq!(choice.size.plan.as_deref(), Some("plan-of-then"));
    assert_eq!(
        choice.held.unwrap().to_string(),
        "size medium is not given, it stays size small for 40.00 a month: one: a machine is not \
         changed in place: take the change back, or make another claim"
    );
    machine.size = "small".to_owned();
    assert_eq!(go_on(&machine).held, None);
}
