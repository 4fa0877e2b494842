//! Where in a file a record stands, for errors that show only after all was read.

use super::{RecordError, RecordErrors, RecordSink};
use crate::topology::NetworkError;
use std::collections::{HashMap, HashSet};

/// Notes the lines of the records that errors are about. Reads the file a second time, so that the
/// way without errors need not keep the line of every record.
pub(crate) struct LineFinder<T> {
    /// Type and id of a record, in one text.
    key: fn(&T) -> String,
    wanted: HashSet<String>,
    found: HashMap<String, u64>,
    errors: RecordErrors,
}

impl<T> LineFinder<T> {
    pub(crate) fn new(file: &str, errors: &[NetworkError], key: fn(&T) -> String) -> Self {
        Self {
            key,
            wanted: errors.iter().map(|e| record_key(e.record, &e.id)).collect(),
            found: HashMap::new(),
            errors: RecordErrors::of_file(file),
        }
    }

    /// The errors as texts that begin with the place, in their order.
    pub(crate) fn texts(&self, file: &str, errors: &[NetworkError]) -> Vec<String> {
        let text = |error: &NetworkError| {
            let Some(&line) = self.found.get(&record_key(error.record, &error.id)) else {
                return format!("{file}: {error}");
            };
            let located = RecordError {
                file: Some(file.to_owned()),
                line,
                field: error.field.to_owned(),
                value: (!error.value.is_empty()).then(|| error.value.clone()),
                expected: error.expected.clone(),
            };
            located.to_string()
        };
        errors.iter().map(text).collect()
    }
}

impl<T> RecordSink<T> for LineFinder<T> {
    fn errors(&mut self) -> &mut RecordErrors {
        &mut self.errors
    }

    fn take(&mut self, line: u64, record: T) {
        let key = (self.key)(&record);
        if self.wanted.contains(&key) {
            // Of a record that stands there twice, the last one is the one too many.
            self.found.insert(key, line);
        }
    }
}

/// What tells the records of an import apart.
pub(crate) fn record_key(record: &str, id: &str) -> String {
    format!("{record} {id}")
}
