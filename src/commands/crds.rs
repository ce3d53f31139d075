//! `berth crds`: print the CustomResourceDefinitions.

use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;

use super::Failure;
use crate::api::{CrdFile, crds};

/// Print the CustomResourceDefinitions that Berth works with, as YAML for `kubectl apply -f -`
#[derive(Debug, Args)]
pub struct Arguments {
    /// Write each to a file of its own in this folder instead
    #[arg(long, value_name = "FOLDER")]
    output_dir: Option<PathBuf>,
}

/// Prints the definitions to `output`, or writes them to files.
///
/// # Errors
///
/// If they cannot be written.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    let files = crds().context("a CustomResourceDefinition cannot be written as JSON")?;
    for file in files {
        let text = yaml(&file)?;
        match &arguments.output_dir {
            Some(folder) => write_file(folder, &file.file_name, &text)?,
            None => output.write_all(text.as_bytes()).context("cannot write to standard output")?,
        }
    }
    Ok(())
}

fn yaml(file: &CrdFile) -> Result<String, Failure> {
    let text =
        file.to_yaml().with_context(|| format!("{} cannot be written as YAML", file.file_name))?;
    Ok(format!("---\n# Printed by `berth crds`; a test keeps the two equal.\n{text}"))
}

fn write_file(folder: &Path, name: &str, text: &str) -> Result<(), Failure> {
    let path = folder.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(())
}
