//! `deploy/options/separate-scheduler`: kube-scheduler with an account of its own asks over TLS.
//! Certificates made on the spot stand for the Secrets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use berth_controlplane::{Component, ControlPlane, free_port, until};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Pod, PodSpec, Secret};
use kube::Api;
use kube::api::PostParams;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
};
use serde_json::json;
use tempfile::TempDir;

use super::{LIMIT, NAMESPACE, create_node, rights, shipped_configuration};

const SERVICE: &str = "berth-extender.berth-system.svc";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kube_scheduler_of_its_own_asks_over_tls_with_a_client_certificate() -> Result<()> {
    let name = "a_kube_scheduler_of_its_own_asks_over_tls_with_a_client_certificate";
    let Some(plane) = ControlPlane::builder().start_or_skip(name).await else {
        return Ok(());
    };
    let taint = "node-role.kubernetes.io/infrastructure";
    create_node(&plane, "infrastructure", json!({}), taint).await?;
    create_node(&plane, "worker", json!({}), "").await?;
    let folder = tempfile::tempdir()?;
    let secrets = Secrets::new(folder.path())?;
    apply(&plane, &secrets).await?;
    for deployment in ["deployment/berth", "deployment/berth-scheduler"] {
        let rollout = ["rollout", "status", deployment, "-n", NAMESPACE, "--timeout=90s"];
        plane.kubectl(&rollout).await?;
    }
    rights::are_apart(&plane).await?;

    // The shipped command lines and configuration, with ports and paths of this machine.
    let (extender, metrics) = (free_port()?, free_port()?);
    let berth = start_berth(&plane, &secrets, extender, metrics).await?;
    let scheduler = start_scheduler(&plane, &secrets, extender).await?;
    let asked = until("kube-scheduler asks", LIMIT, || async {
        scheduler.check().map_err(|error| error.to_string())?;
        let asked = calls(metrics).await?;
        if asked >= 1.0 { Ok(()) } else { Err(format!("{asked} calls")) }
    });
    let pods: Api<Pod> = Api::namespaced(plane.client(), "default");
    let pod = json!({
        "metadata": { "name": "asked-about" },
        "spec": {
            "schedulerName": "berth-scheduler",
            "containers": [{ "name": "main", "image": "none" }],
        },
    });
    pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await?;
    asked.await.with_context(|| format!("{}\n{}", berth.tail(), scheduler.tail()))?;
    until("the pod is bound", LIMIT, || async {
        let pod = pods.get("asked-about").await.map_err(|error| error.to_string())?;
        let node = pod.spec.and_then(|spec| spec.node_name);
        if node.as_deref() == Some("worker") { Ok(()) } else { Err(format!("{node:?}")) }
    })
    .await?;
    let log = std::fs::read_to_string(scheduler.log())?;
    assert!(!log.contains("forbidden"), "the rights do not suffice:\n{log}");
    Ok(())
}

/// One CA for both sides, as files and as what is in the Secrets.
struct Secrets {
    server: PathBuf,
    client: PathBuf,
}

impl Secrets {
    fn new(folder: &Path) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "berth-extender-authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate()?;
        let authority = params.self_signed(&key)?.pem();
        let issuer = Issuer::new(params, key);
        let issue = |secret: &str, hosts: Vec<String>, name: &str| -> Result<PathBuf> {
            let mut params = CertificateParams::new(hosts)?;
            params.distinguished_name = DistinguishedName::new();
            params.distinguished_name.push(DnType::CommonName, name);
            let key = KeyPair::generate()?;
            let certificate = params.signed_by(&key, &issuer)?;
            let mounted = folder.join(secret);
            std::fs::create_dir(&mounted)?;
            std::fs::write(mounted.join("tls.crt"), certificate.pem())?;
            std::fs::write(mounted.join("tls.key"), key.serialize_pem())?;
            std::fs::write(mounted.join("ca.crt"), &authority)?;
            Ok(mounted)
        };
        Ok(Self {
            server: issue("berth-extender-tls", vec![SERVICE.to_owned()], "berth")?,
            client: issue("berth-scheduler-tls", Vec::new(), "kube-scheduler")?,
        })
    }

    async fn create(&self, plane: &ControlPlane) -> Result<()> {
        let secrets: Api<Secret> = Api::namespaced(plane.client(), NAMESPACE);
        for mounted in [&self.server, &self.client] {
            let text = |file: &str| std::fs::read_to_string(mounted.join(file));
            let secret = json!({
                "metadata": { "name": mounted.file_name().and_then(|name| name.to_str()) },
                "type": "kubernetes.io/tls",
                "stringData": {
                    "tls.crt": text("tls.crt")?, "tls.key": text("tls.key")?,
                    "ca.crt": text("ca.crt")?,
                },
            });
            secrets.create(&PostParams::default(), &serde_json::from_value(secret)?).await?;
        }
        Ok(())
    }
}

