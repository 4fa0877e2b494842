//! Tables `site`, `element`, `link`, `risk_group`: the versions of the network.

use super::{Result, Store, StoreError, Tx, on_read, on_tx};
use crate::topology::{
    Element, ElementKind, GroupKind, Link, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site,
};
use sqlx::QueryBuilder;

/// Rows per statement: at most 9 binds each, far below SQLite's 32,766 and PostgreSQL's 65,535.
const ROWS_PER_STATEMENT: usize = 1_000;
/// Rows that one read takes; versions do not change, so pages need no common snapshot.
const PAGE: i64 = 20_000;

type SiteRow = (i64, String, String, Option<f64>, Option<f64>);
type ElementRow = (
    i64,
    String,
    String,
    String,
    Option<String>,
    bool,
    Option<bool>,
    Option<String>,
);
type LinkRow = (i64, String, String, String, Option<bool>);
type GroupRow = (i64, String, String, String, String);

/// Reads all rows of a version in the order of their numbers, a page at a time.
macro_rules! read_pages {
    ($store:expr, $version:expr, $sql:expr, $row:ty => $decode:expr) => {{
        let mut all = Vec::new();
        let mut from = 0_i64;
        loop {
            let page: Vec<$row> = on_read!($store, pool => sqlx::query_as($sql)
                .bind($version).bind(from).bind(PAGE).fetch_all(pool).await)?;
            let Some(last) = page.last().map(|row| row.0) else {
                break Ok::<_, StoreError>(all);
            };
            from = last + 1;
            for row in page {
                all.push($decode(row)?);
            }
        }
    }};
}

impl Store {
    /// A whole version of the network; empty for version 0. Records come in the order in which they
    /// were written.
    pub async fn load_definition(&self, version: i64) -> Result<NetworkDefinition> {
        let (sites, elements, links, groups) = tokio::try_join!(
            self.load_sites(version),
            self.load_elements(version),
            self.load_links(version),
            self.load_groups(version),
        )?;
        Ok(NetworkDefinition {
            sites,
            elements,
            links,
            groups,
        })
    }

    /// The ids of the elements of a version.
    pub async fn load_element_ids(&self, version: i64) -> Result<Vec<String>> {
        const SQL: &str = "SELECT element_no, id FROM element \
            WHERE version = $1 AND element_no >= $2 ORDER BY element_no LIMIT $3";
        read_pages!(self, version, SQL, (i64, String) =>
            |row: (i64, String)| Ok::<_, StoreError>(row.1))
    }

    async fn load_sites(&self, version: i64) -> Result<Vec<Site>> {
        const SQL: &str = "SELECT site_no, id, name, latitude, longitude FROM site \
            WHERE version = $1 AND site_no >= $2 ORDER BY site_no LIMIT $3";
        read_pages!(self, version, SQL, SiteRow => |row: SiteRow| Ok::<_, StoreError>(Site {
            id: row.1,
            name: row.2,
            position: position(row.3, row.4),
        }))
    }

    async fn load_elements(&self, version: i64) -> Result<Vec<Element>> {
        const SQL: &str = "SELECT element_no, id, kind, name, site, gateway, transit, redundancy \
            FROM element WHERE version = $1 AND element_no >= $2 ORDER BY element_no LIMIT $3";
        read_pages!(self, version, SQL, ElementRow => element)
    }

    async fn load_links(&self, version: i64) -> Result<Vec<Link>> {
        const SQL: &str = "SELECT link_no, id, a, b, transit FROM link \
            WHERE version = $1 AND link_no >= $2 ORDER BY link_no LIMIT $3";
        read_pages!(self, version, SQL, LinkRow => |row: LinkRow| Ok::<_, StoreError>(Link {
            id: row.1,
            a: row.2,
            b: row.3,
            transit: row.4,
        }))
    }

    async fn load_groups(&self, version: i64) -> Result<Vec<SharedRiskGroup>> {
        const SQL: &str = "SELECT group_no, id, kind, name, members FROM risk_group \
            WHERE version = $1 AND group_no >= $2 ORDER BY group_no LIMIT $3";
        read_pages!(self, version, SQL, GroupRow => group)
    }
}

