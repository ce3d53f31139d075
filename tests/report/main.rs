//! `report.html` as people see it: opened from the disk in a real browser without a network.
//!
//! `BERTH_SCREENSHOT=simulations/report.png cargo test --test report` writes the picture that the
//! README shows.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests may panic")]
#![allow(clippy::print_stdout, reason = "tests say why they are skipped")]

#[path = "../shared/binary.rs"]
mod binary;
mod browser;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use binary::Folder;
use browser::Browser;
use serde_json::{Value, json};

/// A day, and a catalog with two zones.
const SCENARIO: [(&str, &str); 3] = [
    ("day.csv", include_str!("../../simulations/scenarios/diurnal/trace.csv")),
    ("settings.yaml", include_str!("../../simulations/scenarios/diurnal/settings.yaml")),
    ("prices.csv", include_str!("../../simulations/scenarios/catalog.csv")),
];
const PHONE: u32 = 360;
/// What is left of an A4 page between its margins, at 96 pixels an inch.
const PAPER: u32 = 718;

/// What a script says about every part that opens and closes.
const DETAILS: &str = "[...document.querySelectorAll('details')]";

struct Report {
    folder: Folder,
    browser: Browser,
}

impl Report {
    fn open_or_skip(test: &str) -> Option<Self> {
        let browser = Browser::start_or_skip(test)?;
        let folder = Folder::with(&SCENARIO);
        let files =
            ["--trace", "day.csv", "--settings", "settings.yaml", "--catalog", "prices.csv"];
        let policies = ["--policy", "berth,karpenter,cluster-autoscaler", "--out", "out"];
        let run = folder.command("simulate", &[&files[..], &policies].concat());
        assert_eq!(run.status, Some(0), "{}{}", run.output, run.error);
        let mut report = Self { folder, browser };
        report.show(1_200, 900, false);
        Some(report)
    }

    /// Opens the page anew in a window of that size.
    fn show(&mut self, width: u32, height: u32, is_phone: bool) {
        self.browser.resize(width, height, is_phone);
        let path = self.folder.0.path().join("out/report.html");
        self.browser.open(&format!("file://{}", path.display()));
    }

    fn number(&mut self, script: &str) -> f64 {
        let value = self.browser.evaluate(script);
        value.as_f64().unwrap_or_else(|| panic!("{script}: {value}"))
    }

    /// How wide the page is.
    fn width(&mut self) -> f64 {
        self.number("document.documentElement.scrollWidth")
    }

    /// The smallest text of a picture, in CSS pixels.
    fn smallest_text(&mut self) -> f64 {
        self.number(
            "Math.min(...[...document.querySelectorAll('figure svg text')]\
             .map(text => text.getBoundingClientRect().height).filter(height => height > 0))",
        )
    }
}

#[test]
fn the_page_shows_the_figures_and_asks_nobody() {
    let Some(mut report) = Report::open_or_skip("the_page_shows_the_figures_and_asks_nobody")
    else {
        return;
    };
    let summary: Value = serde_json::from_str(&report.folder.read("out/summary.json")).unwrap();
    for policy in summary["policies"].as_array().unwrap() {
        let name = policy["policy"].as_str().unwrap();
        let shown = |key: &str| format!("[data-policy={name}][data-key='{key}']");
        let text = |key: &str| format!("document.querySelector(\"{}\").innerText", shown(key));
        let read = |report: &mut Report, key: &str| -> f64 {
            let text = report.browser.evaluate(&text(key));
            text.as_str().unwrap().trim_end_matches([' ', '%', 's']).parse().unwrap()
        };
        for key in ["costTotal", "costLowerBound"] {
            assert!(
                (read(&mut report, key) - policy[key].as_f64().unwrap()).abs() < 0.006,
                "{key}"
            );
        }
        for key in ["evictions", "launches", "removals", "unplaced", "peakNodes"] {
            assert_eq!(read(&mut report, key), policy[key].as_f64().unwrap(), "{name} {key}");
        }
        let waited = policy["pendingSeconds"]["p99"].as_f64().unwrap();
        assert!((read(&mut report, "pendingSeconds.p99") - waited).abs() < 0.06);
    }
    let drawn = "document.querySelector('figure svg').getBoundingClientRect().height";
    assert!(report.number(drawn) > 200.0, "the first picture is there");
    let asked: Vec<&str> = of(&report.browser, "Network.requestWillBeSent")
        .map(|event| event["request"]["url"].as_str().unwrap())
        .collect();
    assert!(asked.len() == 1 && asked[0].starts_with("file:///"), "{asked:?}");
    for problem in ["Runtime.exceptionThrown", "Runtime.consoleAPICalled", "Log.entryAdded"] {
        let said: Vec<&Value> = of(&report.browser, problem).collect();
        assert!(said.is_empty(), "{problem}: {said:?}");
    }
}

