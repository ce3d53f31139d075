//! The page as a parser of HTML sees it. No browser is run.

use scraper::{Html, Selector};
use serde_json::Value;

use crate::{Folder, hour};

fn select(text: &str) -> Selector {
    Selector::parse(text).unwrap()
}

fn page() -> (Html, Value) {
    let hour = hour();
    let folder = Folder::with(&[("trace.csv", hour.as_bytes())]);
    let run = folder.run(&["--trace", "trace.csv", "--policy", "berth,static", "--out", "out"]);
    assert_eq!(run.status, Some(0), "{}", run.error);
    let summary = serde_json::from_str(&folder.read("out/summary.json")).unwrap();
    (Html::parse_document(&folder.read("out/report.html")), summary)
}

#[test]
fn the_report_shows_the_figures_of_the_summary() {
    let (page, summary) = page();
    for policy in summary["policies"].as_array().unwrap() {
        let name = policy["policy"].as_str().unwrap();
        let shown = |key: &str| -> String {
            let cell = select(&format!("td[data-policy={name}][data-key={key}]"));
            page.select(&cell).next().unwrap().text().collect()
        };
        for key in ["costTotal", "costLowerBound"] {
            assert_eq!(shown(key), format!("{:.2}", policy[key].as_f64().unwrap()), "{name}");
        }
        for key in ["unplaced", "evictions", "launches"] {
            assert_eq!(shown(key), policy[key].to_string(), "{name}");
        }
        // Nodes, use, waiting pods, waiting times, changes.
        let heading = select(&format!("h2#{name}"));
        assert_eq!(page.select(&heading).count(), 1, "{name}");
    }
    assert_eq!(page.select(&select("figure svg")).count(), 1 + 2 * 5);
    assert!(page.select(&select("table.hours tbody tr")).count() >= 2);
    let difference: String =
        page.select(&select("#differences li")).next().unwrap().text().collect();
    assert!(difference.starts_with("static costs "), "{difference}");
}

#[test]
fn the_report_needs_nothing_else_and_says_how_to_do_it_again() {
    let (page, _) = page();
    for outside in ["script", "link", "img", "iframe", "[src]", "[href]"] {
        assert_eq!(page.select(&select(outside)).count(), 0, "{outside}");
    }
    assert_eq!(page.select(&select("meta[name=viewport]")).count(), 1);
    let command: String = page.select(&select("#command")).next().unwrap().text().collect();
    assert!(command.contains("--policy berth,static") && command.contains("--seed 0"), "{command}");
    let settings: String = page.select(&select("#settings")).next().unwrap().text().collect();
    let settings: Value = serde_json::from_str(&settings).unwrap();
    assert_eq!(settings["karpenter"]["validationSeconds"], 15.0);
    for one in page.select(&select("details")) {
        assert_eq!(one.select(&select(":scope > summary")).count(), 1);
    }
}
