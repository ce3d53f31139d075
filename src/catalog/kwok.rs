//! The JSON list of instance types that Karpenter's kwok provider reads, with the labels that it
//! gives to nodes and what it keeps back of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::BufRead;

use berth_solver::model::{
    Bytes, CapacityType, Catalog, InstanceType, MilliCpu, Name, Offering, Operator, Price,
    Requirements, Resources, ValueSet, well_known,
};
use serde::Deserialize;
use serde::de::{self, Deserializer};

use super::{CatalogError, is_label_value};
use crate::watch::Quantity;

/// What NodePools choose types by, beside the well-known labels.
const FAMILY_LABEL: &str = "karpenter.kwok.sh/instance-family";
const SIZE_LABEL: &str = "karpenter.kwok.sh/instance-size";
const CPU_LABEL: &str = "karpenter.kwok.sh/instance-cpu";
const MEMORY_LABEL: &str = "karpenter.kwok.sh/instance-memory";
/// What Karpenter's kwok provider keeps back of every machine.
const OVERHEAD_CPU: MilliCpu = MilliCpu(100);
const OVERHEAD_MEMORY: Bytes = Bytes(10 << 20);
/// How many pods a machine holds that says nothing of it.
const PODS: i64 = 110;

/// An instance type as it stands in the file.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Written {
    name: String,
    offerings: Vec<WrittenOffering>,
    architecture: String,
    operating_systems: BTreeSet<String>,
    resources: BTreeMap<String, String>,
}

/// An offering as it stands in the file; Go's decoder does not look at the case of its keys.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenOffering {
    #[serde(rename = "Price", alias = "price")]
    price: f64,
    #[serde(rename = "Available", alias = "available")]
    available: bool,
    #[serde(rename = "Requirements", alias = "requirements")]
    requirements: Vec<WrittenRequirement>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRequirement {
    key: String,
    operator: Operator,
    values: Vec<String>,
}

/// An instance type that was checked while it was read, so that the parser knows where it stood.
#[derive(Deserialize)]
#[serde(try_from = "Written")]
struct Checked(InstanceType);

/// The list, checked while it is read.
struct Types(Vec<InstanceType>);

impl<'de> Deserialize<'de> for Types {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Types;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list of instance types")
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Types, A::Error> {
                let mut types: Vec<InstanceType> = Vec::new();
                let mut names = BTreeSet::new();
                while let Some(Checked(kind)) = list.next_element()? {
                    if !names.insert(kind.name.clone()) {
                        let problem = format!("{} is listed twice: expected it once", kind.name);
                        return Err(de::Error::custom(problem));
                    }
                    types.push(kind);
                }
                if types.is_empty() {
                    let problem = "the list is empty: expected at least one instance type";
                    return Err(de::Error::custom(problem));
                }
                Ok(Types(types))
            }
        }

        deserializer.deserialize_seq(Visitor)
    }
}

pub(super) fn read(file: &str, input: impl BufRead) -> Result<Catalog, CatalogError> {
    let Types(types) = serde_json::from_reader(input).map_err(|error| {
        let text = error.to_string();
        let problem = text.rsplit_once(" at line ").map_or(text.as_str(), |(problem, _)| problem);
        let line = u64::try_from(error.line()).unwrap_or(u64::MAX);
        CatalogError::at(file, line, Some(&error.column().to_string()), problem.to_owned())
    })?;
    Ok(Catalog::new(types))
}

impl TryFrom<Written> for Checked {
    type Error = String;

    fn try_from(written: Written) -> Result<Self, String> {
        let name = label_value("name", &written.name)?;
        let in_type = |problem: String| format!("{name}: {problem}");
        let capacity = capacity(&written.resources).map_err(in_type)?;
        let labels = labels(&name, &written).map_err(in_type)?;
        let mut offerings: Vec<Offering> = Vec::new();
        for (index, written) in written.offerings.iter().enumerate() {
            let in_offering = |problem| in_type(format!("offerings[{index}]: {problem}"));
            for offering in read_offering(written).map_err(in_offering)? {
                let twice = offerings.iter().any(|other| {
                    other.zone == offering.zone && other.capacity_type == offering.capacity_type
                });
                if twice {
                    return Err(in_offering(format!(
                        "{} {} is there already: expected one offering for each zone and \
                         capacity type",
                        offering.zone, offering.capacity_type
                    )));
                }
                offerings.push(offering);
            }
        }
        let overhead = Resources::new(OVERHEAD_CPU, OVERHEAD_MEMORY);
        Ok(Self(InstanceType { name: name.clone(), labels, capacity, overhead, offerings }))
    }
}