fn of<'a>(browser: &'a Browser, method: &'static str) -> impl Iterator<Item = &'a Value> {
    browser.events.iter().filter(move |(one, _)| one == method).map(|(_, event)| event)
}

#[test]
fn what_can_be_opened_opens_and_closes() {
    let Some(mut report) = Report::open_or_skip("what_can_be_opened_opens_and_closes") else {
        return;
    };
    let count = report.browser.evaluate(&format!("{DETAILS}.length")).as_u64().unwrap();
    assert!(count >= 3 * 3 + 3, "{count}");
    for index in 0..count {
        let one = format!("{DETAILS}[{index}]");
        let place = format!(
            "(() => {{ const summary = {one}.querySelector('summary'); \
             summary.scrollIntoView({{ block: 'center' }}); \
             const box = summary.getBoundingClientRect(); \
             return [box.x + 20, box.y + box.height / 2]; }})()"
        );
        let height = format!("{one}.getBoundingClientRect().height");
        let is_open = format!("{one}.open");
        let before = report.browser.evaluate(&is_open).as_bool().unwrap();
        let mut heights = Vec::new();
        for wanted in [!before, before] {
            report.browser.click(&place);
            assert_eq!(report.browser.evaluate(&is_open), wanted, "part {index}");
            heights.push((wanted, report.number(&height)));
        }
        heights.sort_by_key(|(is_open, _)| *is_open);
        assert!(heights[1].1 > heights[0].1 + 20.0, "part {index}: {heights:?}");
    }
}

#[test]
fn a_phone_needs_no_scrolling_sideways_and_can_read_the_pictures() {
    let test = "a_phone_needs_no_scrolling_sideways_and_can_read_the_pictures";
    let Some(mut report) = Report::open_or_skip(test) else { return };
    report.show(PHONE, 740, true);
    assert_eq!(report.width(), f64::from(PHONE));
    report.browser.evaluate(&format!("{DETAILS}.forEach(one => one.open = true)"));
    assert_eq!(report.width(), f64::from(PHONE), "with all parts open");
    let smallest = report.smallest_text();
    assert!(smallest >= 8.0, "{smallest}");
    let size = report.number("parseFloat(getComputedStyle(document.querySelector('p')).fontSize)");
    assert!(size >= 14.0, "{size}");
}

#[test]
fn on_paper_everything_is_there_and_nothing_is_cut() {
    let test = "on_paper_everything_is_there_and_nothing_is_cut";
    let Some(mut report) = Report::open_or_skip(test) else { return };
    report.show(PAPER, 1_000, false);
    report.browser.ask("Emulation.setEmulatedMedia", json!({ "media": "print" }));
    assert_eq!(report.width(), f64::from(PAPER));
    let hidden = report.browser.evaluate(
        "[...document.querySelectorAll('details > :not(summary), svg, pre')]\
         .filter(one => !one.checkVisibility({ contentVisibilityAuto: true }) \
         || one.getBoundingClientRect().height < 10).map(one => one.outerHTML.slice(0, 80))",
    );
    assert_eq!(hidden, json!([]), "what is closed on the screen is open on paper");
    let cut = report.browser.evaluate(&format!(
        "[...document.querySelectorAll('table, pre, svg')]\
         .filter(one => one.getBoundingClientRect().right > {PAPER} + 1 \
         || one.scrollWidth > one.clientWidth + 1 && one.tagName === 'PRE')\
         .map(one => one.outerHTML.slice(0, 80))"
    ));
    assert_eq!(cut, json!([]));
    let printed = report.browser.ask("Page.printToPDF", json!({ "preferCSSPageSize": true }));
    let printed = STANDARD.decode(printed["data"].as_str().unwrap()).unwrap();
    assert!(printed.starts_with(b"%PDF-") && printed.len() > 20_000, "{}", printed.len());
}

#[test]
fn a_picture_of_the_page_can_be_taken() {
    let Some(mut report) = Report::open_or_skip("a_picture_of_the_page_can_be_taken") else {
        return;
    };
    report.show(1_040, 1_300, false);
    let picture = report.browser.ask("Page.captureScreenshot", json!({ "format": "png" }));
    let picture = STANDARD.decode(picture["data"].as_str().unwrap()).unwrap();
    assert!(picture.starts_with(b"\x89PNG") && picture.len() > 20_000, "{}", picture.len());
    if let Some(path) = std::env::var_os("BERTH_SCREENSHOT") {
        std::fs::write(path, picture).unwrap();
    }
}
