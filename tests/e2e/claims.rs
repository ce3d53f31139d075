//! Databases on this cluster: the pods to come are in the plan before they exist.

use std::path::Path;

use berth::claims::demand::{self, CLUSTER_LABEL};
use berth::decisions::{Lines, files};
use berth_controlplane::until;
use berth_solver::decisions::{Answer, Decision, Replay};
use berth_solver::model::{Plan, Pod as ModelPod, PodKey, Snapshot};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::Api;
use kube::api::{DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use serde_json::{Value, json};

use crate::world::{LIMIT, UNMANAGED, World};

const TEAM: &str = "team-a";

/// What of CloudNativePG's kind Berth writes and reads; the test plays its operator.
const CLUSTERS: &str = r#"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: clusters.postgresql.cnpg.io
spec:
  group: postgresql.cnpg.io
  scope: Namespaced
  names: {kind: Cluster, plural: clusters, singular: cluster}
  versions:
  - name: v1
    served: true
    storage: true
    subresources: {status: {}}
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            x-kubernetes-preserve-unknown-fields: true
            required: [instances, storage]
            properties:
              instances: {type: integer, minimum: 1}
              imageName: {type: string}
              enableSuperuserAccess: {type: boolean}
          status:
            type: object
            x-kubernetes-preserve-unknown-fields: true
"#;

fn resource(group: &str, version: &str, kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, kind))
}

struct Shop<'a>(&'a World);

