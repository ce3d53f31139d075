//! `berth demo`: the whole appliance on an embedded simulated cluster, in real time.
//!
//! The cluster, its cloud and its scheduler are virtual ([`berth_simulations`]). Everything else
//! is the daemon's: the cache, the autoscaler, the extender, which the virtual scheduler calls over
//! HTTP, and the ports for metrics and health.

mod appliance;
mod bound;
mod extender;
mod journal;
mod plain;
mod screen;
mod stage;
mod summary;
mod tasks;
mod terminal;
mod text;
mod view;
mod witness;

use std::io::{IsTerminal, Write};
use std::time::Duration;

use anyhow::{Context, anyhow};
use berth_simulations::scenario::{DEMO_LENGTH, Scenario};
use clap::Args;

use super::Failure;
use crate::telemetry::{self, LogArguments, LogFormat};
use stage::{Ending, Stage};

/// Watch the whole appliance at work on an embedded simulated cluster, no Kubernetes needed
///
/// Workloads arrive, grow, shrink and leave; Berth launches nodes for them at Exoscale's prices,
/// has a scheduler place the pods, and removes what is empty, down to zero.
#[derive(Clone, Debug, Args)]
pub struct Arguments {
    /// Print lines instead of drawing a screen; so it is anyway when standard output is not a
    /// terminal
    #[arg(long)]
    plain: bool,
    /// How many times faster than real time the cluster lives
    #[arg(long, value_name = "N", default_value_t = 1.0)]
    speed: f64,
    /// Where everything random comes from: how long machines take, which calls fail
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// After how much real time everything is scaled to zero, as 90s or 2m [default: 66s divided
    /// by the speed]
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    length: Option<Duration>,
}

/// How fast, and how long: what the numbers given must be.
const SPEEDS: std::ops::RangeInclusive<f64> = 0.1..=100.0;
const LENGTHS: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3_600);

fn duration(text: &str) -> Result<Duration, String> {
    let unit = text.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    let number = text[..text.len() - unit.len()].parse::<f64>().ok();
    let seconds = match unit {
        "ms" => Some(0.001),
        "s" => Some(1.0),
        "m" => Some(60.0),
        "h" => Some(3_600.0),
        _ => None,
    };
    number
        .zip(seconds)
        .and_then(|(number, seconds)| Duration::try_from_secs_f64(number * seconds).ok())
        .filter(|length| LENGTHS.contains(length))
        .ok_or_else(|| "expected a number and a unit, 1s to 24h, as in 90s, 2m or 1h".to_owned())
}

/// Plays the demo.
///
/// # Errors
/// When the numbers make no sense, when ports cannot be opened, and when it did not end at zero
/// nodes with the infrastructure node untouched.
pub fn run(arguments: &Arguments, output: &mut dyn Write) -> Result<(), Failure> {
    if !SPEEDS.contains(&arguments.speed) {
        let given = arguments.speed;
        let message = anyhow!("--speed {given}: expected a number from 0.1 to 100");
        return Err(Failure::BadInput(message));
    }
    let length = arguments.length.map_or(DEMO_LENGTH, |length| length.mul_f64(arguments.speed));
    let plain = arguments.plain || !std::io::stdout().is_terminal();
    if plain {
        let log_level = std::env::var("BERTH_LOG_LEVEL").unwrap_or_else(|_| "warn".to_owned());
        telemetry::init(&LogArguments { log_format: LogFormat::Text, log_level })
            .map_err(|error| Failure::BadInput(error.into()))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let scenario = Scenario::demo(length);
        let stage = Stage::set_up(&scenario, arguments.speed, arguments.seed).await?;
        let shown =
            if plain { plain::show(&stage, output).await } else { terminal::show(&stage).await };
        let view = stage.view();
        let untouched = stage.infrastructure_is_untouched();
        let ending = shown.context("cannot show the demo")?;
        let report = stage.close().await;
        summary::print(&view, &report, untouched, output).context("cannot print the summary")?;
        verdict(ending, untouched)
    })
}

fn verdict(ending: Ending, infrastructure_is_untouched: bool) -> Result<(), Failure> {
    let failed = |message: String| Err(Failure::Failed(anyhow!(message)));
    match ending {
        Ending::Zero if infrastructure_is_untouched => Ok(()),
        Ending::Zero => failed("the infrastructure node was touched".to_owned()),
        Ending::Stopped { nodes } => {
            failed(format!("stopped before the end: {nodes} simulated nodes were still there"))
        }
        Ending::Overdue { what } => {
            failed(format!("did not get to zero after everything was scaled to zero: {what}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_numbers_with_a_unit() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        for bad in ["", "90", "s", "-1s", "1e9s", "0s", "9 s", "5d", "25h", "1.2.3s"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_an_end_at_zero_with_the_infrastructure_untouched_is_a_success() {
        assert!(verdict(Ending::Zero, true).is_ok());
        assert!(verdict(Ending::Zero, false).is_err());
        assert!(verdict(Ending::Stopped { nodes: 3 }, true).is_err());
        assert!(verdict(Ending::Overdue { what: "1 node".to_owned() }, true).is_err());
    }
}
