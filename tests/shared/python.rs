//! Clients in Python that nobody here wrote.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

/// Nothing that such a client does may take longer.
const LIMIT: Duration = Duration::from_secs(120);

/// A Python with packages of its own.
pub struct Python(PathBuf);

impl Python {
    /// Installs packages (`NAME==VERSION`) into `target/NAME`. `None`, with a notice, where that
    /// cannot be done.
    pub async fn with(name: &str, packages: &[&str]) -> Option<Self> {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folder = repository.join("target").join(name);
        let script = repository.join("tests/shared/python.sh");
        let installed = Command::new(script).arg(&folder).args(packages).output().await.unwrap();
        if !installed.status.success() {
            let why = String::from_utf8_lossy(&installed.stderr).trim().to_owned();
            assert!(std::env::var_os("CI").is_none(), "{why}");
            println!("skipped: {}: {why}", packages.join(", "));
            return None;
        }
        Some(Self(folder.join("bin/python")))
    }

    /// Runs a program of the repository, which has to end well; what it says.
    pub async fn run(&self, program: &str, arguments: &[&str]) -> String {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join(program);
        let ran = Command::new(&self.0).arg(program).args(arguments).kill_on_drop(true).output();
        let ran = tokio::time::timeout(LIMIT, ran).await.unwrap().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout).trim().to_owned();
        assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
        said
    }
}
