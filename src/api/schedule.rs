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
}
