//! Lists as one bound value, a JSON array: the statement is the same for every length, and the
//! database goes from the list to the rows, never over all rows with the list in hand.

use super::{Engine, Store, Tx};

/// How an engine reads such a list.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Listed {
    /// The list that is bound as `$1`, as a table `listed` with the column `value`.
    pub(in crate::store) table: &'static str,
    /// Joins the table to which the list leads, followed by its name and ` ON `. SQLite takes the
    /// order of a cross join as it stands.
    pub(in crate::store) join: &'static str,
}

const SQLITE: Listed = Listed {
    table: "json_each($1) AS listed",
    join: "CROSS JOIN",
};
const POSTGRES: Listed = Listed {
    table: "json_array_elements_text(CAST($1 AS json)) AS listed (value)",
    join: "JOIN",
};

impl Store {
    /// How this engine reads lists.
    pub(in crate::store) fn listed(&self) -> Listed {
        match self.engine {
            Engine::Sqlite { .. } => SQLITE,
            Engine::Postgres(_) => POSTGRES,
        }
    }
}

impl Tx {
    /// How this engine reads lists.
    pub(in crate::store) fn listed(&self) -> Listed {
        match self {
            Self::Sqlite(_) => SQLITE,
            Self::Postgres(_) => POSTGRES,
        }
    }
}

/// Texts as a list.
pub(in crate::store) fn texts<T: AsRef<str>>(texts: &[T]) -> String {
    texts
        .iter()
        .map(AsRef::as_ref)
        .collect::<serde_json::Value>()
        .to_string()
}

/// Numbers as a list; to be read as `CAST(listed.value AS BIGINT)`.
pub(in crate::store) fn numbers(numbers: impl Iterator<Item = i64>) -> String {
    numbers.collect::<serde_json::Value>().to_string()
}
