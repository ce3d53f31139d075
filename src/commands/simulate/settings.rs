//! The settings of a replay, from a file.

use std::path::Path;

use anyhow::anyhow;
use berth_simulations::replay::ReplaySettings;

use crate::commands::Failure;

/// A longer file holds no settings.
const LONGEST: u64 = 1 << 20;

/// Reads settings; without a file they are the default.
pub(super) fn read(path: Option<&Path>) -> Result<ReplaySettings, Failure> {
    let Some(path) = path else { return Ok(ReplaySettings::default()) };
    let refuse = |problem: String| {
        // One line, whatever the parser says.
        let problem = problem.split_whitespace().collect::<Vec<_>>().join(" ");
        Failure::BadInput(anyhow!("{}: {problem}", path.display()))
    };
    let length =
        std::fs::metadata(path).map_err(|error| refuse(format!("cannot be read: {error}")))?.len();
    if length > LONGEST {
        return Err(refuse(format!("has {length} bytes: expected settings, 1 MiB at most")));
    }
    let text = std::fs::read_to_string(path)
        .map_err(|error| refuse(format!("cannot be read: {error}")))?;
    parse(&text).map_err(refuse)
}

/// Settings as YAML.
pub(super) fn parse(text: &str) -> Result<ReplaySettings, String> {
    let settings: ReplaySettings = if text.trim().is_empty() {
        ReplaySettings::default()
    } else {
        serde_saphyr::from_str(text).map_err(|error| format!("cannot be read: {error}"))?
    };
    settings.check()?;
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_leaves_out_keeps_its_default() {
        let settings = parse("berth:\n  consolidate: false\ncloud:\n  provider: gcp\n").unwrap();
        assert!(!settings.berth.consolidate);
        assert_eq!(settings.karpenter, ReplaySettings::default().karpenter);
        assert_eq!(parse("").unwrap(), ReplaySettings::default());
    }

    #[test]
    fn what_is_not_known_or_makes_no_sense_is_refused() {
        let unknown = parse("berth:\n  consolidat: false\n").unwrap_err();
        assert!(unknown.contains("consolidat"), "{unknown}");
        let wrong = parse("imagePullSeconds: [5, 4, 3, 2, 1]\n").unwrap_err();
        assert!(wrong.starts_with("imagePullSeconds is [5.0, 4.0"), "{wrong}");
        let negative = parse("karpenter:\n  pollSeconds: -1\n").unwrap_err();
        assert!(negative.starts_with("karpenter.pollSeconds is -1"), "{negative}");
    }

    #[test]
    fn incidents_are_told_by_their_kind() {
        let text = "incidents:\n  - kind: zone-outage\n    atSeconds: 60\n    zone: a\n    \
                    forSeconds: 30\n  - kind: price-change\n    atSeconds: 1\n    factor: 2\n";
        let settings = parse(text).unwrap();
        assert_eq!(settings.incidents.len(), 2);
        assert_eq!(settings.incidents[0].at_millis(), 60_000);
    }
}
