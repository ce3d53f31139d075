//! What benches do with kube-scheduler: give it other settings, and read its metrics.

use anyhow::{Context as _, Result};
use kube::Client;

use crate::kubeconfig;
use crate::launcher::SCHEDULER_CONFIG;
use crate::plane::ControlPlane;
use crate::settings::SchedulerSettings;

impl ControlPlane {
    /// Writes other settings for kube-scheduler, which takes them when it starts the next time.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn configure_scheduler(&self, settings: &SchedulerSettings) -> Result<()> {
        let file = self.folder.path().join(SCHEDULER_CONFIG);
        std::fs::write(file, settings.to_json(&self.kubeconfig()).to_string())?;
        Ok(())
    }

    /// A client of kube-scheduler's own port.
    ///
    /// # Errors
    /// When there is no certificate for it.
    pub async fn scheduler_client(&self) -> Result<Client> {
        let server = format!("https://127.0.0.1:{}", self.ports.scheduler);
        let groups = &["system:masters"];
        let name = "kube-scheduler";
        let path = kubeconfig::for_user(&self.authority, &server, name, "admin", groups)?;
        kubeconfig::client(&path).await
    }
}

/// The sum over every series of a metric whose labels contain `labels`, in a client's answer.
///
/// # Errors
/// When the component does not answer.
pub async fn metric(client: &Client, names: &[(&str, &str)]) -> Result<Vec<f64>> {
    let request = http::Request::get("/metrics").body(Vec::new()).context("a request")?;
    let text = client.request_text(request).await?;
    Ok(names.iter().map(|(name, labels)| sum(&text, name, labels)).collect())
}

fn sum(text: &str, name: &str, labels: &str) -> f64 {
    let series = text.lines().filter(|line| line.starts_with(name)).filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        let (found, found_labels) = series.split_once('{').unwrap_or((series, ""));
        let value: f64 = value.parse().ok()?;
        (found == name && found_labels.contains(labels)).then_some(value)
    });
    series.sum()
}
