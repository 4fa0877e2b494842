//! CSV with a header line, by column name.

use super::{ReadError, RecordErrors, RecordSink, one_of};
use csv::{ByteRecord, StringRecord};
use std::io::Read;

/// What separates the items of a list in one cell.
pub(crate) const LIST_SEPARATOR: char = ';';

/// One row, by the position of a column in the list of known columns.
pub(crate) struct Row<'a> {
    /// Line of the file on which the row starts.
    pub(crate) line: u64,
    cells: &'a StringRecord,
    /// For each known column its position in the file.
    places: &'a [Option<usize>],
    names: &'static [&'static str],
}

impl Row<'_> {
    /// The cell of a known column; empty when the file lacks it.
    pub(crate) fn text(&self, column: usize) -> &str {
        self.places[column]
            .and_then(|place| self.cells.get(place))
            .unwrap_or_default()
    }

    /// The items of a cell.
    pub(crate) fn list(&self, column: usize) -> Vec<String> {
        self.text(column)
            .split(LIST_SEPARATOR)
            .map(str::trim)
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    /// A cell that is empty, "true" or "false".
    pub(crate) fn flag(&self, column: usize, errors: &mut RecordErrors) -> Option<bool> {
        match self.text(column) {
            "" => None,
            "true" => Some(true),
            "false" => Some(false),
            other => {
                errors.refuse(self.line, self.names[column], other, "true or false");
                None
            }
        }
    }

    /// A cell that is empty or a whole number.
    pub(crate) fn whole(&self, column: usize, errors: &mut RecordErrors) -> Option<u32> {
        let text = self.text(column);
        if text.is_empty() {
            return None;
        }
        text.parse().ok().or_else(|| {
            errors.refuse(self.line, self.names[column], text, "a whole number");
            None
        })
    }

    /// A cell that is empty or a number.
    pub(crate) fn number(&self, column: usize, errors: &mut RecordErrors) -> Option<f64> {
        let text = self.text(column);
        if text.is_empty() {
            return None;
        }
        text.parse().ok().or_else(|| {
            errors.refuse(self.line, self.names[column], text, "a number");
            None
        })
    }
}

/// The columns of a format.
#[derive(Clone, Copy)]
pub(crate) struct Columns {
    /// All there may be.
    pub(crate) known: &'static [&'static str],
    /// Those that must be there.
    pub(crate) required: &'static [&'static str],
}

/// Reads a file with a header line and hands on each row as `fields` makes it out.
pub(crate) fn read_table<T>(
    reader: impl Read,
    file: &str,
    columns: Columns,
    sink: &mut impl RecordSink<T>,
    fields: impl Fn(&Row<'_>, &mut RecordErrors) -> T,
) -> Result<(), ReadError> {
    let mut table = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(reader);
    let mut bytes = ByteRecord::new();
    let mut places: Option<Vec<Option<usize>>> = None;
    let mut width = 0;
    loop {
        match table.read_byte_record(&mut bytes) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                return Err(ReadError::Io {
                    file: file.to_owned(),
                    source: plain_error(error),
                });
            }
        }
        let line = bytes.position().map_or(1, csv::Position::line);
        let Ok(cells) = StringRecord::from_byte_record(std::mem::take(&mut bytes)) else {
            sink.errors().add(line, "record", "", "text in UTF-8");
            if places.is_none() {
                return Ok(());
            }
            sink.pass_over();
            continue;
        };
        match &places {
            None => {
                let found = header(&cells, columns, sink.errors());
                if !sink.errors().is_empty() {
                    return Ok(());
                }
                width = cells.len();
                places = Some(found);
            }
            Some(_) if cells.len() != width => {
                let expected = format!("{width} columns, as in the header");
                sink.errors().add(
                    line,
                    "record",
                    &format!("{} columns", cells.len()),
                    expected,
                );
                sink.pass_over();
            }
            Some(places) => {
                let row = Row {
                    line,
                    cells: &cells,
                    places,
                    names: columns.known,
                };
                let record = fields(&row, sink.errors());
                sink.take(line, record);
            }
        }
        bytes = cells.into_byte_record();
    }
    if places.is_none() {
        sink.errors().add(
            1,
            "record",
            "",
            "a header line with the names of the columns",
        );
    }
    Ok(())
}

/// Where each known column stands.
fn header(cells: &StringRecord, columns: Columns, errors: &mut RecordErrors) -> Vec<Option<usize>> {
    let mut places = vec![None; columns.known.len()];
    for (place, cell) in cells.iter().enumerate() {
        let name = cell.trim();
        match columns.known.iter().position(|column| *column == name) {
            None => errors.add(1, "header", name, one_of(columns.known)),
            Some(column) if places[column].is_some() => {
                errors.add(1, "header", name, "a column that is given once");
            }
            Some(column) => places[column] = Some(place),
        }
    }
    for (column, place) in columns.known.iter().zip(&places) {
        if place.is_none() && columns.required.contains(column) {
            errors.add(1, "header", "", format!("a column {column}"));
        }
    }
    places
}

/// The items in one cell. Fails on an item that would be read back as two.
pub(crate) fn join_list<'a>(items: impl Iterator<Item = &'a str>) -> std::io::Result<String> {
    let mut cell = String::new();
    for item in items {
        if item.contains(LIST_SEPARATOR) || item.trim() != item {
            return Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                "an item of a list holds ';' or outer spaces: use JSON Lines",
            ));
        }
        if !cell.is_empty() {
            cell.push(LIST_SEPARATOR);
        }
        cell.push_str(item);
    }
    Ok(cell)
}

/// What went wrong with reading or writing rows, as an input-output error.
pub(crate) fn plain_error(error: csv::Error) -> std::io::Error {
    let text = error.to_string();
    match error.into_kind() {
        csv::ErrorKind::Io(source) => source,
        _ => std::io::Error::other(text),
    }
}
