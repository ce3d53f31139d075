//! Prism between the daemon and the fake: it holds every request and every answer against
//! Exoscale's own description of the API.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use berth_controlplane::{free_port, until};
use tokio::process::{Child, Command};

const LIMIT: Duration = Duration::from_secs(300);

/// The folder with Prism and with the description that it goes by; `None`, with a printed notice,
/// where Node.js or the description is not there.
pub fn installed() -> Option<PathBuf> {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let data = std::env::var_os("BERTH_DATA")
        .map_or_else(|| repository.join("../shared/data"), PathBuf::from);
    let description = data.join("exoscale/openapi.json");
    if !description.exists() {
        println!(
            "skipped: Prism: there is no exoscale/openapi.json in the data folder (BERTH_DATA)"
        );
        return None;
    }
    let tools = repository.join("target/exoscale-tools");
    let script = repository.join("tests/exoscale/tools.sh");
    let installed =
        std::process::Command::new(&script).arg(&tools).arg(&description).output().unwrap();
    if !installed.status.success() {
        let why = String::from_utf8_lossy(&installed.stderr).trim().to_owned();
        assert!(std::env::var_os("CI").is_none(), "{why}");
        println!("skipped: Prism: {why}");
        return None;
    }
    Some(tools)
}

/// Prism while it runs.
pub struct Prism {
    port: u16,
    log: PathBuf,
    _process: Child,
}

impl Prism {
    /// Starts it before the fake at this address; `None` where it cannot be had.
    pub async fn before(fake: &str) -> Option<Self> {
        let tools = tokio::task::spawn_blocking(installed).await.unwrap()?;
        let port = free_port().unwrap();
        let log = tools.join(format!("prism-{port}.log"));
        let output = std::fs::File::create(&log).unwrap();
        let process = Command::new(tools.join("node_modules/.bin/prism"))
            .args(["proxy", "-h", "127.0.0.1", "-p", &port.to_string()])
            .arg(tools.join("description.json"))
            .arg(fake)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        until("Prism listens", LIMIT, || async {
            let connected = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
            connected.map(drop).map_err(|error| error.to_string())
        })
        .await
        .unwrap();
        Some(Self { port, log, _process: process })
    }

    /// Where it is. Its paths begin without `/v2`.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Fails if a request or an answer was not as described. That an answer has a status of which
    /// the description says nothing is none of ours, for it names 200 and no other; nor is one that
    /// the fake was asked not to give.
    pub fn assert_no_violation(&self) {
        let log = std::fs::read_to_string(&self.log).unwrap();
        let seen = log.lines().filter(|line| line.contains("Request received")).count();
        assert!(seen > 20, "Prism saw {seen} calls only:\n{log}");
        let none_of_ours = ["Unable to match the returned status code", "reason: socket hang up"];
        let violations: Vec<&str> = log
            .lines()
            .filter(|line| line.contains("Violation") || line.contains('\u{2716}'))
            .filter(|line| !none_of_ours.iter().any(|words| line.contains(words)))
            .collect();
        println!("Prism: {seen} requests, {} violations", violations.len());
        assert!(violations.is_empty(), "{violations:#?}");
    }
}
