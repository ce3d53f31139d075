//! Where shared data is.

use std::path::{Path, PathBuf};

/// The folder beside the repository, or the one that `BERTH_DATA` names.
pub fn data() -> PathBuf {
    std::env::var_os("BERTH_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from)
}
