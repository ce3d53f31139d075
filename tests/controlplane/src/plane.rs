//! The control plane as a whole.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::Client;
use kube::api::{Api, PostParams};
use serde_json::json;
use tempfile::TempDir;

use crate::assets::{Assets, in_ci, notice};
use crate::certificates::Authority;
use crate::component::Component;
use crate::janitor::Janitor;
use crate::kubeconfig::{self, Credential};
use crate::launcher::{Launcher, Ports};
use crate::settings::{Extender, SchedulerSettings};
use crate::wait::{until, until_ok};

/// Nothing that starts here should take this long, even on a loaded machine.
const START_LIMIT: Duration = Duration::from_secs(120);

/// What a control plane shall consist of.
#[derive(Debug, Clone)]
pub struct Builder {
    scheduler: Option<SchedulerSettings>,
    controller_manager: bool,
    kwok: bool,
}

impl Default for Builder {
    fn default() -> Self {
        Self { scheduler: Some(SchedulerSettings::default()), controller_manager: true, kwok: true }
    }
}

impl Builder {
    /// Adds an extender to kube-scheduler's configuration.
    #[must_use]
    pub fn extender(mut self, extender: Extender) -> Self {
        self.scheduler.get_or_insert_default().extenders.push(extender);
        self
    }

    /// Replaces kube-scheduler's settings, extenders included.
    #[must_use]
    pub fn scheduler(mut self, settings: SchedulerSettings) -> Self {
        self.scheduler = Some(settings);
        self
    }

    /// Leaves all but etcd and kube-apiserver out, for tests of schemas and permissions: it
    /// starts in half the time.
    #[must_use]
    pub fn api_server_only(mut self) -> Self {
        self.scheduler = None;
        self.controller_manager = false;
        self.kwok = false;
        self
    }

    /// Starts it all and waits until it is ready.
    ///
    /// # Errors
    /// When the binaries are not there, or a component does not become ready: with the end of
    /// its log.
    pub async fn start(self) -> Result<ControlPlane> {
        ControlPlane::start(self).await
    }

    /// Starts it all; `None`, with a printed notice that names `test`, when the binaries are not
    /// there. In CI (`CI=true`) nothing is skipped.
    ///
    /// # Panics
    /// When a component does not become ready, and in CI when the binaries are not there.
    #[allow(clippy::panic, reason = "called by tests only, which fail by panicking")]
    pub async fn start_or_skip(self, test: &str) -> Option<ControlPlane> {
        if let Err(error) = Assets::find() {
            if in_ci() {
                panic!("{test}: {error:#}");
            }
            notice(&format!("SKIPPED {test}: {error:#}"));
            return None;
        }
        match self.start().await {
            Ok(plane) => Some(plane),
            Err(error) => panic!("{test}: the control plane does not start: {error:#}"),
        }
    }
}

/// A running control plane. Dropping it stops everything and removes its files; when the test
/// panics its logs stay, and their folder is printed.
pub struct ControlPlane {
    // Dropped in this order: clients of the API server first, etcd last.
    kwok: Option<Component>,
    pub(crate) scheduler: Option<Component>,
    controller_manager: Option<Component>,
    api_server: Component,
    etcd: Component,
    janitor: Arc<Janitor>,
    pub(crate) ports: Ports,
    pub(crate) authority: Authority,
    assets: Assets,
    client: Client,
    pub(crate) folder: Folder,
    start_time: Duration,
}

/// The temporary folder; kept when the test panics.
pub(crate) struct Folder(Option<TempDir>);

impl Folder {
    pub(crate) fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), TempDir::path)
    }

    fn logs(&self) -> PathBuf {
        self.path().join("logs")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        if let Some(folder) = self.0.take() {
            let kept = folder.keep();
            let _ = std::fs::remove_dir_all(kept.join("etcd"));
            notice(&format!("the control plane's logs are in {}", kept.join("logs").display()));
        }
    }
}

impl ControlPlane {
    /// What to start: by default all of it, with a kube-scheduler that asks no extender.
    #[must_use]
    pub fn builder() -> Builder {
        Builder::default()
    }

