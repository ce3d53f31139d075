//! What commands print: tables for people, JSON for machines.

use std::io::{BufWriter, Write};

use anyhow::Context;
use clap::ValueEnum;
use comfy_table::presets::UTF8_BORDERS_ONLY;
use comfy_table::{CellAlignment, Table};
use serde::Serialize;

use super::Failure;

/// What is printed (`--output`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For machines
    Json,
}

/// A document as JSON, with a line end.
///
/// # Errors
/// When it cannot be written as JSON.
pub fn json(document: &impl Serialize) -> Result<String, Failure> {
    let text = serde_json::to_string_pretty(document).context("cannot be written as JSON")?;
    Ok(text + "\n")
}

/// Prints such a document piece by piece: one that names every pod of a cluster is long.
///
/// # Errors
/// When it cannot be printed.
pub fn print_json(document: &impl Serialize, output: &mut dyn Write) -> Result<(), Failure> {
    let cannot = "cannot write to standard output";
    let mut pieces = BufWriter::new(output);
    serde_json::to_writer_pretty(&mut pieces, document).context(cannot)?;
    pieces.write_all(b"\n").and_then(|()| pieces.flush()).context(cannot)?;
    Ok(())
}

/// A table whose columns from `numbers` on are numbers.
pub fn table<const COLUMNS: usize>(header: [&str; COLUMNS], numbers: usize) -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_BORDERS_ONLY);
    table.set_header(header);
    for index in numbers..COLUMNS {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// The word, with an s unless there is one.
pub fn plural(count: usize, word: &str) -> String {
    if count == 1 { word.to_owned() } else { format!("{word}s") }
}
