//! The CSV table: one row an offering.

use std::collections::BTreeMap;
use std::io::BufRead;

use berth_solver::model::{
    Bytes, CapacityType, Catalog, InstanceType, MilliCpu, Name, Offering, Price, Requirements,
    Resources, ValueSet, well_known,
};

use super::{CatalogError, GPU_PRODUCT_LABEL, is_label_value};

const REQUIRED: [&str; 7] =
    ["instance_type", "arch", "cpu_milli", "memory_mib", "zone", "capacity_type", "price_per_hour"];
const OPTIONAL: [&str; 7] = [
    "pods",
    "gpu",
    "gpu_name",
    "ephemeral_mib",
    "overhead_cpu_milli",
    "overhead_memory_mib",
    "reserved_count",
];
const RESOURCE_PREFIX: &str = "resource/";
/// What `GOARCH` and so `kubernetes.io/arch` know.
const ARCHITECTURES: [&str; 7] = ["amd64", "arm64", "arm", "386", "ppc64le", "riscv64", "s390x"];
const DEFAULT_PODS: i64 = 110;
/// More of anything is a slip of the pen; it also keeps mebibytes in range.
const LARGEST_AMOUNT: i64 = 1 << 40;

/// A problem in a row, before it is known which row: column and text.
struct Problem(Option<String>, String);

impl Problem {
    fn in_column(column: &str, problem: String) -> Self {
        Self(Some(column.to_owned()), problem)
    }
}

