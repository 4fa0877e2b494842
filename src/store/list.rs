//! Lists as one bound value, a JSON array: the statement is the same for every length, and the
//! database goes from the list to the rows, never over all rows with the list in hand.

use super::{Engine, Store, Tx};

/// How an engine reads such a list.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Listed {
    Sqlite,
    Postgres,
}

impl Listed {
    /// What stands behind `FROM`: the list that is bound as `$1`, as a table `listed` with the column
    /// `value`, and for each of its values the rows of `table`, called `name`, that fulfil `condition`.
    ///
    /// SQLite takes the order of a cross join as it stands. PostgreSQL looks into no subquery that has
    /// an offset, and so goes from each value to its rows whatever it believes of the table: of one that
    /// has just been filled it knows little. How it looks for them is its choice, see
    /// [`Self::keeps_plan`].
    pub(in crate::store) fn rows(self, table: &str, name: &str, condition: &str) -> String {
        match self {
            Self::Sqlite => {
                format!("json_each($1) AS listed CROSS JOIN {table} {name} ON {condition}")
            }
            Self::Postgres => format!(
                "json_array_elements_text(CAST($1 AS json)) AS listed (value) CROSS JOIN LATERAL \
                 (SELECT * FROM {table} {name} WHERE {condition} OFFSET 0) {name}"
            ),
        }
    }

    /// Whether such a statement may stay prepared. A plan of PostgreSQL from when the table was small
    /// would read all of it for each value after it has grown, until its statistics are renewed.
    pub(in crate::store) fn keeps_plan(self) -> bool {
        matches!(self, Self::Sqlite)
    }
}

impl Store {
    /// How this engine reads lists.
    pub(in crate::store) fn listed(&self) -> Listed {
        match self.engine {
            Engine::Sqlite { .. } => Listed::Sqlite,
            Engine::Postgres(_) => Listed::Postgres,
        }
    }
}

impl Tx {
    /// How this engine reads lists.
    pub(in crate::store) fn listed(&self) -> Listed {
        match self {
            Self::Sqlite(_) => Listed::Sqlite,
            Self::Postgres(_) => Listed::Postgres,
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
