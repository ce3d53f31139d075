use std::io::Cursor;

use berth_simulations::trace::TraceRecord;
use berth_simulations::trace::openb::Reader;

use crate::all;

const HEADER: &str = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,\
                      creation_time,deletion_time,scheduled_time";

fn read(rows: &str) -> Result<Vec<TraceRecord>, String> {
    all(Reader::from_reader("o.csv", Cursor::new(format!("{HEADER}\n{rows}"))))
}

#[test]
fn pods_come_when_they_were_created_and_leave_when_they_were_deleted() {
    let records = read(
        "a,12000,16384,1,460,V100M32|V100M16,LS,Running,30,90,40\nb,500,1024,0,0,,BE,Pending,10,10,\n",
    )
    .unwrap();
    let [first, second] = records.as_slice() else { panic!("{records:?}") };
    let times = [Some(first.submit), first.start, first.end].map(|at| at.unwrap().as_millis());
    assert_eq!(times, [30_000, 40_000, 90_000]);
    assert_eq!((first.shape.cpu_milli, first.shape.memory_mib), (12_000, 16_384));
    assert_eq!((first.shape.gpu, first.shape.gpu_milli), (1, 460));
    let models: Vec<&str> = first.shape.gpu_models.iter().map(|model| &**model).collect();
    assert_eq!(models, ["V100M16", "V100M32"]);
    assert_eq!((second.start, second.lifetime().unwrap().as_secs()), (None, 0));
    assert_eq!((second.shape.gpu, second.shape.gpu_milli), (0, 0));
}

#[test]
fn what_makes_no_sense_is_refused_with_line_and_column() {
    for (row, expected) in [
        ("a,1,1,0,0,,LS,Running,-1,9,", "line 2, column creation_time: -1 is too early"),
        ("a,1,1,0,0,,LS,Running,9,8,", "line 2, column deletion_time: 8 is too early"),
        ("a,1,1,0,0,,LS,Running,9,,", "line 2, column deletion_time: \"\" is no time"),
        ("a,1,1,0,0,,LS,Running,9,10,8", "line 2, column scheduled_time: 8 is too early"),
        ("a,1,1,0,0,,LS,Running,7,8,9", "line 2, column deletion_time: 8 is too early"),
        ("a,1,1,0,100,,LS,Running,1,2,", "line 2, column gpu_milli: 100 is no share of 0 cards"),
        ("a,1,1,2,100,,LS,Running,1,2,", "line 2, column gpu_milli: 100 is no share of 2 cards"),
        ("a,x,1,0,0,,LS,Running,1,2,", "line 2, column cpu_milli: \"x\" is no amount"),
        ("a,1,1,0,0,,LS,Running,1,2,\na,1,1,0,0,,LS,Running,1,2,", "line 3, column name: a is"),
        ("a,1,1", "line 2: has 3 cells: expected 11"),
    ] {
        let refused = read(&format!("{row}\n")).unwrap_err();
        assert!(refused.starts_with(&format!("o.csv: {expected}")), "{row}: {refused}");
    }
}