fn labels(name: &Name, written: &Written) -> Result<Requirements, String> {
    if written.operating_systems.is_empty() {
        return Err("operatingSystems is empty: expected at least one".to_owned());
    }
    let systems = written
        .operating_systems
        .iter()
        .map(|system| label_value("operatingSystems", system))
        .collect::<Result<Vec<Name>, String>>()?;
    let arch = label_value("architecture", &written.architecture)?;
    let resource = |name: &str| written.resources.get(name).map_or("0", String::as_str);
    let cpu = resource("cpu");
    let (family, size) = family_and_size(name, cpu);
    let one = |field: &str, text: &str| label_value(field, text).map(ValueSet::one);
    Ok([
        (FAMILY_LABEL.into(), one(FAMILY_LABEL, family)?),
        (SIZE_LABEL.into(), one(SIZE_LABEL, size)?),
        (CPU_LABEL.into(), one("resources.cpu", cpu)?),
        (MEMORY_LABEL.into(), one("resources.memory", resource("memory"))?),
        (well_known::INSTANCE_TYPE_LABEL.into(), ValueSet::one(name.clone())),
        (well_known::ARCH_LABEL.into(), ValueSet::one(arch)),
        (well_known::OS_LABEL.into(), ValueSet::of(Operator::In, systems)),
    ]
    .into_iter()
    .collect())
}

/// What comes before the first '.' or '-' of the name, or its first letter; and what AWS calls a
/// size, or the number of processors.
fn family_and_size<'t>(name: &'t Name, cpu: &'t str) -> (&'t str, &'t str) {
    const SIZES: [&str; 6] = ["nano", "micro", "small", "medium", "large", "metal"];
    let first = name.char_indices().nth(1).map_or(name.len(), |(end, _)| end);
    let family = name.split_once(['.', '-']).map_or(&name[..first], |(family, _)| family);
    let of_aws = |size: &str| {
        let times = size.strip_suffix("xlarge");
        let is_times = times.is_some_and(|times| times.bytes().all(|digit| digit.is_ascii_digit()));
        is_times || SIZES.contains(&size)
    };
    let word = |text: &str| text.bytes().all(|one| one.is_ascii_alphanumeric() || one == b'_');
    let size = name.split_once('.').filter(|(family, size)| word(family) && of_aws(size));
    (family, size.map_or(cpu, |(_, size)| size))
}

fn capacity(written: &BTreeMap<String, String>) -> Result<Resources, String> {
    let mut capacity = Resources::default();
    capacity.pods = PODS;
    for (resource, text) in written {
        let quantity =
            Quantity::parse(text).map_err(|problem| format!("resources.{resource}: {problem}"))?;
        if quantity.is_negative() || quantity.was_too_large() {
            return Err(format!(
                "resources.{resource}: {text:?} is out of range: expected 0 to 2^63-1"
            ));
        }
        match resource.as_str() {
            "cpu" => capacity.cpu = MilliCpu(quantity.milli()),
            "memory" => capacity.memory = Bytes(quantity.units()),
            "ephemeral-storage" => capacity.ephemeral_storage = Bytes(quantity.units()),
            "pods" => capacity.pods = quantity.units(),
            other => capacity.set_extended(other.into(), quantity.units()),
        }
    }
    for (missing, amount) in [("cpu", capacity.cpu.0), ("pods", capacity.pods)] {
        if amount == 0 {
            return Err(format!("resources.{missing} is missing or 0: expected more than 0"));
        }
    }
    Ok(capacity)
}

/// An offering for each zone and capacity type that the requirements allow.
fn read_offering(written: &WrittenOffering) -> Result<Vec<Offering>, String> {
    let price = Price::per_hour(written.price)
        .ok()
        .filter(|price| *price > Price::ZERO)
        .ok_or_else(|| {
            format!("{} is no price: expected a number over 0, at most 1000000000", written.price)
        })?;
    let mut values: BTreeMap<&str, &[String]> = BTreeMap::new();
    for requirement in &written.requirements {
        let WrittenRequirement { key, operator, values: listed } = requirement;
        let known = [well_known::ZONE_LABEL, well_known::CAPACITY_TYPE_LABEL];
        if !known.contains(&key.as_str()) || *operator != Operator::In || listed.is_empty() {
            return Err(format!(
                "the requirement {key} {operator:?} is not understood: expected {} and {}, each In \
                 a list",
                known[0], known[1]
            ));
        }
        if values.insert(key, listed).is_some() {
            return Err(format!("{key} is required twice: expected it once"));
        }
    }
    let of = |key: &'static str| {
        values.get(key).copied().ok_or_else(|| format!("{key} is not required: expected In a list"))
    };
    let zones = of(well_known::ZONE_LABEL)?;
    let mut offerings = Vec::new();
    for capacity_type in of(well_known::CAPACITY_TYPE_LABEL)? {
        let capacity_type: CapacityType = capacity_type.parse()?;
        for zone in zones {
            let zone = label_value(well_known::ZONE_LABEL, zone)?;
            let available = written.available;
            offerings.push(Offering {
                zone,
                capacity_type,
                price,
                available,
                reserved_count: None,
            });
        }
    }
    Ok(offerings)
}

fn label_value(field: &str, text: &str) -> Result<Name, String> {
    if is_label_value(text) {
        return Ok(Name::from(text));
    }
    Err(format!(
        "{field} {text:?} cannot be a label's value: expected at most 63 letters, digits, '-', '_' \
         or '.', with a letter or digit at both ends"
    ))
}

