use std::io::{BufReader, Cursor, Read};
use std::time::Duration;

use berth_simulations::trace::csv::Reader;
use berth_simulations::trace::{Format, TraceRecord};
use berth_solver::model::CapacityType;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use crate::all;

const HEADER: &str = "name,workload,submit_s,end_s,cpu_milli,memory_mib";

fn read_bytes(bytes: Vec<u8>) -> Result<Vec<TraceRecord>, String> {
    all(Reader::from_reader("t.csv", Cursor::new(bytes)))
}

fn read(text: &str) -> Result<Vec<TraceRecord>, String> {
    read_bytes(text.as_bytes().to_vec())
}

#[test]
fn every_column_is_kept() {
    let records = read(&format!(
        "{HEADER},namespace,start_s,gpu,gpu_milli,ephemeral_mib,priority,node_selector,zone_spread,\
         host_spread,host_anti_affinity,capacity_type,max_per_node,resource/example.com/fpga\n\
         a-0,a,-1.5,2.25,250,512,apps,1.25,1,460,1024,-7,zone=z;arch = arm64,1,2,true,spot,3,4\n\
         b-0,b,7,,0,0,,,,,,,,,,,,,\n"
    ))
    .unwrap();
    let [first, second] = records.as_slice() else { panic!("{records:?}") };
    assert_eq!((&*first.namespace, &*first.name, &*first.workload), ("apps", "a-0", "a"));
    assert_eq!(first.submit.as_millis(), -1_500);
    assert_eq!(first.end.unwrap().as_millis(), 2_250);
    assert_eq!(first.start.unwrap().as_millis(), 1_250);
    assert_eq!(first.running_time(), Some(Duration::from_secs(1)));
    let shape = &first.shape;
    assert_eq!((shape.cpu_milli, shape.memory_mib, shape.ephemeral_mib), (250, 512, 1_024));
    assert_eq!((shape.gpu, shape.gpu_milli, shape.priority), (1, 460, -7));
    let selected: Vec<(&str, &str)> =
        shape.node_selector.iter().map(|(key, value)| (&**key, &**value)).collect();
    assert_eq!(selected, [("arch", "arm64"), ("zone", "z")]);
    assert_eq!(
        (shape.zone_spread, shape.host_spread, shape.max_per_node),
        (Some(1), Some(2), Some(3))
    );
    assert!(shape.host_anti_affinity);
    assert_eq!(shape.capacity_type, Some(CapacityType::Spot));
    assert_eq!(shape.resources, [("example.com/fpga".into(), 4)]);
    assert_eq!((&*second.namespace, second.start, second.end), ("default", None, None));
    assert_eq!((second.shape.gpu, second.shape.gpu_milli), (0, 0));
}

#[test]
fn a_byte_order_mark_carriage_returns_quotes_and_blanks_do_no_harm() {
    let plain = read(&format!("{HEADER}\na,w,0,,1,2\n"));
    let dressed =
        read(&format!("\u{feff}{}\r\n\"a\", w ,0,,1,\"2\"\r\n\r\n", HEADER.replace(',', " , ")));
    assert!(plain.is_ok(), "{plain:?}");
    assert_eq!(dressed, plain);
}

#[test]
fn a_compressed_trace_is_recognised_by_its_content() {
    let text = format!("{HEADER}\na,w,0,,1,2\nb,w,0,,1,2\n");
    let (first, second) = text.split_at(text.len() - 5);
    let level = CompressionLevel::Fastest;
    let whole = compress_to_vec(text.as_bytes(), level);
    assert_eq!(read_bytes(whole.clone()), read(&text));
    // Frames follow one another; those that are to be skipped are.
    let skipped = [0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, b'x', b'y', b'z'];
    let parts = [
        skipped.to_vec(),
        compress_to_vec(first.as_bytes(), level),
        skipped.to_vec(),
        compress_to_vec(second.as_bytes(), level),
    ];
    assert_eq!(read_bytes(parts.concat()), read(&text));
    let cut = read_bytes(whole[..whole.len() - 9].to_vec()).unwrap_err();
    assert!(cut.starts_with("t.csv: ") && cut.contains("cannot be read: "), "{cut}");
}

