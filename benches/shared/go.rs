//! The Go module that has Karpenter in it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Runs `go` in the module; gives what it prints. Says what is missing if that cannot be.
pub fn go(arguments: &[&str]) -> Result<String, String> {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/karpenter");
    let output = Command::new("go")
        .args(arguments)
        .current_dir(module)
        .env("GOFLAGS", "-mod=readonly -buildvcs=false")
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("Go 1.26.6 or newer is needed: {error}"))?;
    if !output.status.success() {
        return Err(format!("go {arguments:?}: {}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Builds a package of it; quick when that was done before. Gives the program.
pub fn build(package: &str, name: &str) -> Result<PathBuf, String> {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers").join(name);
    go(&["mod", "download"])?;
    go(&["build", "-o", &program.to_string_lossy(), package])?;
    Ok(program)
}