    async fn start(builder: Builder) -> Result<Self> {
        let begin = Instant::now();
        let assets = Assets::find()?;
        let folder = tempfile::Builder::new().prefix("berth-controlplane-").tempdir()?;
        let folder = Folder(Some(folder));
        std::fs::create_dir_all(folder.logs())?;
        let launcher = Launcher {
            janitor: Arc::new(Janitor::start(folder.path())?),
            authority: Authority::new(folder.path())?,
            ports: Ports::free()?,
            logs: folder.logs(),
            folder: folder.path().to_owned(),
            assets,
        };
        let url = format!("https://127.0.0.1:{}", launcher.ports.api_server);
        let groups = &["system:masters"];
        let admin = kubeconfig::for_user(&launcher.authority, &url, "admin", "admin", groups)?;
        let service_accounts = launcher.authority.service_accounts()?;
        let server = launcher.authority.server()?;

        let etcd = launcher.etcd()?;
        let api_server = launcher.api_server(&server, &service_accounts)?;
        let client = kubeconfig::client(&admin).await?;
        wait_for_path("kube-apiserver", &client, "/readyz", &[&etcd, &api_server]).await?;

        let controller_manager = builder
            .controller_manager
            .then(|| launcher.controller_manager(&admin, &server, &service_accounts))
            .transpose()?;
        let scheduler = builder
            .scheduler
            .as_ref()
            .map(|settings| launcher.scheduler(&admin, &server, settings))
            .transpose()?;
        let kwok = builder.kwok.then(|| launcher.kwok(&admin)).transpose()?;
        let plane = Self {
            kwok,
            scheduler,
            controller_manager,
            api_server,
            etcd,
            janitor: launcher.janitor,
            ports: launcher.ports,
            authority: launcher.authority,
            assets: launcher.assets,
            client,
            folder,
            start_time: Duration::ZERO,
        };
        plane.wait_until_ready().await?;
        Ok(Self { start_time: begin.elapsed(), ..plane })
    }

    async fn wait_until_ready(&self) -> Result<()> {
        if let Some(scheduler) = &self.scheduler {
            self.wait_for_server("kube-scheduler", self.ports.scheduler, scheduler).await?;
        }
        if let Some(kwok) = &self.kwok {
            until("kwok listens", START_LIMIT, || async move {
                if let Err(error) = kwok.check() {
                    return Ok(Err(error));
                }
                match tokio::net::TcpStream::connect(("127.0.0.1", self.ports.kwok)).await {
                    Ok(_) => Ok(Ok(())),
                    Err(error) => Err(error.to_string()),
                }
            })
            .await??;
        }
        if let Some(manager) = &self.controller_manager {
            let port = self.ports.controller_manager;
            self.wait_for_server("kube-controller-manager", port, manager).await?;
            self.wait_for_service_account("default").await?;
        }
        Ok(())
    }

    async fn wait_for_server(&self, name: &str, port: u16, component: &Component) -> Result<()> {
        let server = format!("https://127.0.0.1:{port}");
        let groups = &["system:masters"];
        let path = kubeconfig::for_user(&self.authority, &server, name, "admin", groups)?;
        wait_for_path(name, &kubeconfig::client(&path).await?, "/healthz", &[component]).await
    }

