//! Makes the scenarios. No chance has a part in it.

use std::fmt::Write as _;

/// A scenario's files.
pub struct Scenario {
    pub name: &'static str,
    pub trace: String,
    pub settings: String,
}

/// A pod: name, workload, from, until (seconds), CPU in thousandths, memory in mebibytes, and more
/// cells.
struct Row(String, &'static str, i64, Option<i64>, i64, i64, &'static str);

fn trace(more_columns: &str, mut rows: Vec<Row>) -> String {
    rows.sort_by(|one, other| (one.2, &one.0).cmp(&(other.2, &other.0)));
    let mut text = format!("name,workload,submit_s,end_s,cpu_milli,memory_mib{more_columns}\n");
    for Row(name, workload, from, until, cpu, memory, more) in rows {
        let until = until.map(|until| until.to_string()).unwrap_or_default();
        writeln!(text, "{name},{workload},{from},{until},{cpu},{memory}{more}").unwrap();
    }
    text
}

fn pods(
    count: i64,
    workload: &'static str,
    from: impl Fn(i64) -> i64,
    until: impl Fn(i64) -> Option<i64>,
    size: (i64, i64),
    more: &'static str,
) -> Vec<Row> {
    (0..count)
        .map(|pod| {
            let name = format!("{workload}-{pod}");
            Row(name, workload, from(pod), until(pod), size.0, size.1, more)
        })
        .collect()
}

/// A pod at the end that makes the trace so long.
fn until(second: i64) -> Row {
    Row("end".to_owned(), "end", second, None, 10, 16, "")
}

pub fn all() -> Vec<Scenario> {
    let scenario = |name, trace, settings: &str| Scenario {
        name,
        trace,
        settings: format!("cloud:\n  provider: exoscale\n{settings}"),
    };
    vec![
        scenario("burst", burst(), ""),
        scenario("diurnal", diurnal(), ""),
        scenario("batch-night", batch_night(), ""),
        scenario("rolling-update", rolling_update(), ""),
        scenario(
            "zone-outage",
            zone_outage(),
            "incidents:\n  - kind: zone-outage\n    atSeconds: 3600\n    zone: z1\n    \
             forSeconds: 1800\n",
        ),
        scenario(
            "spot-storm",
            services(7_200),
            "  spotInterruptionsPerHour: 0.05\nincidents:\n  - kind: spot-storm\n    \
             atSeconds: 3600\n    percent: 80\n",
        ),
        scenario(
            "price-change",
            services(10_800),
            "incidents:\n  - kind: price-change\n    atSeconds: 3600\n    \
             instanceTypePrefix: medium\n    factor: 3\n",
        ),
        scenario("slow-cloud", slow_cloud(), "  readySeconds: [240, 420, 600, 900, 1200]\n"),
        scenario("crash-loop", crash_loop(), ""),
        scenario("scale-to-zero", scale_to_zero(), ""),
    ]
}

/// Twenty pods that stay, and 150 for five minutes that come at once.
fn burst() -> String {
    let mut rows = pods(20, "web", |pod| pod * 5, |_| None, (700, 1_024), "");
    rows.extend(pods(150, "burst", |_| 1_800, |pod| Some(2_100 + pod % 60), (900, 1_500), ""));
    rows.push(until(3_600));
    trace("", rows)
}

/// A day: few pods at night, many at noon, a step every hour.
fn diurnal() -> String {
    let mut rows = Vec::new();
    for pod in 0..60_i64 {
        // Pod number 0 is there all day; number 59 an hour around noon.
        let half = 12 - pod / 5;
        let (from, until) = ((12 - half) * 3_600 + pod * 7, (12 + half) * 3_600 + pod * 11);
        let until = Some(until).filter(|until| *until < 86_400);
        rows.push(Row(format!("web-{pod}"), "web", from, until, 800, 1_600, ""));
    }
    rows.push(until(86_400));
    trace("", rows)
}

/// A small service by day and night; from 22:00 to 02:00 two hundred jobs of 10 to 50 minutes.
fn batch_night() -> String {
    let mut rows = pods(8, "web", |_| 0, |_| None, (500, 1_024), "");
    let comes = |job: i64| 36_000 + job * 72;
    rows.extend(pods(
        200,
        "job",
        comes,
        |job| Some(comes(job) + 600 + (job * 37) % 2_400),
        (1_500, 3_000),
        "",
    ));
    rows.push(until(64_800));
    trace("", rows)
}

/// Forty pods; each is replaced by a new one, one every fifteen seconds, the new one first.
fn rolling_update() -> String {
    let mut rows = pods(40, "old", |_| 0, |pod| Some(1_830 + pod * 15), (900, 2_000), "");
    rows.extend(pods(40, "new", |pod| 1_800 + pod * 15, |_| None, (900, 2_000), ""));
    rows.push(until(5_400));
    trace("", rows)
}

/// Sixty pods that must be spread over the zones.
fn zone_outage() -> String {
    let mut rows = pods(60, "web", |pod| pod * 2, |_| None, (700, 1_400), ",2");
    rows.push(Row("end".to_owned(), "end", 9_000, None, 10, 16, ","));
    trace(",zone_spread", rows)
}

/// Services of three sizes that stay.
fn services(length: i64) -> String {
    let mut rows = pods(30, "web", |pod| pod * 3, |_| None, (500, 1_024), "");
    rows.extend(pods(20, "api", |pod| pod * 3, |_| None, (1_200, 2_048), ""));
    rows.extend(pods(10, "cache", |pod| pod * 3, |_| None, (400, 3_500), ""));
    rows.push(until(length));
    trace("", rows)
}

/// A pod every two minutes for twenty minutes each, on machines that take seven minutes.
fn slow_cloud() -> String {
    let comes = |pod: i64| pod * 120;
    let mut rows = pods(60, "job", comes, |pod| Some(comes(pod) + 1_200), (1_500, 2_500), "");
    rows.push(until(9_000));
    trace("", rows)
}

/// Five pods that crash after eight seconds and come again after 10, 20, 40 seconds and so on,
/// five minutes at most, beside ten that are well.
fn crash_loop() -> String {
    let mut rows = pods(10, "web", |_| 0, |_| None, (500, 1_024), "");
    for pod in 0..5_i64 {
        let (mut at, mut wait) = (600 + pod, 10);
        for attempt in 0..30 {
            let name = format!("crash-{pod}-{attempt}");
            rows.push(Row(name, "crash", at, Some(at + 8), 1_500, 2_000, ""));
            at += 8 + wait;
            wait = (wait * 2).min(300);
        }
    }
    rows.push(until(9_000));
    trace("", rows)
}

/// Everything ends after an hour, and comes again an hour later.
fn scale_to_zero() -> String {
    let mut rows = pods(25, "first", |_| 0, |pod| Some(3_600 + pod), (800, 1_500), "");
    rows.extend(pods(25, "second", |_| 7_200, |pod| Some(10_800 + pod), (800, 1_500), ""));
    rows.push(until(14_400));
    trace("", rows)
}