#[cfg(test)]
mod tests {
    use super::super::read_from;
    use super::*;

    const GOOD: &str = r#"[
  {"name": "m-2x", "architecture": "amd64", "operatingSystems": ["linux", "windows"],
   "resources": {"cpu": "2", "memory": "8Gi", "ephemeral-storage": "20Gi", "pods": "29",
                 "nvidia.com/gpu": "1"},
   "offerings": [
     {"Price": 0.5, "Available": false, "Requirements": [
       {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["spot"]},
       {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["b", "a"]}]},
     {"Price": 1.25, "Available": true, "Requirements": [
       {"key": "karpenter.sh/capacity-type", "operator": "In", "values": ["on-demand"]},
       {"key": "topology.kubernetes.io/zone", "operator": "In", "values": ["a"]}]}]}
]"#;

    #[test]
    fn a_list_of_instance_types_is_read() {
        let catalog = read_from("k.json", format!("\u{feff}  {GOOD}").as_bytes()).unwrap();
        let kind = catalog.get("m-2x").unwrap();
        assert_eq!(kind.capacity.cpu, MilliCpu(2_000));
        assert_eq!(kind.capacity.memory, Bytes(8 << 30));
        assert_eq!(kind.capacity.pods, 29);
        assert_eq!(kind.capacity.extended_amount("nvidia.com/gpu"), 1);
        let offerings: Vec<(&str, CapacityType, u64, bool)> = kind
            .offerings
            .iter()
            .map(|one| (&*one.zone, one.capacity_type, one.price.as_nanos(), one.available))
            .collect();
        let spot = CapacityType::Spot;
        assert_eq!(
            offerings,
            [
                ("a", spot, 500_000_000, false),
                ("a", CapacityType::OnDemand, 1_250_000_000, true),
                ("b", spot, 500_000_000, false),
            ]
        );
        assert_eq!(kind.labels.get(well_known::OS_LABEL).unwrap().listed().unwrap().len(), 2);
        assert_eq!(kind.allocatable().cpu, MilliCpu(1_900));
        assert_eq!(kind.allocatable().memory, Bytes((8 << 30) - (10 << 20)));
        for (label, expected) in
            [(FAMILY_LABEL, "m"), (SIZE_LABEL, "2"), (CPU_LABEL, "2"), (MEMORY_LABEL, "8Gi")]
        {
            assert_eq!(&**kind.labels.get(label).unwrap().single().unwrap(), expected, "{label}");
        }
    }

    #[test]
    fn families_and_sizes_are_told_from_names_as_karpenter_tells_them() {
        for (name, family, size) in [
            ("m5.2xlarge", "m5", "2xlarge"),
            ("m5.xlarge", "m5", "xlarge"),
            ("u-6tb1.112xlarge", "u", "4"),
            ("e2-standard-4", "e2", "4"),
            ("Standard_D4s", "S", "4"),
        ] {
            assert_eq!(family_and_size(&Name::from(name), "4"), (family, size), "{name}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        for (from, to, expected) in [
            ("0.5", "-0.5", "line 12, column 1: m-2x: offerings[0]: -0.5 is no price"),
            ("0.5", "0", "line 12, column 1: m-2x: offerings[0]: 0 is no price"),
            ("\"spot\"", "\"cheap\"", "line 12, column 1: m-2x: offerings[0]: \"cheap\" is no"),
            ("[\"spot\"]", "[]", "line 12, column 1: m-2x: offerings[0]: the requirement karp"),
            ("\"on-demand\"", "\"spot\"", "line 12, column 1: m-2x: offerings[1]: a spot is there"),
            ("\"8Gi\"", "\"8Gib\"", "line 12, column 1: m-2x: resources.memory: \"8Gib\" is no q"),
            ("\"8Gi\"", "\"-1\"", "line 12, column 1: m-2x: resources.memory: \"-1\" is out of"),
            ("\"cpu\": \"2\", ", "", "line 12, column 1: m-2x: resources.cpu is missing or 0"),
            ("\"m-2x\"", "\"m 2x\"", "line 12, column 1: name \"m 2x\" cannot be"),
            ("\"Price\": 0.5", "\"Prize\": 0.5", "line 6, column 14: unknown field `Prize`"),
            ("]}]}\n]", "]}]}", "line 11, column "),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let refused = read_from("k.json", text.as_bytes()).unwrap_err().to_string();
            assert!(refused.starts_with(&format!("k.json: {expected}")), "{to}: {refused}");
        }
    }

    #[test]
    fn types_listed_twice_and_empty_lists_are_refused() {
        let kind = GOOD.trim_start_matches('[').trim_end_matches(']');
        let twice = read_from("k.json", format!("[{kind},{kind}]").as_bytes()).unwrap_err();
        let expected = "k.json: line 23, column 1: m-2x is listed twice: expected it once";
        assert_eq!(twice.to_string(), expected);
        let empty = read_from("k.json", "[]".as_bytes()).unwrap_err().to_string();
        assert!(empty.starts_with("k.json: line 1, column 2: the list is empty"), "{empty}");
    }
}