impl Tx {
    /// Writes sites of a version, numbered from `first_no`.
    pub async fn insert_sites(
        &mut self,
        version: i64,
        first_no: usize,
        sites: &[Site],
    ) -> Result<()> {
        for (chunk, numbers) in numbered(sites, first_no) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO site (version, site_no, id, name, latitude, longitude) ",
                );
                query.push_values(chunk.iter().zip(numbers), |mut row, (s, number)| {
                    row.push_bind(version)
                        .push_bind(number)
                        .push_bind(s.id.as_str())
                        .push_bind(s.name.as_str())
                        .push_bind(s.position.map(|p| p.latitude))
                        .push_bind(s.position.map(|p| p.longitude));
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    /// Writes elements of a version, numbered from `first_no`.
    pub async fn insert_elements(
        &mut self,
        version: i64,
        first_no: usize,
        elements: &[Element],
    ) -> Result<()> {
        for (chunk, numbers) in numbered(elements, first_no) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO element (version, element_no, id, kind, name, site, gateway, \
                     transit, redundancy) ",
                );
                query.push_values(chunk.iter().zip(numbers), |mut row, (e, number)| {
                    row.push_bind(version)
                        .push_bind(number)
                        .push_bind(e.id.as_str())
                        .push_bind(e.kind.as_str())
                        .push_bind(e.name.as_str())
                        .push_bind(e.site.as_deref())
                        .push_bind(e.gateway)
                        .push_bind(e.transit)
                        .push_bind(e.redundancy.map(redundancy_name));
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    /// Writes links of a version, numbered from `first_no`.
    pub async fn insert_links(
        &mut self,
        version: i64,
        first_no: usize,
        links: &[Link],
    ) -> Result<()> {
        for (chunk, numbers) in numbered(links, first_no) {
            on_tx!(self, conn => {
                let mut query =
                    QueryBuilder::new("INSERT INTO link (version, link_no, id, a, b, transit) ");
                query.push_values(chunk.iter().zip(numbers), |mut row, (l, number)| {
                    row.push_bind(version)
                        .push_bind(number)
                        .push_bind(l.id.as_str())
                        .push_bind(l.a.as_str())
                        .push_bind(l.b.as_str())
                        .push_bind(l.transit);
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }

    /// Writes shared-risk groups of a version, numbered from `first_no`.
    pub async fn insert_groups(
        &mut self,
        version: i64,
        first_no: usize,
        groups: &[SharedRiskGroup],
    ) -> Result<()> {
        for (chunk, numbers) in numbered(groups, first_no) {
            on_tx!(self, conn => {
                let mut query = QueryBuilder::new(
                    "INSERT INTO risk_group (version, group_no, id, kind, name, members) ",
                );
                query.push_values(chunk.iter().zip(numbers), |mut row, (g, number)| {
                    row.push_bind(version)
                        .push_bind(number)
                        .push_bind(g.id.as_str())
                        .push_bind(g.kind.as_str())
                        .push_bind(g.name.as_str())
                        .push_bind(json_list(g.members.iter().map(String::as_str)));
                });
                query.build().execute(conn).await?;
            });
        }
        Ok(())
    }
}

/// Pieces of the size of one statement, each with the row numbers it takes.
pub(in crate::store) fn numbered<T>(
    rows: &[T],
    first_no: usize,
) -> impl Iterator<Item = (&[T], std::ops::RangeFrom<i64>)> {
    rows.chunks(ROWS_PER_STATEMENT)
        .enumerate()
        .map(move |(at, chunk)| (chunk, row_no(first_no + at * ROWS_PER_STATEMENT)..))
}

/// An index as a column.
pub(in crate::store) fn row_no(index: usize) -> i64 {
    i64::try_from(index).unwrap_or(i64::MAX)
}

pub(in crate::store) fn redundancy_name(redundancy: Redundancy) -> &'static str {
    match redundancy {
        Redundancy::Any => "any",
        Redundancy::All => "all",
    }
}

pub(in crate::store) fn redundancy_of(name: &str) -> Result<Redundancy> {
    match name {
        "any" => Ok(Redundancy::Any),
        "all" => Ok(Redundancy::All),
        _ => Err(unknown("redundancy", name)),
    }
}

/// A list of texts as a JSON array.
pub(in crate::store) fn json_list<'a>(items: impl IntoIterator<Item = &'a str>) -> String {
    serde_json::Value::from_iter(items).to_string()
}

/// The texts of a JSON array.
pub(in crate::store) fn list_of(what: &'static str, json: &str) -> Result<Vec<String>> {
    serde_json::from_str(json).map_err(|e| StoreError::Corrupt {
        what,
        reason: e.to_string(),
    })
}

pub(in crate::store) fn position(
    latitude: Option<f64>,
    longitude: Option<f64>,
) -> Option<Position> {
    Some(Position {
        latitude: latitude?,
        longitude: longitude?,
    })
}

pub(in crate::store) fn unknown(what: &'static str, value: &str) -> StoreError {
    StoreError::Corrupt {
        what,
        reason: format!("`{value}` is not a known name"),
    }
}

fn element(row: ElementRow) -> Result<Element> {
    Ok(Element {
        id: row.1,
        kind: ElementKind::parse(&row.2).ok_or_else(|| unknown("element kind", &row.2))?,
        name: row.3,
        site: row.4,
        gateway: row.5,
        transit: row.6,
        redundancy: row.7.as_deref().map(redundancy_of).transpose()?,
    })
}

fn group(row: GroupRow) -> Result<SharedRiskGroup> {
    Ok(SharedRiskGroup {
        id: row.1,
        kind: GroupKind::parse(&row.2).ok_or_else(|| unknown("group kind", &row.2))?,
        name: row.3,
        members: list_of("group members", &row.4)?,
    })
}
