//! Where the binaries are.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail};

/// Every binary a control plane is made of.
const BINARIES: [&str; 6] =
    ["etcd", "kwok", "kubectl", "kube-apiserver", "kube-controller-manager", "kube-scheduler"];

/// The folder with the binaries of the control plane, known to be complete.
#[derive(Debug, Clone)]
pub struct Assets {
    folder: PathBuf,
}

impl Assets {
    /// Finds the binaries, or has `build.sh` build them (minutes, the first time on a machine).
    ///
    /// # Errors
    /// Says what is missing and how to get it.
    pub fn find() -> Result<Self> {
        static FOUND: OnceLock<Result<PathBuf, String>> = OnceLock::new();
        match FOUND.get_or_init(|| locate().map_err(|error| format!("{error:#}"))) {
            Ok(folder) => Ok(Self { folder: folder.clone() }),
            Err(error) => bail!("{error}"),
        }
    }

    /// The path of one binary.
    #[must_use]
    pub fn binary(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

fn locate() -> Result<PathBuf> {
    let folder = match std::env::var_os("KUBEBUILDER_ASSETS").filter(|value| !value.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => built()?,
    };
    let missing: Vec<_> =
        BINARIES.into_iter().filter(|name| !folder.join(name).is_file()).collect();
    if !missing.is_empty() {
        bail!("{} lacks {}", folder.display(), missing.join(", "));
    }
    Ok(folder)
}

/// Runs `build.sh`, which prints the folder as its last line and its progress on standard error.
fn built() -> Result<PathBuf> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build.sh");
    let output = Command::new("bash")
        .arg(&script)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot run bash {}", script.display()))?;
    let stdout = String::from_utf8_lossy(&output.stdout);
    match stdout.lines().last() {
        Some(folder) if output.status.success() => Ok(PathBuf::from(folder)),
        _ => bail!(
            "the control plane is not there: install Go 1.26 or newer and run \
             tests/controlplane/build.sh, or set KUBEBUILDER_ASSETS to a folder with {}",
            BINARIES.join(", ")
        ),
    }
}

/// Whether a continuous-integration run is under way, where nothing may be skipped.
pub fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| !matches!(value.as_str(), "" | "0" | "false"))
}

/// Writes past the test runner's capture, which would hide the notice of a test that passes.
pub(crate) fn notice(message: &str) {
    let _ = writeln!(std::io::stderr(), "{message}");
}