impl Shop<'_> {
    fn claims(&self) -> Api<DynamicObject> {
        let kind = resource("platform.example.org", "v1alpha1", "PostgreSQLInstance");
        Api::namespaced_with(self.0.plane.client(), TEAM, &kind)
    }

    fn clusters(&self) -> Api<DynamicObject> {
        let kind = resource("postgresql.cnpg.io", "v1", "Cluster");
        Api::namespaced_with(self.0.plane.client(), TEAM, &kind)
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.0.plane.client(), TEAM)
    }

    async fn claim(&self, name: &str) {
        let object: DynamicObject = serde_json::from_value(json!({
            "apiVersion": "platform.example.org/v1alpha1", "kind": "PostgreSQLInstance",
            "metadata": { "name": name },
            "spec": { "writeConnectionSecretToRef": { "name": name } },
        }))
        .unwrap();
        let claims = self.claims();
        until("the claim is taken", LIMIT, || async {
            let made = claims.create(&PostParams::default(), &object).await;
            made.map_err(|error| error.to_string())
        })
        .await
        .unwrap_or_else(|error| self.0.fail(&error));
    }

    /// What a claim's status says of a field, once it says anything.
    async fn status(&self, name: &str, field: &str) -> String {
        let claims = self.claims();
        until(&format!("{name} has {field}"), LIMIT, || async {
            let claim = claims.get(name).await.map_err(|error| error.to_string())?;
            let value = claim.data["status"][field].as_str().map(str::to_owned);
            value.ok_or_else(|| claim.data["status"].to_string())
        })
        .await
        .unwrap_or_else(|error| self.0.fail(&error))
    }

    /// Does what CloudNativePG would: a pod, its Secret, and in the end the Cluster is healthy.
    async fn operate(&self, claim: &str) -> String {
        let name = self.status(claim, "externalName").await;
        let clusters = self.clusters();
        let cluster = until("the Cluster is there", LIMIT, || async {
            clusters.get(&name).await.map_err(|error| error.to_string())
        })
        .await
        .unwrap_or_else(|error| self.0.fail(&error));
        let pod: Pod = serde_json::from_value(json!({
            "metadata": { "name": format!("{name}-1"), "labels": { "cnpg.io/cluster": name } },
            "spec": { "containers": [{
                "name": "postgres", "image": "none", "resources": cluster.data["spec"]["resources"],
            }] },
        }))
        .unwrap();
        self.pods().create(&PostParams::default(), &pod).await.unwrap();
        let node = self.until_bound(&format!("{name}-1")).await;
        let secret: Secret = serde_json::from_value(json!({
            "metadata": { "name": format!("{name}-app") },
            "stringData": {
                "username": "app", "password": "secret", "dbname": "app", "port": "5432",
                "host": format!("{name}-rw"),
            },
        }))
        .unwrap();
        let secrets: Api<Secret> = Api::namespaced(self.0.plane.client(), TEAM);
        secrets.create(&PostParams::default(), &secret).await.unwrap();
        let healthy = json!({ "status": { "phase": "Cluster in healthy state" } });
        let params = PatchParams::default();
        clusters.patch_status(&name, &params, &Patch::Merge(healthy)).await.unwrap();
        node
    }

    async fn until_bound(&self, name: &str) -> String {
        let pods = self.pods();
        until("the database's pod is bound", LIMIT, || async {
            let pod = pods.get(name).await.map_err(|error| error.to_string())?;
            pod.spec.and_then(|spec| spec.node_name).ok_or_else(|| "not bound".to_owned())
        })
        .await
        .unwrap_or_else(|error| self.0.fail(&error))
    }

    async fn until_ready(&self, name: &str) {
        let claims = self.claims();
        until(&format!("{name} is ready"), LIMIT, || async {
            let claim = claims.get(name).await.map_err(|error| error.to_string())?;
            let conditions = claim.data["status"]["conditions"].as_array().cloned();
            let is_ready = |one: &Value| one["type"] == "Ready" && one["status"] == "True";
            let ready = conditions.unwrap_or_default().iter().any(is_ready);
            if ready { Ok(()) } else { Err(claim.data["status"].to_string()) }
        })
        .await
        .unwrap_or_else(|error| self.0.fail(&error));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_to_come_has_its_node_before_its_pod_and_none_where_there_is_room() {
    let test = "a_database_to_come_has_its_node_before_its_pod_and_none_where_there_is_room";
    let Some(mut world) = World::new(test).await else { return };
    install(&world).await;
    world.start_daemon_with(&["--claims"]).await;
    let shop = Shop(&world);

    shop.claim("first").await;
    let price: f64 = shop.status("first", "pricePerMonth").await.parse().unwrap();
    assert!(price > 0.0, "there is no room yet: {price}");
    let node = until("a node for a pod that is not there", LIMIT, || async {
        let nodes = world.nodes().await?;
        nodes.into_keys().find(|name| name != UNMANAGED).ok_or_else(|| "no node".to_owned())
    })
    .await
    .unwrap_or_else(|error| world.fail(&error));
    assert_eq!(shop.pods().list(&ListParams::default()).await.unwrap().items.len(), 0);
    assert_eq!(shop.operate("first").await, node);
    shop.until_ready("first").await;

    // The node has room for one more: that one costs nothing, and adds nothing.
    let machines = world.instances().await.unwrap().len();
    shop.claim("second").await;
    assert_eq!(shop.status("second", "pricePerMonth").await, "0.00");
    assert_eq!(shop.operate("second").await, node);
    shop.until_ready("second").await;
    assert_eq!(world.instances().await.unwrap().len(), machines);
    let names =
        [shop.status("first", "externalName").await, shop.status("second", "externalName").await];
    the_log_says_what_was_decided_of_them(&world, &names);
    let secrets: Api<Secret> = Api::namespaced(world.plane.client(), TEAM);
    let data = secrets.get("second").await.unwrap().data.unwrap();
    let host = String::from_utf8(data["host"].0.clone()).unwrap();
    assert!(host.ends_with("-rw.team-a.svc"), "{host}");
    let priced = world.metrics("berth_claims_price_per_month").await;
    assert!(priced.contains("namespace=\"team-a\",provider=\"in-cluster\""), "{priced}");
    the_example_of_a_platform_works(&shop).await;
}

/// Provisions as they were logged, with the snapshot that each was decided on.
fn provisions(world: &World) -> Vec<(Snapshot, Decision, Plan)> {
    let mut found = Vec::new();
    for file in files(&world.daemon.decisions()).unwrap() {
        let mut cluster = Replay::default();
        for line in Lines::open(&file, |file| file).unwrap() {
            let mut line = line.unwrap();
            let snapshot = cluster.advance(&mut line).unwrap();
            if let Answer::Plan(Some(plan)) = &line.decision.answer {
                let plan = Plan::clone(plan);
                found.push((snapshot, line.decision, plan));
            }
        }
    }
    found
}

/// The pods of a database that wait for a place.
fn waiting<'a>(snapshot: &'a Snapshot, database: &str) -> Vec<&'a ModelPod> {
    let is_of_it =
        |pod: &&ModelPod| pod.shape.labels.get(CLUSTER_LABEL).is_some_and(|it| &**it == database);
    snapshot.unbound.values().map(|pod| &**pod).filter(is_of_it).collect()
}