#[test]
fn what_makes_no_sense_is_refused_with_line_and_column() {
    let header = format!(
        "{HEADER},gpu,gpu_milli,node_selector,zone_spread,host_anti_affinity,capacity_type,priority"
    );
    let good = "a,w,0,,1,2,,,,,,,";
    for (row, expected) in [
        (",w,0,,1,2,,,,,,,", "line 3, column name: \"\" is no name"),
        ("b c,w,0,,1,2,,,,,,,", "line 3, column name: \"b c\" is no name"),
        ("b,,0,,1,2,,,,,,,", "line 3, column workload: \"\" is no name"),
        ("a,w,0,,1,2,,,,,,,", "line 3, column name: default/a is there already"),
        ("b,w,,,1,2,,,,,,,", "line 3, column submit_s: \"\" is no time"),
        ("b,w,NaN,,1,2,,,,,,,", "line 3, column submit_s: \"NaN\" is no time"),
        ("b,w,inf,,1,2,,,,,,,", "line 3, column submit_s: \"inf\" is no time"),
        ("b,w,1e300,,1,2,,,,,,,", "line 3, column submit_s: \"1e300\" is no time"),
        ("b,w,0,soon,1,2,,,,,,,", "line 3, column end_s: \"soon\" is no time"),
        ("b,w,5,4,1,2,,,,,,,", "line 3, column end_s: 4 is before submit_s or 0"),
        ("b,w,-5,-4,1,2,,,,,,,", "line 3, column end_s: -4 is before submit_s or 0"),
        ("b,w,0,,,2,,,,,,,", "line 3, column cpu_milli: \"\" is no amount"),
        ("b,w,0,,1.5,2,,,,,,,", "line 3, column cpu_milli: \"1.5\" is no amount"),
        ("b,w,0,,1,-2,,,,,,,", "line 3, column memory_mib: \"-2\" is no amount"),
        ("b,w,0,,1,2,2,500,,,,,", "line 3, column gpu_milli: \"500\" is no share of 2 cards"),
        ("b,w,0,,1,2,,500,,,,,", "line 3, column gpu_milli: \"500\" is no share of 0 cards"),
        ("b,w,0,,1,2,1,1001,,,,,", "line 3, column gpu_milli: \"1001\" is no share of 1 cards"),
        ("b,w,0,,1,2,,,zone,,,,", "line 3, column node_selector: \"zone\" is no label"),
        ("b,w,0,,1,2,,,=z,,,,", "line 3, column node_selector: \"=z\" is no label"),
        ("b,w,0,,1,2,,,a=1;a=2,,,,", "line 3, column node_selector: a is selected twice"),
        ("b,w,0,,1,2,,,,0,,,", "line 3, column zone_spread: \"0\" is no count"),
        ("b,w,0,,1,2,,,,,yes,,", "line 3, column host_anti_affinity: \"yes\" is neither"),
        ("b,w,0,,1,2,,,,,,cheap,", "line 3, column capacity_type: \"cheap\" is no"),
        (
            "b,w,0,,1,2,,,karpenter.sh/capacity-type=spot,,,spot,",
            "line 3, column capacity_type: node_selector says it already",
        ),
        ("b,w,0,,1,2,,,,,,,3000000000", "line 3, column priority: \"3000000000\" is no priority"),
        ("b,w,0,,1,2", "line 3: has 6 cells: expected 13"),
    ] {
        let refused = read(&format!("{header}\n{good}\n{row}\n")).unwrap_err();
        assert!(refused.starts_with(&format!("t.csv: {expected}")), "{row}: {refused}");
    }
}

