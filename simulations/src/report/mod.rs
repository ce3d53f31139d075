//! A replay as one HTML page: no network, no scripts, readable on a phone and in print.

mod chart;
mod figures;
mod plots;
mod words;

use minijinja::{AutoEscape, Environment, Value, context};
use serde::Serialize;

use crate::replay::{Moment, Summary};

/// What was replayed, and how to do it again.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// The trace's file.
    pub trace: String,
    /// The catalog's file.
    pub catalog: String,
    /// The seed.
    pub seed: u64,
    /// How many pods came.
    pub pods: u64,
    /// Of how many shapes.
    pub shapes: usize,
    /// How many of them at once at most.
    pub most_pods: u64,
    /// The command that does it again.
    pub command: String,
    /// Every setting, as it was.
    pub settings: String,
    /// Which Berth it was.
    pub version: String,
    /// Where consolidation was looked at more rarely than the policies do: how rarely, in seconds.
    pub thinned_seconds: Option<u64>,
}

/// What one policy did.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// In figures.
    pub summary: Summary,
    /// Interval by interval.
    pub moments: Vec<Moment>,
}

/// The page could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The template and what it is given do not go together.
    #[error("the report cannot be written: {0}")]
    Template(#[from] minijinja::Error),
    /// A picture could not be drawn.
    #[error("a picture of the report cannot be drawn: {0}")]
    Plot(String),
}

pub use chart::{Line, chart};
pub use plots::trace_picture;

const TEMPLATE: &str = include_str!("report.html");

/// The page.
///
/// # Errors
/// [`ReportError`], if a picture cannot be drawn.
pub fn html(about: &About, policies: &[Told]) -> Result<String, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.add_filter("money", |value: f64| format!("{value:.2}"));
    environment.add_template("report.html", TEMPLATE)?;
    let safe = |svg: String| Value::from_safe_string(svg);
    let mut sections = Vec::new();
    for told in policies {
        sections.push(context! {
            summary => told.summary,
            nodes => safe(plots::nodes_by_type(&told.moments)?),
            utilization => safe(plots::utilization(&told.moments)?),
            pending => safe(plots::pending(&told.moments)?),
            waiting => safe(plots::waiting(&told.moments)?),
            changes => safe(plots::changes(&told.moments)?),
            hours => words::dearest_hours(&told.moments),
        });
    }
    let page = environment.get_template("report.html")?.render(context! {
        about => about,
        cost => safe(plots::cost(policies)?),
        figures => figures::rows(policies),
        policies => sections,
        differences => words::differences(policies),
    })?;
    Ok(page)
}
