//! What the commands share: lists that are read page by page, and how things are printed.

use super::error::CliError;
use std::io::Write;

/// How many are read from a store at once.
pub(super) const PAGE: u32 = 500;

/// All of a list that is read page by page: each page is asked for by the last of the one before.
///
/// # Errors
/// A page could not be read.
pub(super) async fn all<T, E>(page_after: impl AsyncFn(Option<&T>) -> Result<Vec<T>, E>) -> Result<Vec<T>, E> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let page = page_after(all.last()).await?;
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// One JSON document and a line end.
pub(super) fn print_json(value: &impl serde::Serialize, out: &mut dyn Write) -> Result<(), CliError> {
    let text = serde_json::to_string_pretty(value).map_err(|error| CliError::Failed(error.to_string()))?;
    Ok(writeln!(out, "{text}")?)
}

/// Columns as wide as their widest cell, two spaces apart, the last one ragged.
pub(super) fn print_table(heads: &[&str], rows: &[Vec<String>], out: &mut dyn Write) -> Result<(), CliError> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        cells.chain(heads.get(column).map(|head| head.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let heads: Vec<String> = heads.iter().map(ToString::to_string).collect();
    for row in std::iter::once(&heads).chain(rows) {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:width$}")).collect();
        writeln!(out, "{}", cells.join("  ").trim_end())?;
    }
    Ok(())
}