#[test]
fn a_pod_starts_between_its_coming_and_its_end() {
    for row in ["b,w,5,9,1,2,4", "b,w,5,9,1,2,10", "b,w,5,,1,2,4"] {
        let refused = read(&format!("{HEADER},start_s\n{row}\n")).unwrap_err();
        let expected = "line 2, column start_s: ";
        assert!(refused.starts_with(&format!("t.csv: {expected}")), "{row}: {refused}");
    }
    let waited = read(&format!("{HEADER},start_s\nb,w,0,20,1,2,8\nb2,w,0,20,1,2,\n")).unwrap();
    let ran = waited.iter().map(|one| one.running_time().unwrap().as_secs());
    assert_eq!(ran.collect::<Vec<_>>(), [12, 20]);
}

#[test]
fn a_header_that_makes_no_sense_is_refused() {
    for (text, expected) in [
        ("", "line 1: the column name is missing: expected name,workload,submit_s"),
        ("name,workload,submit_s,end_s,cpu_milli\n", "line 1: the column memory_mib is missing"),
        (&format!("{HEADER},colour\n"), "line 1, column colour: no such column is known"),
        (&format!("{HEADER},resource/\n"), "line 1, column resource/: no such column is known"),
        (&format!("{HEADER},gpu,gpu\n"), "line 1, column gpu: the column is there twice"),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.starts_with(&format!("t.csv: {expected}")), "{text:?}: {refused}");
    }
    assert_eq!(read(&format!("{HEADER}\n")), Ok(Vec::new()), "no pods are no error");
}

#[test]
fn after_an_error_there_is_nothing_more() {
    let text = format!("{HEADER}\nb,w,x,,1,2\nc,w,0,,1,2\n");
    let mut reader = Reader::from_reader("t.csv", Cursor::new(text)).unwrap();
    assert!(reader.next().unwrap().is_err());
    assert!(reader.next().is_none());
}

#[test]
fn a_row_without_an_end_is_refused_before_it_fills_the_memory() {
    let endless = |start: &str| {
        let start = Cursor::new(start.as_bytes().to_vec());
        let source = BufReader::new(start.chain(std::io::repeat(b'x')));
        all(Reader::from_reader("t.csv", source)).unwrap_err()
    };
    for start in [format!("{HEADER}\na"), format!("{HEADER}\n\"a")] {
        let refused = endless(&start);
        assert!(refused.starts_with("t.csv: line 2: is longer than 1 MiB"), "{refused}");
    }
    let header = endless("");
    assert!(header.starts_with("t.csv: line 1: is longer than 1 MiB"), "{header}");
    // Many rows are not one long one.
    let many: String = (0..40_000).map(|index| format!("pod-{index},w,0,,1,2\n")).collect();
    assert!(many.len() > 700_000);
    let many = format!("{many}{}", many.replace("pod", "other-pod"));
    assert_eq!(read(&format!("{HEADER}\n{many}")).map(|records| records.len()), Ok(80_000));
}

#[test]
fn a_few_bytes_that_unfold_without_end_do_not_fill_the_memory() {
    let bomb = compress_to_vec(std::io::repeat(b'x').take(64 << 20), CompressionLevel::Fastest);
    assert!(bomb.len() < 64 << 10, "{}", bomb.len());
    let refused = read_bytes(bomb).unwrap_err();
    assert!(refused.contains("is longer than 1 MiB"), "{refused}");
}

#[test]
fn a_format_is_recognised_by_the_first_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trace");
    let recognised = |text: &str| {
        std::fs::write(&file, text).unwrap();
        Format::recognise(&file).map_err(|error| error.to_string())
    };
    assert_eq!(recognised(&format!("{HEADER}\n")), Ok(Format::Csv));
    let openb = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,\
                 deletion_time,scheduled_time\n";
    assert_eq!(recognised(openb), Ok(Format::Openb));
    assert_eq!(recognised("1800000 m,|,a,|\n"), Ok(Format::AzureV1));
    let refused = recognised("hello\n").unwrap_err();
    assert!(refused.contains("trace: line 1: begins like no trace that is known"), "{refused}");
    for format in [Format::Csv, Format::Openb, Format::AzureV1] {
        assert_eq!(format.to_string().parse(), Ok(format));
    }
}
