//! What operators declare without an alarm, checked: which resources or which area, and since when.

use super::auth::Caller;
use super::incident::store_failed;
use super::status::{self, violation};
use crate::clock::Millis;
use crate::geography::AreaNo;
use crate::incident::{CauseKind, DeclarationId, DeclarationRef, Statement};
use crate::pipeline::live::Live;
use crate::proto::v1;
use crate::store::Store;
use tonic::Status;

/// Resources of one declaration.
const MOST_RESOURCES: usize = 1_000;
const LONGEST_REQUEST_ID_BYTES: usize = 128;
/// What is said to have begun earlier is a mistake in the typing.
const EARLIEST_MS: i64 = 30 * 24 * 3_600_000;

/// A declaration that is being checked: all that is wrong with it at once.
pub(super) struct Draft {
    pub(super) statement: Statement,
    pub(super) wrong: Vec<v1::FieldViolation>,
}

impl Draft {
    /// Nothing said yet; the store chooses its number.
    pub(super) fn new(id: DeclarationId, caller: &Caller, now_ms: Millis) -> Self {
        Self {
            statement: Statement {
                reference: DeclarationRef { id, revision: 1 },
                resources: Vec::new(),
                area: None,
                kind: CauseKind::Unknown,
                text: String::new(),
                since_ms: now_ms,
                until_ms: None,
                estimate: None,
                declared_at_ms: now_ms,
                declared_by: caller.name.clone(),
                end: None,
            },
            wrong: Vec::new(),
        }
    }

    pub(super) fn refuse(&mut self, field: &str, value: &str, expected: &str) {
        self.wrong.push(violation(field, value, expected));
    }

    /// What fails, as the network knows it; or the area that says where.
    pub(super) fn scope(&mut self, resources: Vec<String>, area_id: &str, live: &Live) {
        if resources.is_empty() == area_id.is_empty() {
            self.refuse("resources", "", "ids of resources, or an area in area_id");
        }
        if resources.len() > MOST_RESOURCES {
            self.refuse("resources", "", "at most 1,000 ids");
        }
        for (at, id) in resources.iter().enumerate().take(MOST_RESOURCES) {
            if live.network.part(id).is_none() {
                let field = format!("resources[{at}]");
                self.refuse(&field, id, "an element, a link or a group of the network");
            }
        }
        if !area_id.is_empty() {
            self.statement.area = AreaNo::parse(area_id);
            if self.statement.area.is_none() {
                self.refuse("area_id", area_id, "the id of an area, such as AREA-7");
            }
        }
        self.statement.resources = resources;
        self.statement.resources.sort_unstable();
        self.statement.resources.dedup();
    }

    /// Since when; 0 for now.
    pub(super) fn since(&mut self, field: &str, since_ms: Millis) {
        let now_ms = self.statement.declared_at_ms;
        if since_ms != 0 {
            self.statement.since_ms = since_ms;
        }
        if self.statement.since_ms < now_ms - EARLIEST_MS {
            let expected = "an instant within the last 30 days";
            self.refuse(field, &since_ms.to_string(), expected);
        }
    }

    /// A text for people, without control characters.
    pub(super) fn text(&mut self, field: &str, text: &str, longest: usize) {
        text.trim().clone_into(&mut self.statement.text);
        if text.len() > longest || text.chars().any(char::is_control) {
            let expected = format!("at most {longest} bytes without control characters");
            self.refuse(field, "", &expected);
        }
    }

    pub(super) fn request_id(&mut self, id: &str) {
        if id.len() > LONGEST_REQUEST_ID_BYTES || id.contains('\0') {
            self.refuse("request_id", id, "at most 128 bytes, without U+0000");
        }
    }

    /// The statement, when nothing is wrong with it and its area exists.
    pub(super) async fn checked(self, store: &Store) -> Result<Statement, Status> {
        let Self {
            statement,
            mut wrong,
        } = self;
        if let Some(no) = statement.area
            && store.area(no).await.map_err(store_failed)?.is_none()
        {
            let expected = "the id of an area that was declared";
            wrong.push(violation("area_id", no.to_string(), expected));
        }
        if wrong.is_empty() {
            Ok(statement)
        } else {
            Err(status::invalid(&wrong))
        }
    }
}
