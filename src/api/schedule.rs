use std::time::Duration;

use berth_solver::model::Timestamp;
use croner::parser::{CronParser, Seconds, Year};
use thiserror::Error;

/// That a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "{text:?} is no cron expression ({reason}): expected five fields, minute, hour, day of month, \
     month and day of week, such as \"0 9 * * mon-fri\", or a name such as @daily"
)]
pub struct InvalidSchedule {
    text: String,
    reason: String,
}

/// Checks a budget's `schedule` and gives it in five fields; the names that stand for one are
/// replaced.
///
/// # Errors
///
/// If it is no cron expression.
pub fn parse_schedule(text: &str) -> Result<String, InvalidSchedule> {
    let fields = match text.trim() {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other => other,
    };
    CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build()
        .parse(fields)
        .map_err(|error| InvalidSchedule { text: text.to_owned(), reason: error.to_string() })?;
    Ok(fields.to_owned())
}

/// Whether a window is open at `now` that opens at each time of the schedule (in UTC) and stays
/// open for `duration`. A schedule that cannot be understood has no windows; its budget is broken,
/// which is worse than closed.
pub fn is_open(schedule: &str, duration: Duration, now: Timestamp) -> bool {
    let Ok(fields) = parse_schedule(schedule) else { return false };
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    let Ok(cron) = parser.parse(&fields) else { return false };
    let Ok(moment) = jiff::Timestamp::from_millisecond(now.as_millis()) else { return false };
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC);
    let Ok(opened) = cron.find_previous_occurrence(&moment, true) else { return false };
    let opened = Timestamp::from_millis(opened.timestamp().as_millisecond());
    now.since(opened) < duration
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cron_expressions_of_five_fields_and_their_names_are_understood() {
        for (text, fields) in [
            ("0 9 * * mon-fri", "0 9 * * mon-fri"),
            ("*/15 0-6,22,23 1 JAN *", "*/15 0-6,22,23 1 JAN *"),
            ("@daily", "0 0 * * *"),
            ("@midnight", "0 0 * * *"),
            ("@annually", "0 0 1 1 *"),
        ] {
            assert_eq!(parse_schedule(text).as_deref(), Ok(fields), "{text}");
        }
    }

    #[test]
    fn what_is_no_cron_expression_is_refused_with_an_example() {
        for text in ["", "@every 5m", "61 * * * *", "a b c d e", "* * * *", "0 0 0 0 1 1 *"] {
            let error = parse_schedule(text).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{text:?} is no cron expression (")), "{error}");
            assert!(error.contains("such as \"0 9 * * mon-fri\""), "{error}");
        }
    }

    #[test]
    fn a_window_opens_at_each_time_of_the_schedule_and_stays_open_for_the_duration() {
        // 2026-11-25 is a Wednesday.
        let at = |text: &str| {
            let moment: jiff::Timestamp = text.parse().unwrap();
            Timestamp::from_millis(moment.as_millisecond())
        };
        let hours = |hours: u64| Duration::from_secs(hours * 3_600);
        let weekdays = "0 9 * * mon-fri";
        assert!(is_open(weekdays, hours(8), at("2026-11-25T09:00:00Z")));
        assert!(is_open(weekdays, hours(8), at("2026-11-25T16:59:59Z")));
        assert!(!is_open(weekdays, hours(8), at("2026-11-25T17:00:00Z")));
        assert!(!is_open(weekdays, hours(8), at("2026-11-25T08:59:59Z")));
        assert!(!is_open(weekdays, hours(8), at("2026-11-28T10:00:00Z")), "a Saturday");
        assert!(is_open("@daily", hours(1), at("2026-11-28T00:30:00Z")));
        assert!(is_open("0 23 * * *", hours(4), at("2026-11-28T02:59:00Z")), "past midnight");
        assert!(!is_open("no schedule", hours(24), at("2026-11-28T02:59:00Z")));
    }
}
