//! What a result of a sweep depends on beside the settings that are tried.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::Context;
use aws_lc_rs::digest;
use berth_simulations::replay::ReplaySettings;

use super::Arguments;
use crate::commands::Failure;

/// So many bytes of a digest are kept: enough that no two things ever share one.
const KEPT: usize = 16;

/// A digest of everything that a replay of that trace follows from, save the policy and what a
/// sweep sets: version, settings, catalog, which part of the trace, and the trace itself with
/// the files that belong to it. Equal ones mean equal results, wherever the files lie.
///
/// # Errors
/// When a file cannot be read.
pub(super) fn of(
    arguments: &Arguments,
    trace: &Path,
    base: &ReplaySettings,
) -> Result<String, Failure> {
    let format = arguments.part.format_of(trace)?;
    let settings = serde_json::to_string(base).context("the settings cannot be written")?;
    let mut whole = digest::Context::new(&digest::SHA256);
    let mut part = |bytes: &[u8]| {
        whole.update(&(bytes.len() as u64).to_le_bytes());
        whole.update(bytes);
    };
    part(env!("CARGO_PKG_VERSION").as_bytes());
    part(settings.as_bytes());
    part(arguments.part.options().join(" ").as_bytes());
    part(content(arguments.catalog())?.as_ref());
    part(format.to_string().as_bytes());
    for file in format.files(trace)? {
        part(content(&file)?.as_ref());
    }
    Ok(whole.finish().as_ref()[..KEPT].iter().fold(String::new(), |mut text, byte| {
        // Writing to a String never fails.
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// A digest of a file.
fn content(path: &Path) -> Result<digest::Digest, Failure> {
    let digest = || -> io::Result<digest::Digest> {
        let (mut file, mut context) = (File::open(path)?, digest::Context::new(&digest::SHA256));
        let mut buffer = vec![0; 1 << 16];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(context.finish()),
                count => context.update(&buffer[..count]),
            }
        }
    };
    let cannot = || format!("{} cannot be read", path.display());
    digest().with_context(cannot).map_err(Failure::BadInput)
}