/// The first database to come has a node launched for it, from a snapshot in which its pod is known
/// by its claim alone; from that same snapshot one more of its kind adds none. And none was added.
fn the_log_says_what_was_decided_of_them(world: &World, [first, second]: &[String; 2]) {
    let decided = provisions(world);
    let launching = decided.iter().find(|(_, _, plan)| !plan.launches.is_empty());
    let (snapshot, decision, plan) = launching.expect("a node was launched");
    let pods = waiting(snapshot, first);
    assert_eq!(pods.len(), 1);
    assert!(pods[0].uid.starts_with("claim/"), "{}: it is not there yet", pods[0].uid);
    let places: Vec<&str> = plan.placements.iter().map(|place| &*place.uid).collect();
    assert_eq!((plan.launches.len(), places), (1, vec![&*pods[0].uid]));
    let one_more = ModelPod {
        key: PodKey { name: "one-more".into(), ..pods[0].key.clone() },
        uid: "claim/one-more/1".into(),
        ..pods[0].clone()
    };
    let both = decision.again(&demand::with(snapshot, &[one_more]));
    let Answer::Plan(Some(both)) = both else { panic!("{both:?}") };
    assert_eq!((both.launches.len(), both.placements.len()), (1, 2), "{both:?}");
    assert_eq!(both.price, plan.price);
    for (snapshot, _, plan) in &decided {
        assert!(waiting(snapshot, second).is_empty() || plan.launches.is_empty(), "{plan:?}");
    }
}

/// `kubectl apply -f deploy/examples/platform/`: the database is cheaper in the cluster; the machine
/// waits for the cloud's key, and says so.
async fn the_example_of_a_platform_works(shop: &Shop<'_>) {
    let world = shop.0;
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/examples/platform");
    let folder = folder.display().to_string();
    world.plane.kubectl(&["apply", "-f", &folder]).await.unwrap();
    assert_eq!(shop.status("orders", "provider").await, "in-cluster");
    let choice = shop.status("orders", "choice").await;
    assert!(choice.contains("; not exoscale-gva: it costs 54.00;"), "{choice}");
    let name = shop.status("orders", "externalName").await;
    let clusters = shop.clusters();
    let cluster = until("the Cluster is there", LIMIT, || async {
        clusters.get(&name).await.map_err(|error| error.to_string())
    })
    .await
    .unwrap_or_else(|error| world.fail(&error));
    let metadata = cluster.metadata;
    assert_eq!(metadata.labels.unwrap()["backstage.io/kubernetes-id"], "orders");
    assert_eq!(metadata.annotations.unwrap()["terasky.backstage.io/system"], "shop");
    let machine =
        ["get", "vm", "runner", "-n", TEAM, "-o", "jsonpath={.status.conditions[0].message}"];
    until("the machine says what it waits for", LIMIT, || async {
        let said = world.plane.kubectl(&machine).await.map_err(|error| error.to_string())?;
        let waits = said.contains("Secret berth-system/exoscale with its key is not there");
        if waits { Ok(()) } else { Err(said) }
    })
    .await
    .unwrap_or_else(|error| world.fail(&error));
}

async fn install(world: &World) {
    let options = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/options/claims");
    for file in ["rbac.yaml", "definitions.yaml"] {
        let file = options.join(file).display().to_string();
        world.plane.kubectl(&["apply", "-f", &file]).await.unwrap();
    }
    let clusters = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(clusters.path(), CLUSTERS).unwrap();
    let file = clusters.path().display().to_string();
    world.plane.kubectl(&["apply", "-f", &file]).await.unwrap();
    world.plane.create_namespace(TEAM).await.unwrap();
    let bind = [
        "create",
        "rolebinding",
        "berth-claims-secrets",
        "--namespace=team-a",
        "--clusterrole=berth-claims-secrets",
        "--serviceaccount=berth-system:berth",
    ];
    world.plane.kubectl(&bind).await.unwrap();
    let provider: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "claims.berth.sh/v1alpha1",
        "kind": "ClaimProvider",
        "metadata": { "name": "in-cluster" },
        "spec": {
            "type": "kubernetes",
            "sizes": [{
                "service": "PostgreSQL", "size": "small", "cpu": "500m", "memory": "1Gi",
                "storageGB": 20,
            }],
        },
    }))
    .unwrap();
    let kind = resource("claims.berth.sh", "v1alpha1", "ClaimProvider");
    let providers: Api<DynamicObject> = Api::all_with(world.plane.client(), &kind);
    providers.create(&PostParams::default(), &provider).await.unwrap();
}
