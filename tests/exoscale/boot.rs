//! What a machine's first boot is told, from every field of a node class.

use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use berth::provider::CloudProvider as _;
use serde_json::Value;

use crate::rig::{Rig, request};

/// What a Secret holds, by key.
type Texts<'a> = &'a [(&'a str, &'a str)];

const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";

/// The node class of the tests of the definitions that has every newer field.
fn newer() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crds/node-classes/newer.yaml");
    let class: Value = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    class["spec"].clone()
}

/// A rig in which all is there that such a class names, save its Secrets.
async fn rig(spec: &Value) -> Rig {
    let rig = Rig::new().await;
    rig.fake.world(|world| {
        world.add_sks_template("1.36.2", "nvidia");
        world.add_security_group("sks-nodes");
        world.add_elastic_ip("194.182.160.1");
    });
    rig.memory.put_class(rig.node_class("default", spec));
    rig
}

/// User data as the agent reads it.
pub fn decoded(user_data: &str) -> toml::Table {
    let bytes = STANDARD.decode(user_data).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&*bytes).read_to_string(&mut text).unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn every_field_reaches_the_agent_of_the_node() {
    let rig = rig(&newer()).await;
    rig.memory.put_secret("mirror-tls", Some(&[("ca.crt", CERTIFICATE)]));
    rig.memory.put_secret("ghcr", Some(&[("user", "robot"), ("password", "canary")]));
    let provider = rig.ready().await;
    rig.until_created(&provider).await;
    let one = rig.present("uid-a").remove(0);
    assert_eq!((one.disk_size, &*one.public_ip_assignment), (100, "dual"));
    let mut told = decoded(&one.user_data);
    let kubernetes = told["settings"]["kubernetes"].as_table_mut().unwrap();
    let token = kubernetes.remove("bootstrap-token").unwrap();
    assert_eq!(token.as_str().map(str::len), Some(23));
    let expected = format!(
        r#"
[settings.kubernetes]
api-server = "https://{cluster}.sks-ch-gva-2.exo.io:443"
cloud-provider = "external"
cluster-certificate = "{authority}"
cluster-dns-ip = ["10.96.0.10"]
cluster-domain = "cluster.local"
cpu-manager-policy = "static"
cpu-manager-policy-options = ["full-pcpus-only"]
cpu-manager-reconcile-period = "5s"
image-gc-high-threshold-percent = 85
image-gc-low-threshold-percent = 80
image-minimum-gc-age = "2m"
max-pods = 60
kube-reserved = {{ cpu = "500m", memory = "300Mi", ephemeral-storage = "1Gi" }}
system-reserved = {{ cpu = "100m", memory = "100Mi", ephemeral-storage = "3Gi" }}
node-labels = {{ team = "a" }}
node-taints = {{ "karpenter.sh/unregistered" = ["true:NoExecute"] }}

[[settings.container-registry.mirrors]]
registry = "docker.io"
endpoint = ["https://mirror.example.com"]

[settings.container-registry.tls."https://mirror.example.com"]
ca = "{ca}"
override_path = true
skip_verify = false

[[settings.container-registry.credentials]]
registry = "ghcr.io"
username = "robot"
password = "canary"
"#,
        cluster = rig.cluster_id,
        authority = STANDARD.encode("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"),
        ca = STANDARD.encode(CERTIFICATE),
    );
    assert_eq!(told, expected.parse().unwrap());
    let class = serde_json::to_string(&rig.memory.class("default")).unwrap();
    assert!(!class.contains("canary") && !class.contains(&STANDARD.encode("canary")), "{class}");
}

#[tokio::test]
async fn what_is_wrong_with_a_registrys_secret_is_known_before_a_launch() {
    let rig = rig(&newer()).await;
    rig.memory.put_secret("mirror-tls", Some(&[("ca.crt", CERTIFICATE)]));
    rig.memory.put_secret("ghcr", Some(&[("user", "robot"), ("password", "canary")]));
    let provider = rig.provider();
    let said = async || {
        provider.look_at_node_classes(true).await.unwrap();
        let conditions = rig.memory.class("default").unwrap().status.unwrap().conditions;
        let ready = conditions.into_iter().find(|one| one.r#type == "Ready").unwrap();
        (ready.status, ready.message)
    };
    assert_eq!(said().await, ("True".to_owned(), String::new()));
    let whole: Texts<'_> = &[("tls.crt", CERTIFICATE)];
    let cases: [(&str, Option<Texts<'_>>, &str); 5] = [
        ("mirror-tls", Some(whole), "mirror-tls has one of tls.crt and tls.key: expected both"),
        ("mirror-tls", Some(&[("ca.crt", "nothing")]), "mirror-tls: its ca.crt is no PEM"),
        ("mirror-tls", Some(&[]), ""),
        ("ghcr", Some(&[("user", "robot")]), "Secret kube-system/ghcr has no key password"),
        ("ghcr", None, "ghcr may not be read: give the right as deploy/options/"),
    ];
    for (name, texts, problem) in cases {
        rig.memory.put_secret(name, texts);
        let (status, message) = said().await;
        assert_eq!(status == "True", problem.is_empty(), "{name}: {message}");
        assert!(message.contains(problem), "{message}");
    }
    let error = provider.create(&request()).await.unwrap_err().to_string();
    assert!(error.contains("is not ready"), "{error}");
    assert_eq!(rig.fake.calls("create-instance"), []);
}