/// A kustomization as its comment says to write one.
async fn apply(plane: &ControlPlane, secrets: &Secrets) -> Result<()> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let folder = tempfile::tempdir()?;
    let relative = relative(&folder, &deploy)?;
    let kustomization = json!({
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [relative],
        "components": [format!("{relative}/options/separate-scheduler")],
    });
    std::fs::write(folder.path().join("kustomization.yaml"), kustomization.to_string())?;
    let path = folder.path().to_str().context("the path is UTF-8")?;
    plane.kubectl(&["create", "namespace", NAMESPACE]).await?;
    secrets.create(plane).await?;
    let applied = plane.kubectl(&["apply", "--server-side", "-k", path]).await?;
    assert!(applied.contains("deployment.apps/berth-scheduler serverside-applied"), "{applied}");
    let crds = ["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"];
    plane.kubectl(&crds).await?;
    Ok(())
}

/// kustomize takes no absolute paths.
fn relative(from: &TempDir, to: &Path) -> Result<String> {
    let from = from.path().canonicalize()?;
    let up = "../".repeat(from.components().count() - 1);
    let to = to.canonicalize()?;
    Ok(format!("{up}{}", to.strip_prefix("/")?.display()))
}

async fn pod_spec(plane: &ControlPlane, deployment: &str) -> Result<PodSpec> {
    let deployments: Api<Deployment> = Api::namespaced(plane.client(), NAMESPACE);
    let spec = deployments.get(deployment).await?.spec.template.spec.context("a pod")?;
    assert_eq!(spec.containers.len(), 1, "{deployment}");
    Ok(spec)
}

async fn start_berth(
    plane: &ControlPlane,
    secrets: &Secrets,
    extender: u16,
    metrics: u16,
) -> Result<Component> {
    let spec = pod_spec(plane, "berth").await?;
    assert_eq!(spec.service_account_name.as_deref(), Some("berth"));
    let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, "berth").await?;
    let health = free_port()?;
    let mounted = secrets.server.display().to_string();
    let mut arguments = spec.containers[0].args.clone().unwrap_or_default();
    for argument in &mut arguments {
        *argument = argument
            .replace("=0.0.0.0:8443", &format!("=127.0.0.1:{extender}"))
            .replace("=0.0.0.0:8080", &format!("=127.0.0.1:{metrics}"))
            .replace("=0.0.0.0:8081", &format!("=127.0.0.1:{health}"))
            .replace("/etc/berth/tls", &mounted);
    }
    arguments.push(format!("--kubeconfig={}", kubeconfig.display()));
    let berth = plane.spawn("berth", Path::new(env!("CARGO_BIN_EXE_berth")), arguments)?;
    until("berth is ready", LIMIT, || async {
        if let Err(error) = berth.check() {
            return Ok(Err(error));
        }
        match get(health, "/readyz").await {
            Ok(answer) if answer.starts_with("HTTP/1.1 200") => Ok(Ok(())),
            other => Err(format!("{other:?}")),
        }
    })
    .await??;
    Ok(berth)
}

async fn start_scheduler(
    plane: &ControlPlane,
    secrets: &Secrets,
    extender: u16,
) -> Result<Component> {
    let spec = pod_spec(plane, "berth-scheduler").await?;
    assert_eq!(spec.service_account_name.as_deref(), Some("berth-scheduler"));
    let kubeconfig = plane.kubeconfig_for_service_account(NAMESPACE, "berth-scheduler").await?;
    let text = shipped_configuration(plane).await?;
    let mounted = secrets.client.display().to_string();
    let text = text
        .replace(&format!("https://{SERVICE}:8443"), &format!("https://127.0.0.1:{extender}"))
        .replace("/etc/berth/tls", &mounted);
    let connection = json!({ "kubeconfig": kubeconfig });
    let config = secrets.client.join("scheduler.yaml");
    std::fs::write(&config, format!("{text}\nclientConnection: {connection}\n"))?;
    let arguments = vec![
        format!("--config={}", config.display()),
        format!("--authentication-kubeconfig={}", kubeconfig.display()),
        format!("--authorization-kubeconfig={}", kubeconfig.display()),
        format!("--secure-port={}", free_port()?),
    ];
    let binary = berth_controlplane::Assets::find()?.binary("kube-scheduler");
    plane.spawn("kube-scheduler-of-its-own", &binary, arguments)
}

/// How often filter was asked and answered.
async fn calls(metrics: u16) -> Result<f64, String> {
    let text = get(metrics, "/metrics").await?;
    let series = "berth_extender_requests_total{verb=\"filter\",code=\"200\"} ";
    let line = text.lines().find_map(|line| line.strip_prefix(series));
    Ok(line.and_then(|value| value.parse().ok()).unwrap_or(0.0))
}

async fn get(port: u16, path: &str) -> Result<String, String> {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let exchange = async {
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", port)).await?;
        let head = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    exchange.await.map_err(|error| error.to_string())
}
