//! Tables `site`, `element`, `link`, `risk_group`: the versions of the network.

use super::bulk::{self, Table, VersionedRows};
use super::{Result, Store, StoreError, Tx, on_read};
use crate::topology::{
    Element, ElementKind, GroupKind, Link, NetworkDefinition, Position, Redundancy,
    SharedRiskGroup, Site,
};

const SITE: Table = Table {
    name: "site",
    columns: &["version", "site_no", "id", "name", "latitude", "longitude"],
};
const ELEMENT: Table = Table {
    name: "element",
    columns: &[
        "version",
        "element_no",
        "id",
        "kind",
        "name",
        "site",
        "gateway",
        "transit",
        "redundancy",
        "battery_minutes",
    ],
};
const LINK: Table = Table {
    name: "link",
    columns: &["version", "link_no", "id", "a", "b", "transit"],
};
const RISK_GROUP: Table = Table {
    name: "risk_group",
    columns: &["version", "group_no", "id", "kind", "name", "members"],
};
/// Rows that one read takes; versions do not change, so pages need no common snapshot.
const PAGE: i64 = 20_000;

type SiteRow = (i64, String, String, Option<f64>, Option<f64>);
type ElementRow = (
    i64,
    String,
    String,
    String,
    Option<String>,
    u8,
    Option<u8>,
    Option<String>,
    Option<i64>,
);
type LinkRow = (i64, String, String, String, Option<u8>);
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
        const ROWS: VersionedRows = VersionedRows {
            table: "element",
            number: "element_no",
            columns: "id",
            then: "",
        };
        bulk::read_version(self, ROWS, version, |row: (i64, String)| Ok(row.1)).await
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
        const ROWS: VersionedRows = VersionedRows {
            table: "element",
            number: "element_no",
            columns: "id, kind, name, site, CASE WHEN gateway THEN 1 ELSE 0 END, \
                CASE WHEN transit THEN 1 WHEN NOT transit THEN 0 END, redundancy, battery_minutes",
            then: "",
        };
        bulk::read_version(self, ROWS, version, element).await
    }

    async fn load_links(&self, version: i64) -> Result<Vec<Link>> {
        const ROWS: VersionedRows = VersionedRows {
            table: "link",
            number: "link_no",
            columns: "id, a, b, CASE WHEN transit THEN 1 WHEN NOT transit THEN 0 END",
            then: "",
        };
        bulk::read_version(self, ROWS, version, |row: LinkRow| {
            Ok(Link {
                id: row.1,
                a: row.2,
                b: row.3,
                transit: row.4.map(|transit| transit != 0),
            })
        })
        .await
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
        let rows = numbered(sites, first_no);
        bulk::insert(self, SITE, &rows, |&(number, site), row| {
            row.i64(version);
            row.i64(number);
            row.text(site.id.as_str());
            row.text(site.name.as_str());
            row.f64(site.position.map(|p| p.latitude));
            row.f64(site.position.map(|p| p.longitude));
        })
        .await
    }

    /// Writes elements of a version, numbered from `first_no`.
    pub async fn insert_elements(
        &mut self,
        version: i64,
        first_no: usize,
        elements: &[Element],
    ) -> Result<()> {
        let rows = numbered(elements, first_no);
        bulk::insert(self, ELEMENT, &rows, |&(number, element), row| {
            row.i64(version);
            row.i64(number);
            row.text(element.id.as_str());
            row.text(element.kind.as_str());
            row.text(element.name.as_str());
            row.text(element.site.as_deref());
            row.bool(element.gateway);
            row.bool(element.transit);
            row.text(element.redundancy.map(redundancy_name));
            row.optional_i64(element.battery_minutes.map(i64::from));
        })
        .await
    }

    /// Writes links of a version, numbered from `first_no`.
    pub async fn insert_links(
        &mut self,
        version: i64,
        first_no: usize,
        links: &[Link],
    ) -> Result<()> {
        let rows = numbered(links, first_no);
        bulk::insert(self, LINK, &rows, |&(number, link), row| {
            row.i64(version);
            row.i64(number);
            row.text(link.id.as_str());
            row.text(link.a.as_str());
            row.text(link.b.as_str());
            row.bool(link.transit);
        })
        .await
    }

    /// Writes shared-risk groups of a version, numbered from `first_no`.
    pub async fn insert_groups(
        &mut self,
        version: i64,
        first_no: usize,
        groups: &[SharedRiskGroup],
    ) -> Result<()> {
        let rows = numbered(groups, first_no);
        bulk::insert(self, RISK_GROUP, &rows, |&(number, group), row| {
            row.i64(version);
            row.i64(number);
            row.text(group.id.as_str());
            row.text(group.kind.as_str());
            row.text(group.name.as_str());
            row.text(json_list(group.members.iter().map(String::as_str)).as_str());
        })
        .await
    }
}

/// Records with the row numbers they take.
pub(in crate::store) fn numbered<T>(records: &[T], first_no: usize) -> Vec<(i64, &T)> {
    (row_no(first_no)..).zip(records).collect()
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
        gateway: row.5 != 0,
        transit: row.6.map(|transit| transit != 0),
        redundancy: row.7.as_deref().map(redundancy_of).transpose()?,
        battery_minutes: row.8.map(battery_minutes).transpose()?,
    })
}

fn battery_minutes(minutes: i64) -> Result<u32> {
    u32::try_from(minutes).map_err(|_| unknown("battery minutes", &minutes.to_string()))
}

fn group(row: GroupRow) -> Result<SharedRiskGroup> {
    Ok(SharedRiskGroup {
        id: row.1,
        kind: GroupKind::parse(&row.2).ok_or_else(|| unknown("group kind", &row.2))?,
        name: row.3,
        members: list_of("group members", &row.4)?,
    })
}
