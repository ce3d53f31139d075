//! The command lines.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;

use crate::assets::Assets;
use crate::certificates::{Authority, Identity};
use crate::component::Component;
use crate::janitor::Janitor;
use crate::settings::{self, SchedulerSettings};
use crate::wait::free_port;

/// kube-scheduler's configuration.
pub(crate) const SCHEDULER_CONFIG: &str = "scheduler.yaml";

/// The ports on loopback of what serves something.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ports {
    pub(crate) etcd: u16,
    pub(crate) api_server: u16,
    pub(crate) controller_manager: u16,
    pub(crate) scheduler: u16,
    pub(crate) kwok: u16,
}

impl Ports {
    pub(crate) fn free() -> Result<Self> {
        Ok(Self {
            etcd: free_port()?,
            api_server: free_port()?,
            controller_manager: free_port()?,
            scheduler: free_port()?,
            kwok: free_port()?,
        })
    }
}

/// Puts the command lines together.
pub(crate) struct Launcher {
    pub(crate) folder: PathBuf,
    pub(crate) logs: PathBuf,
    pub(crate) assets: Assets,
    pub(crate) authority: Authority,
    pub(crate) ports: Ports,
    pub(crate) janitor: Arc<Janitor>,
}

impl Launcher {
    fn launch(&self, name: &str, flags: &BTreeMap<&str, String>) -> Result<Component> {
        let arguments = flags.iter().map(|(flag, value)| format!("--{flag}={value}")).collect();
        let binary = self.assets.binary(name);
        let component = Component::new(name, binary, arguments, &self.logs, &self.janitor);
        component.start()?;
        Ok(component)
    }

    pub(crate) fn etcd(&self) -> Result<Component> {
        let url = format!("http://127.0.0.1:{}", self.ports.etcd);
        let flags = BTreeMap::from([
            ("data-dir", self.folder.join("etcd").display().to_string()),
            ("listen-client-urls", url.clone()),
            ("advertise-client-urls", url),
            ("listen-peer-urls", "http://127.0.0.1:0".to_owned()),
            // A test has no use for data that survives a power cut.
            ("unsafe-no-fsync", "true".to_owned()),
            ("log-level", "warn".to_owned()),
        ]);
        self.launch("etcd", &flags)
    }

    pub(crate) fn api_server(&self, server: &Identity, accounts: &Identity) -> Result<Component> {
        let text = |path: &Path| path.display().to_string();
        let flags = BTreeMap::from([
            ("etcd-servers", format!("http://127.0.0.1:{}", self.ports.etcd)),
            ("bind-address", "127.0.0.1".to_owned()),
            // Nothing reaches this API server through the `kubernetes` Service, and loopback
            // addresses may not be in its endpoints.
            ("endpoint-reconciler-type", "none".to_owned()),
            ("secure-port", self.ports.api_server.to_string()),
            ("tls-cert-file", text(&server.certificate)),
            ("tls-private-key-file", text(&server.key)),
            ("client-ca-file", text(&self.authority.certificate)),
            ("service-account-issuer", "https://kubernetes.default.svc".to_owned()),
            ("service-account-key-file", text(&accounts.certificate)),
            ("service-account-signing-key-file", text(&accounts.key)),
            ("service-cluster-ip-range", "10.0.0.0/24".to_owned()),
            ("authorization-mode", "RBAC".to_owned()),
            ("allow-privileged", "true".to_owned()),
            ("max-requests-inflight", "4000".to_owned()),
            ("max-mutating-requests-inflight", "2000".to_owned()),
        ]);
        self.launch("kube-apiserver", &flags)
    }

    pub(crate) fn controller_manager(
        &self,
        kubeconfig: &Path,
        server: &Identity,
        accounts: &Identity,
    ) -> Result<Component> {
        let mut flags = self.serving(kubeconfig, server, self.ports.controller_manager);
        flags.extend([
            ("kubeconfig", kubeconfig.display().to_string()),
            ("leader-elect", "false".to_owned()),
            ("controllers", "*".to_owned()),
            ("service-account-private-key-file", accounts.key.display().to_string()),
            ("root-ca-file", self.authority.certificate.display().to_string()),
            ("kube-api-qps", "2000".to_owned()),
            ("kube-api-burst", "4000".to_owned()),
            ("concurrent-deployment-syncs", "20".to_owned()),
            ("concurrent-replicaset-syncs", "20".to_owned()),
        ]);
        self.launch("kube-controller-manager", &flags)
    }

    pub(crate) fn scheduler(
        &self,
        kubeconfig: &Path,
        server: &Identity,
        settings: &SchedulerSettings,
    ) -> Result<Component> {
        let config = self.folder.join(SCHEDULER_CONFIG);
        std::fs::write(&config, settings.to_json(kubeconfig).to_string())?;
        let mut flags = self.serving(kubeconfig, server, self.ports.scheduler);
        flags.insert("config", config.display().to_string());
        self.launch("kube-scheduler", &flags)
    }

    /// Where a component serves its health, and whom it asks about callers.
    fn serving(
        &self,
        kubeconfig: &Path,
        server: &Identity,
        port: u16,
    ) -> BTreeMap<&'static str, String> {
        BTreeMap::from([
            ("bind-address", "127.0.0.1".to_owned()),
            ("secure-port", port.to_string()),
            ("tls-cert-file", server.certificate.display().to_string()),
            ("tls-private-key-file", server.key.display().to_string()),
            ("authentication-kubeconfig", kubeconfig.display().to_string()),
            ("authorization-kubeconfig", kubeconfig.display().to_string()),
        ])
    }

    pub(crate) fn kwok(&self, kubeconfig: &Path) -> Result<Component> {
        let config = self.folder.join("kwok.yaml");
        std::fs::write(&config, settings::kwok(self.ports.kwok))?;
        let flags = BTreeMap::from([
            ("kubeconfig", kubeconfig.display().to_string()),
            ("config", config.display().to_string()),
        ]);
        self.launch("kwok", &flags)
    }
}
