//! Logs: JSON for machines, text for people, always to standard error.

use std::io;

use tracing::Subscriber;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::{EnvFilter, fmt};

/// How log lines look (`--log-format`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    #[default]
    Text,
}

/// Arguments that every command with logs takes.
#[derive(Clone, Debug, PartialEq, Eq, clap::Args)]
pub struct LogArguments {
    /// How log lines look.
    #[arg(long, env = "BERTH_LOG_FORMAT", value_enum, default_value_t)]
    pub log_format: LogFormat,
    /// What is logged: error, warn, info, debug or trace, also per module
    /// (`info,berth::extender=debug`).
    #[arg(long, env = "BERTH_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

/// Why logs could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The filter makes no sense.
    #[error(
        "--log-level {given:?}: {problem}; expected error, warn, info, debug or trace, also per \
         module as in info,berth::extender=debug"
    )]
    BadFilter {
        /// What was given.
        given: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Somebody else did it before.
    #[error("logs were set up twice")]
    SetUpTwice,
}

/// Sends the process' logs to standard error.
///
/// # Errors
/// When the filter makes no sense, or on a second call.
pub fn init(arguments: &LogArguments) -> Result<(), TelemetryError> {
    let subscriber = subscriber(arguments, io::stderr)?;
    tracing::subscriber::set_global_default(subscriber).map_err(|_| TelemetryError::SetUpTwice)
}

/// What turns events into lines.
///
/// # Errors
/// When the filter makes no sense.
pub fn subscriber<W>(
    arguments: &LogArguments,
    writer: W,
) -> Result<Box<dyn Subscriber + Send + Sync>, TelemetryError>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&arguments.log_level).map_err(|error| {
        TelemetryError::BadFilter { given: arguments.log_level.clone(), problem: error.to_string() }
    })?;
    let lines = fmt().with_env_filter(filter).with_writer(writer).with_ansi(false);
    Ok(match arguments.log_format {
        LogFormat::Json => Box::new(lines.json().flatten_event(true).finish()),
        LogFormat::Text => Box::new(lines.finish()),
    })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log_format: LogFormat, log_level: &str) -> String {
        let page = Page::default();
        let arguments = LogArguments { log_format, log_level: log_level.to_owned() };
        let writer = page.clone();
        let subscriber = subscriber(&arguments, move || writer.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(pod = "shop/web-1", "evil\u{1b}[2Jname\nforged line");
            tracing::debug!("not shown");
        });
        String::from_utf8(page.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn json_logs_are_one_object_a_line_and_control_characters_are_escaped() {
        let text = written(LogFormat::Json, "info");
        let lines: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!(lines[0]["pod"], "shop/web-1");
        assert_eq!(lines[0]["level"], "INFO");
        assert_eq!(lines[0]["message"], "evil\u{1b}[2Jname\nforged line");
        assert!(!text.trim_end().chars().any(char::is_control), "{text:?}");
    }

    #[test]
    fn text_logs_obey_the_level_and_let_no_escape_sequence_through() {
        let text = written(LogFormat::Text, "info");
        assert!(text.contains("shop/web-1") && !text.contains("not shown"), "{text}");
        assert!(!text.contains('\u{1b}'), "{text:?}");
        assert_eq!(written(LogFormat::Text, "warn"), "");
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_with_what_would_be_right() {
        let arguments =
            LogArguments { log_format: LogFormat::Text, log_level: "berth=loud".to_owned() };
        let Err(error) = subscriber(&arguments, io::sink) else { panic!("accepted") };
        let message = error.to_string();
        assert!(message.starts_with("--log-level \"berth=loud\": "), "{message}");
        assert!(message.ends_with("as in info,berth::extender=debug"), "{message}");
    }
}
