//! What a cloud sells, read from files into a [`Catalog`].
//!
//! Two formats, told apart by the first character: a CSV table with one row an offering, and the
//! JSON list that Karpenter's kwok provider reads. Both are read as a stream, and whatever is
//! malformed is refused with its file, line and column; nothing is guessed.
//!
//! # The table
//! `instance_type, arch, cpu_milli, memory_mib, zone, capacity_type, price_per_hour` must be
//! there; `pods` (default 110), `gpu`, `gpu_name`, `ephemeral_mib`, `overhead_cpu_milli`,
//! `overhead_memory_mib` and any `resource/NAME` may be (default 0). CPU and memory are the
//! machine's own, the overhead is what kubelet and the system keep of it. `gpu` counts
//! `nvidia.com/gpu` (`amd.com/gpu` if `gpu_name` begins with `radeon`), and `gpu_name` becomes the
//! label [`GPU_PRODUCT_LABEL`]. All nodes run Linux.
//!
//! # The built-in catalog
//! [`exoscale`] is Exoscale's, in EUR per hour, from its public price list of August 2025
//! (`standard.extra-large` and `gpu3.small`: October 2026). Each price includes the root disk, 50
//! GiB or the least that the type allows, at 0.00014 EUR (storage family: 0.00006 EUR) per GiB and
//! hour. The overhead is what the node class reserves by default: 300m CPU and 400 MiB. Types
//! whose shape is not published are left out, and zones beyond the three listed. Prices are the
//! same in all zones. It serves demos and tests; the Exoscale provider asks the live lists.

mod error;
mod kwok;
mod table;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use berth_solver::model::{Catalog, Name, ValueSet};

pub use error::CatalogError;

/// The label that carries the table's `gpu_name`, as NVIDIA's feature discovery names it.
pub const GPU_PRODUCT_LABEL: &str = "nvidia.com/gpu.product";
/// The label that carries an Exoscale type's family (`standard`, `cpu`, `memory`, ...).
pub const EXOSCALE_FAMILY_LABEL: &str = "exoscale.com/instance-family";
/// The label that carries an Exoscale type's size (`small`, `medium`, ...).
pub const EXOSCALE_SIZE_LABEL: &str = "exoscale.com/instance-size";

const EXOSCALE: &str = include_str!("exoscale.csv");

/// Reads a catalog file of either format.
///
/// # Errors
/// When the file cannot be read, or for the first thing in it that makes no sense.
pub fn read(path: &Path) -> Result<Catalog, CatalogError> {
    let name = path.display().to_string();
    let file = File::open(path).map_err(|error| CatalogError::unreadable(&name, &error))?;
    read_from(&name, BufReader::new(file))
}

/// Reads a catalog of either format; `file` names it in errors.
///
/// # Errors
/// As [`read`].
pub fn read_from(file: &str, mut input: impl BufRead) -> Result<Catalog, CatalogError> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let start = input.fill_buf().map_err(|error| CatalogError::unreadable(file, &error))?;
    if start.starts_with(BYTE_ORDER_MARK) {
        input.consume(BYTE_ORDER_MARK.len());
    }
    let start = input.fill_buf().map_err(|error| CatalogError::unreadable(file, &error))?;
    match start.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'[' | b'{') => kwok::read(file, input),
        _ => table::read(file, input),
    }
}

/// The built-in catalog of Exoscale (see the module's description).
///
/// # Errors
/// Never, as a test makes sure.
pub fn exoscale() -> Result<Catalog, CatalogError> {
    let mut catalog = read_from("exoscale.csv", EXOSCALE.as_bytes())?;
    for kind in &mut catalog.instance_types {
        let Some((family, size)) = kind.name.split_once('.') else { continue };
        let (family, size) = (Name::from(family), Name::from(size));
        kind.labels.require(EXOSCALE_FAMILY_LABEL.into(), &ValueSet::one(family));
        kind.labels.require(EXOSCALE_SIZE_LABEL.into(), &ValueSet::one(size));
    }
    Ok(catalog)
}

/// Whether a text can be the value of a label (and is not empty).
fn is_label_value(text: &str) -> bool {
    let ends_well = |letter: Option<char>| letter.is_some_and(|one| one.is_ascii_alphanumeric());
    text.len() <= 63
        && ends_well(text.chars().next())
        && ends_well(text.chars().last())
        && text.chars().all(|one| one.is_ascii_alphanumeric() || "-_.".contains(one))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use berth_solver::model::{CapacityType, Price};

    use super::*;

    fn data(file: &str) -> Option<PathBuf> {
        let folder = std::env::var_os("BERTH_DATA").map_or_else(
            || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
            PathBuf::from,
        );
        let path = folder.join("catalogs").join(file);
        if !path.exists() {
            println!("skipped: there is no catalogs/{file} in the data folder (BERTH_DATA)");
            return None;
        }
        Some(path)
    }

    #[test]
    fn the_built_in_catalog_has_prices_with_disks_and_gpus() {
        let catalog = exoscale().unwrap();
        assert_eq!(catalog.instance_types.len(), 36);
        let medium = catalog.get("standard.medium").unwrap();
        assert_eq!(medium.allocatable().cpu.0, 1_700);
        assert_eq!(medium.allocatable().memory.0, (4_096 - 400) << 20);
        assert_eq!(medium.allocatable().ephemeral_storage.0, 50 << 30);
        assert_eq!(
            medium.labels.get(EXOSCALE_FAMILY_LABEL).unwrap().single().unwrap(),
            &"standard"
        );
        let nanos =
            |kind| catalog.price(kind, "ch-gva-2", CapacityType::OnDemand).map(Price::as_nanos);
        assert_eq!(nanos("standard.medium"), Some(53_660_000));
        assert_eq!(nanos("storage.extra-large"), Some(200_000_000));
        let gpu = catalog.get("gpu.large").unwrap();
        assert_eq!(gpu.allocatable().extended_amount("nvidia.com/gpu"), 3);
        assert_eq!(gpu.labels.get(GPU_PRODUCT_LABEL).unwrap().single().unwrap(), &"p100");
    }

    #[test]
    fn catalogs_of_real_clouds_are_read_whole() {
        for (file, types, offerings) in [
            ("aws-us-east-1.csv", 1_345, 1_345),
            ("azure-switzerlandnorth.csv", 1_175, 1_175),
            ("gcp-us-central1.csv", 516, 1_032),
            ("gcp-europe-west1.csv", 464, 928),
            ("exoscale-ch-gva-2.csv", 36, 36),
            ("karpenter-kwok-instance-types.json", 144, 1_152),
        ] {
            let Some(path) = data(file) else { return };
            let catalog = read(&path).unwrap();
            let sold: usize = catalog.instance_types.iter().map(|kind| kind.offerings.len()).sum();
            assert_eq!((catalog.instance_types.len(), sold), (types, offerings), "{file}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_an_error_that_names_it() {
        let error = read(Path::new("no/such.csv")).unwrap_err().to_string();
        assert!(error.starts_with("no/such.csv: cannot be read: "), "{error}");
    }
}