    /// A client that may do everything (group `system:masters`).
    #[must_use]
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// A client with a certificate for this user and at most two groups.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub async fn client_for(&self, user: &str, groups: &[&str]) -> Result<Client> {
        kubeconfig::client(&self.kubeconfig_for(user, groups)?).await
    }

    /// The kubeconfig of [`Self::client`].
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.path().join("admin.kubeconfig")
    }

    /// A kubeconfig with a certificate for this user and at most two groups.
    ///
    /// # Errors
    /// When the certificate cannot be made or the file not be written.
    pub fn kubeconfig_for(&self, user: &str, groups: &[&str]) -> Result<PathBuf> {
        kubeconfig::for_user(&self.authority, &self.url(), &file_name(user), user, groups)
    }

    /// A kubeconfig with a token of this service account, good for a day: what a pod of it has.
    ///
    /// # Errors
    /// When the service account is not there or the file cannot be written.
    pub async fn kubeconfig_for_service_account(
        &self,
        namespace: &str,
        name: &str,
    ) -> Result<PathBuf> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec { expiration_seconds: Some(86_400), ..Default::default() }),
            ..Default::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .with_context(|| format!("no token for the service account {namespace}/{name}"))?;
        let token = answer.status.and_then(|status| status.token).unwrap_or_default();
        let path = self.folder.path().join(format!("{namespace}-{name}.kubeconfig"));
        let credential = Credential::Token(&token);
        kubeconfig::write(&path, &self.url(), &self.authority.certificate, &credential)?;
        Ok(path)
    }

    /// Creates a namespace and waits until pods can be created in it.
    ///
    /// # Errors
    /// When the API server refuses it.
    pub async fn create_namespace(&self, name: &str) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client());
        let namespace = serde_json::from_value(json!({ "metadata": { "name": name } }))?;
        namespaces.create(&PostParams::default(), &namespace).await?;
        if self.controller_manager.is_some() {
            self.wait_for_service_account(name).await?;
        }
        Ok(())
    }

    /// The ServiceAccount admission plugin refuses pods until the controller made the account.
    async fn wait_for_service_account(&self, namespace: &str) -> Result<()> {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        until_ok(&format!("the default service account of {namespace}"), START_LIMIT, || {
            let accounts = accounts.clone();
            async move { accounts.get("default").await }
        })
        .await?;
        Ok(())
    }

    /// Runs kubectl as `system:masters` and gives its standard output.
    ///
    /// # Errors
    /// When kubectl fails: with its standard error.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = tokio::process::Command::new(self.assets.binary("kubectl"))
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg("--cache-dir")
            .arg(self.folder.path().join("kubectl-cache"))
            .args(arguments)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await
            .context("cannot run kubectl")?;
        if !output.status.success() {
            let stderr = String::from_utf8_lossy(&output.stderr);
            bail!("kubectl {}: {}", arguments.join(" "), stderr.trim());
        }
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// How many watches of a resource (`pods`) are open: whoever opens one has listed it.
    ///
    /// # Errors
    /// When the API server does not tell.
    pub async fn open_watches(&self, resource: &str) -> Result<f64, String> {
        let metrics = self.kubectl(&["get", "--raw", "/metrics"]).await;
        let metrics = metrics.map_err(|error| error.to_string())?;
        let resource = format!("resource=\"{resource}\"");
        let open = metrics
            .lines()
            .filter(|line| line.starts_with("apiserver_longrunning_requests{"))
            .filter(|line| line.contains(&resource) && line.contains("verb=\"WATCH\""))
            .filter_map(|line| line.rsplit_once(' ')?.1.parse::<f64>().ok());
        Ok(open.sum())
    }

    /// Starts a process of the test's own: its log is beside the others', it is stopped when the
    /// component is dropped, and it does not outlive the test.
    ///
    /// # Errors
    /// When the binary cannot be run.
    pub fn spawn(&self, name: &str, binary: &Path, arguments: Vec<String>) -> Result<Component> {
        let logs = self.logs_dir();
        let component = Component::new(name, binary.into(), arguments, &logs, &self.janitor);
        component.start()?;
        Ok(component)
    }

    /// kube-apiserver's URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://127.0.0.1:{}", self.ports.api_server)
    }

    /// The folder with one log for each component.
    #[must_use]
    pub fn logs_dir(&self) -> PathBuf {
        self.folder.logs()
    }

    /// How long it took until everything was ready.
    #[must_use]
    pub fn start_time(&self) -> Duration {
        self.start_time
    }

    /// etcd.
    #[must_use]
    pub fn etcd(&self) -> &Component {
        &self.etcd
    }

    /// kube-apiserver. After a restart wait for it with [`Self::wait_for_api_server`].
    #[must_use]
    pub fn api_server(&self) -> &Component {
        &self.api_server
    }

    /// Waits until kube-apiserver answers that it is ready.
    ///
    /// # Errors
    /// When it ended, or is not ready in time.
    pub async fn wait_for_api_server(&self) -> Result<()> {
        wait_for_path("kube-apiserver", &self.client, "/readyz", &[&self.api_server]).await
    }

    /// kube-scheduler, unless left out.
    #[must_use]
    pub fn scheduler(&self) -> Option<&Component> {
        self.scheduler.as_ref()
    }

    /// kube-controller-manager, unless left out.
    #[must_use]
    pub fn controller_manager(&self) -> Option<&Component> {
        self.controller_manager.as_ref()
    }

    /// kwok, unless left out.
    #[must_use]
    pub fn kwok(&self) -> Option<&Component> {
        self.kwok.as_ref()
    }
}

/// Waits until a component answers 200 at `path`; fails early when one of `needed` has ended.
async fn wait_for_path(
    name: &str,
    client: &Client,
    path: &str,
    needed: &[&Component],
) -> Result<()> {
    let ready = until(&format!("{name} is ready"), START_LIMIT, || async move {
        for component in needed {
            if let Err(error) = component.check() {
                return Ok(Err(error));
            }
        }
        let request = match http::Request::get(path).body(Vec::new()) {
            Ok(request) => request,
            Err(error) => return Ok(Err(error.into())),
        };
        match client.request_text(request).await {
            Ok(_) => Ok(Ok(())),
            Err(error) => Err(error.to_string()),
        }
    })
    .await;
    let tails = || needed.iter().map(|component| component.tail()).collect::<Vec<_>>().join("\n");
    ready.with_context(tails)?
}

/// A user's name (`system:serviceaccount:a:b`) as part of a file name.
fn file_name(user: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
    format!("user-{}", user.chars().map(plain).collect::<String>())
}
