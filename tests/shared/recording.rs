//! `berth trace record` as a child process, begun and ended as people do.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use berth_controlplane::ControlPlane;
use tokio::process::{Child, Command};

/// Writing what is known takes no longer.
const LIMIT: Duration = Duration::from_secs(60);

/// A recording that runs.
pub struct Recording(Child);

impl Recording {
    /// Begins one that writes `file` in a folder, with more arguments.
    pub fn start(plane: &ControlPlane, folder: &Path, file: &str, more: &[&str]) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_berth"))
            .args(["trace", "record", "--out", file, "--kubeconfig"])
            .arg(plane.kubeconfig())
            .args(more)
            .current_dir(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self(process)
    }

    /// Ends it by a signal; returns what it said once all is written.
    pub async fn end(self, signal: &str) -> String {
        let id = self.0.id().unwrap().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().await.unwrap().success());
        self.ended().await
    }

    /// Waits until it has ended; returns what it said.
    pub async fn ended(self) -> String {
        let ended = tokio::time::timeout(LIMIT, self.0.wait_with_output()).await.unwrap().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        String::from_utf8(ended.stdout).unwrap()
    }
}