pub(super) fn read(file: &str, input: impl BufRead) -> Result<Catalog, CatalogError> {
    // Where rows end with a carriage return and a line feed, csv's own way to take both for an end
    // names the line before. The carriage return is a blank that is trimmed off instead.
    let mut reader = csv::ReaderBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .trim(csv::Trim::All)
        .flexible(true)
        .from_reader(input);
    let headers = reader.headers().map_err(|error| unreadable(file, &error))?.clone();
    let columns = Columns::of(&headers)
        .map_err(|Problem(column, text)| CatalogError::at(file, 1, column.as_deref(), text))?;
    let mut types: BTreeMap<String, (u64, InstanceType)> = BTreeMap::new();
    for record in reader.records() {
        let record = record.map_err(|error| unreadable(file, &error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let row = Row { columns: &columns, record: &record };
        let located = |Problem(column, text)| CatalogError::at(file, line, column.as_deref(), text);
        let (expected, cells) = (headers.len(), record.len());
        if cells == 1 && record[0].is_empty() {
            continue; // A line of blanks.
        }
        if cells != expected {
            let text = format!("has {cells} cells: expected {expected}, as many as the header");
            return Err(located(Problem(None, text)));
        }
        let (machine, offering) = row.read().map_err(located)?;
        add(&mut types, line, machine, offering).map_err(located)?;
    }
    if types.is_empty() {
        return Err(CatalogError::at(
            file,
            1,
            None,
            "the table has no rows: expected one for each offering".to_owned(),
        ));
    }
    Ok(Catalog::new(types.into_values().map(|(_, kind)| kind).collect()))
}

/// Adds an offering to its type, which must be the same in all its rows.
fn add(
    types: &mut BTreeMap<String, (u64, InstanceType)>,
    line: u64,
    machine: InstanceType,
    offering: Offering,
) -> Result<(), Problem> {
    let (first_line, kind) =
        types.entry(machine.name.to_string()).or_insert_with(|| (line, machine.clone()));
    let same = kind.labels == machine.labels
        && kind.capacity == machine.capacity
        && kind.overhead == machine.overhead;
    if !same {
        return Err(Problem::in_column(
            "instance_type",
            format!(
                "{} is another machine in line {first_line}: expected all columns but zone, \
                 capacity_type and price_per_hour to be the same in all its rows",
                machine.name
            ),
        ));
    }
    let twice = kind
        .offerings
        .iter()
        .any(|other| other.zone == offering.zone && other.capacity_type == offering.capacity_type);
    if twice {
        return Err(Problem::in_column(
            "zone",
            format!(
                "{} in {} {} is there already: expected one row for each instance_type, zone and \
                 capacity_type",
                machine.name, offering.zone, offering.capacity_type
            ),
        ));
    }
    kind.offerings.push(offering);
    Ok(())
}

/// Where which column is.
struct Columns {
    /// By name.
    index: BTreeMap<String, usize>,
    /// Extended resources: column name and resource name.
    resources: Vec<(String, Name)>,
}

impl Columns {
    fn of(headers: &csv::StringRecord) -> Result<Self, Problem> {
        let mut columns = Self { index: BTreeMap::new(), resources: Vec::new() };
        for (position, header) in headers.iter().enumerate() {
            let resource = header.strip_prefix(RESOURCE_PREFIX).filter(|name| !name.is_empty());
            if let Some(resource) = resource {
                columns.resources.push((header.to_owned(), Name::from(resource)));
            } else if !REQUIRED.contains(&header) && !OPTIONAL.contains(&header) {
                return Err(Problem::in_column(
                    header,
                    format!(
                        "no such column is known: expected {}, {} or resource/NAME",
                        REQUIRED.join(", "),
                        OPTIONAL.join(", ")
                    ),
                ));
            }
            if columns.index.insert(header.to_owned(), position).is_some() {
                let problem = "the column is there twice: expected it once".to_owned();
                return Err(Problem::in_column(header, problem));
            }
        }
        match REQUIRED.iter().find(|name| !columns.index.contains_key(**name)) {
            Some(missing) => Err(Problem::in_column(
                missing,
                format!("the column is missing: expected {}", REQUIRED.join(", ")),
            )),
            None => Ok(columns),
        }
    }
}

/// One line of the table.
struct Row<'a> {
    columns: &'a Columns,
    record: &'a csv::StringRecord,
}

impl Row<'_> {
    /// The machine, without offerings, and the offering.
    fn read(&self) -> Result<(InstanceType, Offering), Problem> {
        let capacity_type: CapacityType = self
            .text("capacity_type")
            .parse()
            .map_err(|problem| Problem::in_column("capacity_type", problem))?;
        let offering = Offering {
            zone: self.label_value("zone")?,
            capacity_type,
            price: self.price(capacity_type)?,
            available: true,
            reserved_count: self.reserved_count(capacity_type)?,
        };
        let machine = InstanceType {
            name: self.label_value("instance_type")?,
            labels: self.labels()?,
            capacity: self.capacity()?,
            overhead: Resources::new(
                MilliCpu(self.overhead("overhead_cpu_milli", "cpu_milli")?),
                Bytes::from_mebibytes(self.overhead("overhead_memory_mib", "memory_mib")?),
            ),
            offerings: Vec::new(),
        };
        Ok((machine, offering))
    }

    fn capacity(&self) -> Result<Resources, Problem> {
        let mut capacity = Resources::new(
            MilliCpu(self.positive("cpu_milli")?),
            // Half a gibibyte is written as 0 in some tables: such a machine holds nothing.
            Bytes::from_mebibytes(self.amount("memory_mib", 0)?),
        );
        capacity.pods = self.amount("pods", DEFAULT_PODS)?;
        capacity.ephemeral_storage = Bytes::from_mebibytes(self.amount("ephemeral_mib", 0)?);
        let radeon = self.text("gpu_name").starts_with("radeon");
        let gpu = if radeon { "amd.com/gpu" } else { "nvidia.com/gpu" };
        capacity.set_extended(gpu.into(), self.amount("gpu", 0)?);
        for (column, resource) in &self.columns.resources {
            let amount = self.amount(column, 0)?;
            if amount != 0 {
                capacity.set_extended(resource.clone(), amount);
            }
        }
        Ok(capacity)
    }

    fn labels(&self) -> Result<Requirements, Problem> {
        let arch = self.text("arch");
        if !ARCHITECTURES.contains(&arch) {
            let expected = ARCHITECTURES.join(", ");
            return Err(Problem::in_column(
                "arch",
                format!("{arch:?} is no architecture: expected one of {expected}"),
            ));
        }
        let mut labels = vec![
            (well_known::INSTANCE_TYPE_LABEL, self.label_value("instance_type")?),
            (well_known::ARCH_LABEL, Name::from(arch)),
            (well_known::OS_LABEL, Name::from("linux")),
        ];
        if !self.text("gpu_name").is_empty() {
            labels.push((GPU_PRODUCT_LABEL, self.label_value("gpu_name")?));
        }
        Ok(labels.into_iter().map(|(key, value)| (key.into(), ValueSet::one(value))).collect())
    }

    fn price(&self, capacity_type: CapacityType) -> Result<Price, Problem> {
        const COLUMN: &str = "price_per_hour";
        let text = self.text(COLUMN);
        let refuse = || {
            Problem::in_column(
                COLUMN,
                format!("{text:?} is no price: expected a number over 0, at most 1000000000"),
            )
        };
        let value: f64 = text.parse().map_err(|_| refuse())?;
        let price = Price::per_hour(value).map_err(|_| refuse())?;
        // What is reserved may be paid for already.
        if price == Price::ZERO && capacity_type != CapacityType::Reserved {
            return Err(refuse());
        }
        Ok(price)
    }

    /// How many machines are reserved; any number if the cell is empty.
    fn reserved_count(&self, capacity_type: CapacityType) -> Result<Option<u32>, Problem> {
        const COLUMN: &str = "reserved_count";
        let text = self.text(COLUMN);
        if text.is_empty() {
            return Ok(None);
        }
        let count = text.parse().ok().filter(|_| capacity_type == CapacityType::Reserved);
        count.map(Some).ok_or_else(|| {
            let problem = format!(
                "{text:?} is not possible: expected a whole number, of the capacity type reserved"
            );
            Problem::in_column(COLUMN, problem)
        })
    }

    fn label_value(&self, column: &str) -> Result<Name, Problem> {
        let text = self.text(column);
        if is_label_value(text) {
            return Ok(Name::from(text));
        }
        Err(Problem::in_column(
            column,
            format!(
                "{text:?} cannot be a label's value: expected at most 63 letters, digits, '-', '_' \
                 or '.', with a letter or digit at both ends"
            ),
        ))
    }

    /// What is kept of a machine, which has no more than that.
    fn overhead(&self, column: &str, whole: &str) -> Result<i64, Problem> {
        let amount = self.amount(column, 0)?;
        if amount <= self.amount(whole, 0)? {
            return Ok(amount);
        }
        let (text, has) = (self.text(column), self.text(whole));
        let problem = format!("{text:?} is more than {whole} {has:?}: expected at most that");
        Err(Problem::in_column(column, problem))
    }

    fn positive(&self, column: &str) -> Result<i64, Problem> {
        let amount = self.amount(column, 0)?;
        if amount > 0 {
            return Ok(amount);
        }
        let text = self.text(column);
        Err(Problem::in_column(column, format!("{text:?} is not enough: expected at least 1")))
    }

    fn amount(&self, column: &str, default: i64) -> Result<i64, Problem> {
        let text = self.text(column);
        if text.is_empty() {
            return Ok(default);
        }
        match text.parse::<i64>() {
            Ok(amount) if (0..=LARGEST_AMOUNT).contains(&amount) => Ok(amount),
            _ => Err(Problem::in_column(
                column,
                format!(
                    "{text:?} is no amount: expected a whole number from 0 to {LARGEST_AMOUNT}"
                ),
            )),
        }
    }

    /// The cell; empty if the column is not there.
    fn text(&self, column: &str) -> &str {
        self.columns.index.get(column).and_then(|index| self.record.get(*index)).unwrap_or("")
    }
}

