//! `berth claims check`: what a CI job that merges claims by itself goes by.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use berth::metrics::{ClaimLabels, ClaimPriceLabels, ClaimSizeLabels, EffectLabels, Metrics};
use serde_json::{Value, json};

const DEFINITIONS: &str = "deploy/options/claims/definitions.yaml";
const PLATFORM: &str = "tests/claims/platform";
const SHOP: &str = "tests/claims/shop";
const CATALOG: &str = "tests/claims/catalog.csv";

fn check(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_berth"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["claims", "check", "--platform", DEFINITIONS, "--platform", PLATFORM])
        .args(arguments)
        .output()
        .unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn written(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::Builder::new().suffix(".yaml").tempfile().unwrap();
    fs::write(file.path(), text).unwrap();
    file
}

/// The lines on standard error and the exit status for claims that are refused.
fn refused(claims: &str) -> (Vec<String>, Option<i32>) {
    let file = written(claims);
    let path = file.path().display().to_string();
    let output = check(&[&path, "--output", "json"]);
    let problems = json_of(&output)["claims"].as_array().unwrap().clone();
    let problems = problems.iter().flat_map(|claim| claim["problems"].as_array().unwrap());
    let problems =
        problems.map(|one| format!("{}: {}", one["line"], one["problem"].as_str().unwrap()));
    (problems.collect(), output.status.code())
}

#[test]
fn good_claims_have_a_provider_a_price_and_reasons() {
    let output = check(&[SHOP, "--catalog", CATALOG, "--output", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json_of(&output);
    let claims = found["claims"].as_array().unwrap();
    let brief: Vec<Value> = claims
        .iter()
        .map(|one| {
            json!([one["name"], one["line"], one["provider"], one["plan"], one["pricePerMonth"]])
        })
        .collect();
    assert_eq!(
        brief,
        [
            json!(["orders", 2, "exoscale-gva", "startup-4", 52.0]),
            // The cheapest node that holds it costs 0.1 an hour.
            json!(["carts", 17, "in-cluster", null, 73.0]),
            json!(["runner", 26, "exoscale-gva", "standard.small", 22.5]),
        ]
    );
    assert_eq!(
        claims[0]["otherProviders"],
        json!({
            "exoscale-fra": "it costs 61.00",
            "in-cluster": "it has no label tier (wanted \"managed\")",
            "ovh-gra": "it costs 58.00",
            "scaleway-par": "it costs 64.00",
        })
    );
    assert_eq!(found["pricePerMonth"], 147.5);
}

#[test]
fn the_example_of_a_platform_is_good() {
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["claims", "check", "deploy/examples/platform", "--platform", DEFINITIONS])
        .args(["--catalog", CATALOG, "--output", "json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let claims = json_of(&output)["claims"].clone();
    let found: Vec<Value> = claims
        .as_array()
        .unwrap()
        .iter()
        .map(|one| json!([one["name"], one["provider"]]))
        .collect();
    // A node for the database costs more than the cloud's.
    assert_eq!(found, [json!(["orders", "exoscale-gva"]), json!(["runner", "exoscale-gva"])]);
}

#[test]
fn the_dashboard_of_the_platform_shows_what_there_is_to_see() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/deploy/examples/platform/dashboard.yaml");
    let map: Value = serde_saphyr::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let text = map["data"]["berth-claims.json"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(text).unwrap();
    let metrics = Metrics::new();
    let (kind, state) = ("Kind".to_owned(), "ready".to_owned());
    metrics.claims.get_or_create(&ClaimLabels { kind, state }).set(1);
    let (namespace, provider) = ("team".to_owned(), "one".to_owned());
    metrics.claims_price.get_or_create(&ClaimPriceLabels { namespace, provider }).set(1.0);
    let (size, provider) = ("small".to_owned(), "one".to_owned());
    metrics.claim_ready_duration.get_or_create(&ClaimSizeLabels { size, provider }).observe(1.0);
    let (effect, outcome) = ("CreateExternal", "failed");
    metrics.claim_effects.get_or_create(&EffectLabels { effect, outcome }).inc();
    let known = metrics.encode().unwrap();
    let known: Vec<&str> =
        known.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(!panels.is_empty());
    for panel in panels {
        let expression = panel["targets"][0]["expr"].as_str().unwrap();
        let words = expression.split(|sign: char| !sign.is_ascii_alphanumeric() && sign != '_');
        let metrics: Vec<&str> = words.filter(|word| word.starts_with("berth_")).collect();
        assert!(!metrics.is_empty(), "{expression}");
        for metric in metrics {
            let name = metric.trim_end_matches("_bucket").trim_end_matches("_total");
            assert!(known.contains(&name) || known.contains(&metric), "{metric} is not told");
        }
    }
}

#[test]
fn a_claim_on_this_cluster_costs_nothing_where_there_is_room() {
    let cluster = "tests/claims/cluster.yaml";
    let output = check(&[SHOP, "--catalog", CATALOG, "--cluster", cluster, "--output", "json"]);
    assert_eq!(json_of(&output)["claims"][1]["pricePerMonth"], 0.0, "{output:?}");
}

#[test]
fn without_a_price_list_a_claim_on_this_cluster_has_no_price_and_is_refused() {
    let output = check(&[SHOP]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.starts_with(
            "berth: tests/claims/shop/databases.yaml: line 17: PostgreSQLInstance team-a/carts: no \
             ClaimProvider serves it: exoscale-fra: its label provider is \"exoscale\", not \
             \"kubernetes\"; exoscale-gva: its label provider is \"exoscale\", not \"kubernetes\"; \
             in-cluster: its price is what the cluster has to add: give --catalog"
        ),
        "{error}"
    );
    let table = String::from_utf8(output.stdout).unwrap();
    assert!(table.contains("team-a/orders"), "{table}");
    assert!(table.contains("not exoscale-fra: it costs 61.00"), "{table}");
}

#[test]
fn bad_claims_are_refused_with_the_line_of_the_field() {
    let (problems, status) = refused(
        r#"# a comment
apiVersion: platform.example.org/v1alpha1
kind: PostgreSQLInstance
metadata:
  name: one
spec:
  parameters:
    size: huge
    storageGB: 5
    versoin: "17"
---
apiVersion: platform.example.org/v1
kind: PostgreSQLInstance
metadata: {name: a-name-that-is-far-too-long-for-what-is-made-of-it-later}
spec:
  compositionSelector: {matchLabels: {}}
  providerSelector: {matchLabels: {}}
---
apiVersion: platform.example.org/v1alpha1
kind: PostgreSQLInstance
metadata:
  name: open
spec:
  parameters:
    allowedCIDRs:
    - 10.0.0.0/8
    - 0.0.0.0/0
"#,
    );
    assert_eq!(
        problems,
        [
            "8: spec.parameters: Additional properties are not allowed ('versoin' was unexpected)",
            "8: spec.parameters.size: \"huge\" is not one of \"small\", \"medium\" or \"large\"",
            "9: spec.parameters.storageGB: 5 is less than the minimum of 10",
            "12: apiVersion: \"platform.example.org/v1\" is not served: expected \
             platform.example.org/v1alpha1",
            "14: metadata.name: has more than 50 characters: expected a shorter name",
            "16: spec: compositionSelector and providerSelector mean the same: give one",
            "27: spec.parameters.allowedCIDRs.1: \"0.0.0.0/0\" does not match \
             \"^[0-9a-fA-F.:]+/[1-9][0-9]{0,2}$\"",
        ]
    );
    assert_eq!(status, Some(2));
}

#[test]
fn an_update_says_what_it_changes_and_is_refused_where_it_would_replace() {
    let claim = |size: &str, storage: &str, version: &str| {
        format!(
            "apiVersion: platform.example.org/v1alpha1\nkind: PostgreSQLInstance\nmetadata:\n  name: \
             orders\n  namespace: team-a\nspec:\n  parameters: {{size: {size}, storageGB: \
             {storage}, version: \"{version}\"}}\n  providerSelector: {{matchLabels: {{tier: \
             managed}}}}\n"
        )
    };
    let gone = "---\napiVersion: platform.example.org/v1alpha1\nkind: VirtualMachine\nmetadata:\n  \
                name: runner\nspec: {parameters: {size: small}}\n";
    let before = written(&format!("{}{gone}", claim("small", "20", "16")));
    let compare = |after: &str| {
        let after = written(after);
        let paths = [after.path(), before.path()].map(|path: &Path| path.display().to_string());
        check(&[&paths[0], "--previous", &paths[1], "--output", "json"])
    };
    let output = compare(&claim("medium", "40", "16"));
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = json_of(&output);
    let changes =
        json!(["size: small becomes medium, in place", "storageGB: 20 becomes 40, in place"]);
    assert_eq!(found["claims"][0]["changes"], changes);
    let removed = json!([{
        "kind": "VirtualMachine", "namespace": "default", "name": "runner",
        "deletionPolicy": "Delete",
    }]);
    assert_eq!(found["removed"], removed);

    let output = compare(&claim("small", "10", "17"));
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let problems = json_of(&output)["claims"][0]["problems"].clone();
    let said: Vec<&str> =
        problems.as_array().unwrap().iter().map(|one| one["problem"].as_str().unwrap()).collect();
    assert_eq!(
        said,
        [
            "spec.parameters.version: \"16\" becomes \"17\": it is immutable, so that this would \
             take another claim (a replacement, which moves no data)",
            "spec.parameters.storageGB: 20 becomes 10: it can only grow, so that this would take \
             another claim (a replacement, which moves no data)",
        ]
    );
}

#[test]
fn a_definition_or_provider_that_makes_no_sense_is_refused_before_any_claim() {
    let platform = written(
        "apiVersion: claims.berth.sh/v1alpha1\nkind: ClaimProvider\nmetadata: {name: x}\nspec:\n  \
         type: exoscale\n  sizes:\n  - {service: PostgreSQL, size: small, pricePerMonth: 5}\n",
    );
    let path = platform.path().display().to_string();
    let output = check(&[SHOP, "--platform", &path]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("line 7: ClaimProvider x: spec.sizes.0.pricePerMonth: 5 is not of type"),
        "{error}"
    );
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["claims", "check", SHOP])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("there is no ClaimDefinition in these files"), "{error}");
}

/// What an update of claims changes, with those providers beside.
fn updated(providers: &str, before: &str, after: &str) -> (Value, Option<i32>) {
    let files = [providers, before, after].map(written);
    let [providers, before, after] = files.each_ref().map(|file| file.path().display().to_string());
    let output = Command::new(env!("CARGO_BIN_EXE_berth"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["claims", "check", &after, "--platform", DEFINITIONS, "--platform", &providers])
        .args(["--previous", &before, "--output", "json"])
        .output()
        .unwrap();
    (json_of(&output)["claims"].clone(), output.status.code())
}

const TWO_PROVIDERS: &str = r#"
apiVersion: claims.berth.sh/v1alpha1
kind: ClaimProvider
metadata: {name: near}
spec:
  type: scaleway
  region: fr-par-1
  project: p
  credentialsSecretRef: {name: key}
  sizes:
  - {service: PostgreSQL, size: small, plan: DB-DEV-S, storageGB: 20, pricePerMonth: "20", pricePerGB: "0.10"}
  - {service: PostgreSQL, size: medium, plan: DB-DEV-M, storageGB: 20, pricePerMonth: "90", pricePerGB: "0.10"}
  - {service: VirtualMachine, size: small, plan: DEV1-S, pricePerMonth: "10"}
  - {service: VirtualMachine, size: medium, plan: DEV1-M, pricePerMonth: "20"}
  postgresql: {allowedCIDRs: [192.0.2.1/32]}
  virtualMachine: {images: {debian-13: debian_trixie}}
  monthlyBudget: "120"
---
apiVersion: claims.berth.sh/v1alpha1
kind: ClaimProvider
metadata: {name: far}
spec:
  type: ovh
  region: GRA
  project: p
  credentialsSecretRef: {name: key}
  sizes:
  - {service: PostgreSQL, size: small, plan: essential.db1-4, pricePerMonth: "1"}
  - {service: PostgreSQL, size: medium, plan: essential.db1-7, storageGB: 80, pricePerMonth: "30"}
  postgresql: {allowedCIDRs: [192.0.2.1/32]}
"#;

fn database(name: &str, size: &str, storage: u32) -> String {
    format!(
        "---\napiVersion: platform.example.org/v1alpha1\nkind: PostgreSQLInstance\nmetadata:\n  \
         name: {name}\nspec:\n  parameters: {{size: {size}, storageGB: {storage}}}\n"
    )
}

#[test]
fn a_claim_grows_where_it_is_and_within_the_budget() {
    let before = database("orders", "small", 20) + &database("carts", "small", 20);
    // What OVH would refuse over and over is no choice, though it is cheaper.
    let (claims, status) = updated(TWO_PROVIDERS, &before, &before);
    assert_eq!((claims[0]["provider"].as_str(), status), (Some("near"), Some(0)), "{claims}");
    let why = claims[0]["otherProviders"]["far"].as_str().unwrap();
    assert_eq!(why, "the choice was made before");
    let (claims, _) = updated(TWO_PROVIDERS, "", &before);
    let why = claims[0]["otherProviders"]["far"].as_str().unwrap();
    assert!(why.starts_with("its size small has no storageGB"), "{why}");

    // The medium one would be cheaper elsewhere, but what is there does not move.
    let after = database("orders", "medium", 30) + &database("carts", "small", 20);
    let (claims, status) = updated(TWO_PROVIDERS, &before, &after);
    assert_eq!(status, Some(0), "{claims}");
    let found = json!([claims[0]["provider"], claims[0]["plan"], claims[0]["pricePerMonth"]]);
    assert_eq!(found, json!(["near", "DB-DEV-M", 91.0]));

    let after = database("orders", "medium", 20) + &database("carts", "small", 121);
    let (claims, status) = updated(TWO_PROVIDERS, &before, &after);
    assert_eq!((status, claims[0]["problems"].as_array().unwrap().len()), (Some(2), 0));
    assert_eq!(claims[1]["problems"][0]["line"], 14);
    assert_eq!(
        claims[1]["problems"][0]["problem"],
        "spec.parameters: size small with 121 GB is not given, it stays size small with 20 GB for \
         20.00 a month: near: 30.10 a month is 0.10 over its budget: 90.00 of 120.00 are used: take \
         the change back, or have the platform team raise monthlyBudget of ClaimProvider near"
    );
}

#[test]
fn a_larger_machine_is_another_machine() {
    let machine = |size: &str| {
        format!(
            "apiVersion: platform.example.org/v1alpha1\nkind: VirtualMachine\nmetadata:\n  name: \
             runner\nspec:\n  parameters:\n    size: {size}\n"
        )
    };
    let (claims, status) = updated(TWO_PROVIDERS, &machine("small"), &machine("medium"));
    assert_eq!(status, Some(2));
    let problem = json!([claims[0]["problems"][0]["line"], claims[0]["problems"][0]["problem"]]);
    let said = "spec.parameters.size: small becomes medium: it is immutable, so that this would take \
                another claim (a replacement, which moves no data)";
    assert_eq!(problem, json!([7, said]));
    assert_eq!(claims[0]["problems"].as_array().unwrap().len(), 1);
}