fn unreadable(file: &str, error: &csv::Error) -> CatalogError {
    let line = error.position().map_or(1, csv::Position::line);
    let problem = match error.kind() {
        csv::ErrorKind::Utf8 { .. } => "is not UTF-8: expected UTF-8 text".to_owned(),
        _ => format!("cannot be read as CSV: {error}"),
    };
    CatalogError::at(file, line, None, problem)
}

#[cfg(test)]
mod tests {
    use super::super::read_from;
    use super::*;

    const HEADER: &str =
        "instance_type,arch,cpu_milli,memory_mib,zone,capacity_type,price_per_hour";

    fn read_text(text: &str) -> Result<Catalog, String> {
        read_from("c.csv", text.as_bytes()).map_err(|error| error.to_string())
    }

    fn refusal(text: &str) -> String {
        read_text(text).unwrap_err()
    }

    #[test]
    fn rows_of_one_type_become_its_offerings_in_order() {
        let catalog = read_text(&format!(
            "{HEADER},resource/example.com/fpga\nb,arm64,2000,4096,z2,spot,0.01,1\n\
             a,amd64,1000,1024,z1,on-demand,0.1,\nb,arm64,2000,4096,z1,on-demand,0.03,1\n"
        ))
        .unwrap();
        let names: Vec<&str> = catalog.instance_types.iter().map(|kind| &*kind.name).collect();
        assert_eq!(names, ["a", "b"]);
        let b = catalog.get("b").unwrap();
        let offerings: Vec<(&str, CapacityType, u64)> = b
            .offerings
            .iter()
            .map(|one| (&*one.zone, one.capacity_type, one.price.as_nanos()))
            .collect();
        assert_eq!(
            offerings,
            [("z1", CapacityType::OnDemand, 30_000_000), ("z2", CapacityType::Spot, 10_000_000)]
        );
        assert_eq!(b.capacity.extended_amount("example.com/fpga"), 1);
        assert_eq!(b.capacity.pods, 110);
        assert_eq!(b.labels.get(well_known::ARCH_LABEL).unwrap().single().unwrap(), &"arm64");
    }

    #[test]
    fn byte_order_mark_carriage_returns_and_blanks_do_no_harm() {
        let plain = read_text(&format!("{HEADER}\na,amd64,1000,1024,z1,spot,0.1\n"));
        let dressed = read_text(&format!(
            "\u{feff}{}\r\na,amd64, 1000,1024 ,z1,spot,0.1\r\n\r\n",
            HEADER.replace(',', " , ")
        ));
        assert!(plain.is_ok());
        assert_eq!(dressed, plain);
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_line_and_column() {
        let with = |row: &str| format!("{HEADER}\na,amd64,1000,1024,z1,spot,0.1\n{row}\n");
        for (row, expected) in [
            ("b,amd64,1000,1024,z1,spot,-1", "line 3, column price_per_hour: \"-1\" is no price"),
            ("b,amd64,1000,1024,z1,spot,0", "line 3, column price_per_hour: \"0\" is no price"),
            ("b,amd64,1000,1024,z1,spot,NaN", "line 3, column price_per_hour: \"NaN\" is no price"),
            ("b,amd64,1000,1024,z1,spot,inf", "line 3, column price_per_hour: \"inf\" is no price"),
            ("b,amd64,1000,1024,z1,spot,", "line 3, column price_per_hour: \"\" is no price"),
            ("b,amd64,1000,1024,z1,cheap,1", "line 3, column capacity_type: \"cheap\" is no"),
            ("b,x86_64,1000,1024,z1,spot,1", "line 3, column arch: \"x86_64\" is no architecture"),
            ("b,amd64,0,1024,z1,spot,1", "line 3, column cpu_milli: \"0\" is not enough"),
            ("b,amd64,1.5,1024,z1,spot,1", "line 3, column cpu_milli: \"1.5\" is no amount"),
            ("b,amd64,1,1e30,z1,spot,1", "line 3, column memory_mib: \"1e30\" is no amount"),
            ("b,amd64,1,9999999999999,z1,spot,1", "line 3, column memory_mib: \"9999999999999\""),
            ("b,amd64,1,1,,spot,1", "line 3, column zone: \"\" cannot be a label's value"),
            ("b c,amd64,1,1,z,spot,1", "line 3, column instance_type: \"b c\" cannot be"),
            ("a,amd64,1000,1024,z1,spot,0.2", "line 3, column zone: a in z1 spot is there already"),
            ("a,amd64,1000,2048,z2,spot,0.2", "line 3, column instance_type: a is another machine"),
            ("a,amd64,1000,2048,z2,spot", "line 3: has 6 cells: expected 7"),
        ] {
            let refused = refusal(&with(row));
            assert!(refused.starts_with(&format!("c.csv: {expected}")), "{row}: {refused}");
            assert_eq!(refusal(&with(row).replace('\n', "\r\n")), refused, "{row}");
        }
    }

    #[test]
    fn a_header_that_makes_no_sense_is_refused() {
        for (text, expected) in [
            ("", "line 1, column instance_type: the column is missing: expected instance_type, "),
            ("instance_type,arch\n", "line 1, column cpu_milli: the column is missing"),
            (&format!("{HEADER},colour\n"), "line 1, column colour: no such column"),
            (&format!("{HEADER},pods,pods\n"), "line 1, column pods: the column is there twice"),
            (&format!("{HEADER}\n"), "line 1: the table has no rows"),
        ] {
            let refused = refusal(text);
            assert!(refused.starts_with(&format!("c.csv: {expected}")), "{text:?}: {refused}");
        }
    }

    #[test]
    fn overhead_is_taken_off_and_is_neither_negative_nor_more_than_there_is() {
        let header = format!("{HEADER},overhead_cpu_milli,overhead_memory_mib");
        let catalog =
            read_text(&format!("{header}\na,amd64,1000,1024,z1,spot,0.1,200,1024\n")).unwrap();
        let allocatable = catalog.get("a").unwrap().allocatable();
        assert_eq!((allocatable.cpu.0, allocatable.memory.0), (800, 0));
        for (overhead, expected) in [
            ("-200,0", "line 2, column overhead_cpu_milli: \"-200\" is no amount"),
            (
                "1001,0",
                "line 2, column overhead_cpu_milli: \"1001\" is more than cpu_milli \"1000\"",
            ),
            ("0,1025", "line 2, column overhead_memory_mib: \"1025\" is more than memory_mib"),
        ] {
            let refused = refusal(&format!("{header}\na,amd64,1000,1024,z1,spot,0.1,{overhead}\n"));
            assert!(refused.starts_with(&format!("c.csv: {expected}")), "{refused}");
        }
    }

    #[test]
    fn only_what_is_reserved_may_be_free() {
        let catalog = read_text(&format!("{HEADER}\na,amd64,1000,1024,z1,reserved,0\n")).unwrap();
        assert_eq!(catalog.get("a").unwrap().offerings[0].price, Price::ZERO);
    }

    #[test]
    fn graphics_cards_become_extended_resources_with_their_name_as_a_label() {
        let header = format!("{HEADER},gpu,gpu_name");
        let catalog = read_text(&format!(
            "{header}\na,amd64,1,1,z1,spot,1,2,a100\nb,amd64,1,1,z1,spot,1,1,radeon-pro-v520\n"
        ))
        .unwrap();
        assert_eq!(catalog.get("a").unwrap().capacity.extended_amount("nvidia.com/gpu"), 2);
        assert_eq!(catalog.get("b").unwrap().capacity.extended_amount("amd.com/gpu"), 1);
        let label = catalog.get("a").unwrap().labels.get(GPU_PRODUCT_LABEL).unwrap();
        assert_eq!(label.single().unwrap(), &"a100");
    }
}
