//! The same questions put to others, and that they answer alike.

use super::{Municipality, fastest, milliseconds};
use crate::figure::Figure;
use forewarn::topology::Position;
use geo::indexed::IntervalTreeMultiPolygon;
use geo::{BoundingRect as _, Contains as _, Intersects as _, MultiPolygon, Point};
use rstar::RTree;
use rstar::primitives::{GeomWithData, Rectangle};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use std::fmt::Write as _;
use std::hint::black_box;
use std::time::Instant;

const SCHEMA: &str = "bench_geography";
/// Number of the city among the areas.
const CITY_NO: i32 = 100_000;

pub(super) struct Peers {
    pub(super) postgis: Option<PostGis>,
    pub(super) tree_city_ms: f64,
    pub(super) plain_city_ms: f64,
    pub(super) tree_all_s: f64,
}

pub(super) struct PostGis {
    runtime: tokio::runtime::Runtime,
    connection: tokio::sync::Mutex<PgConnection>,
    pub(super) index_bytes: f64,
    pub(super) build_s: f64,
    pub(super) city_ms: f64,
    pub(super) all_s: f64,
}

impl Peers {
    /// Measures them; `counts` are our answers by municipality, `city_count` that for the city.
    pub(super) fn measure(
        positions: &[Option<Position>],
        municipalities: &[Municipality],
        counts: &[usize],
        city: &Municipality,
        city_count: usize,
    ) -> Self {
        let points: Vec<Point> = positions
            .iter()
            .flatten()
            .map(|p| Point::new(p.longitude, p.latitude))
            .collect();
        // Premises on a border are in neither area for the crate, and in one for us.
        let agrees = |theirs: usize, ours: usize| assert!(theirs.abs_diff(ours) <= 2);
        let outline = shape(city);
        let bounds = outline.bounding_rect().unwrap();
        let tree = IntervalTreeMultiPolygon::new(&outline);
        let tree_city_ms = milliseconds(3, || {
            let near = points.iter().filter(|p| bounds.intersects(*p));
            agrees(near.filter(|p| tree.contains(*p)).count(), city_count);
        });
        let plain_city_ms = milliseconds(1, || {
            let near = points.iter().filter(|p| bounds.intersects(*p));
            agrees(near.filter(|p| outline.contains(*p)).count(), city_count);
        });
        let shapes: Vec<MultiPolygon> = municipalities.iter().map(shape).collect();
        let trees: Vec<_> = shapes.iter().map(IntervalTreeMultiPolygon::new).collect();
        let rectangles = shapes.iter().enumerate().map(|(no, shape)| {
            let bounds = shape.bounding_rect().unwrap();
            let corner = |at: geo::Coord| [at.x, at.y];
            let rectangle = Rectangle::from_corners(corner(bounds.min()), corner(bounds.max()));
            GeomWithData::new(rectangle, no)
        });
        let rectangles = RTree::bulk_load(rectangles.collect());
        let mut found = vec![0; counts.len()];
        let started = Instant::now();
        for point in &points {
            for near in rectangles.locate_all_at_point(&[point.x(), point.y()]) {
                found[near.data] += usize::from(trees[near.data].contains(point));
            }
        }
        let tree_all_s = started.elapsed().as_secs_f64();
        for (&theirs, &ours) in found.iter().zip(counts) {
            agrees(theirs, ours);
        }
        Self {
            postgis: PostGis::measure(&points, municipalities, counts, city, city_count),
            tree_city_ms,
            plain_city_ms,
            tree_all_s,
        }
    }

    /// A figure beside a peer that may not be there.
    pub(super) fn beside(
        &self,
        figure: Figure,
        value: impl Fn(&Self) -> Option<f64>,
        peer: &str,
    ) -> Figure {
        match value(self) {
            Some(value) => {
                let ratio = value / figure.value;
                figure.against(peer, value, ratio)
            }
            None => figure,
        }
    }

    /// Microseconds of `PostGIS` for those within a distance.
    pub(super) fn disc_us(&self, centre: Position, radius_m: f64, ours: usize) -> Option<f64> {
        let postgis = self.postgis.as_ref()?;
        let sql = format!(
            "SELECT count(*) FROM premises WHERE ST_DWithin(place::geography, \
             ST_SetSRID(ST_MakePoint({}, {}), 4326)::geography, {radius_m})",
            centre.longitude, centre.latitude
        );
        let count = postgis.count(&sql);
        assert!(
            count.abs_diff(ours) <= 2,
            "{count} of PostGIS, {ours} of ours"
        );
        Some(
            milliseconds(5, || {
                black_box(postgis.count(&sql));
            }) * 1e3,
        )
    }
}

fn shape(of: &Municipality) -> MultiPolygon {
    let geometry: geojson::Geometry = of.geojson.parse().unwrap();
    let polygons: Vec<Vec<Vec<geojson::Position>>> = match geometry.value {
        geojson::GeometryValue::Polygon { coordinates } => vec![coordinates],
        geojson::GeometryValue::MultiPolygon { coordinates } => coordinates,
        _ => panic!("a municipality is a polygon or several"),
    };
    let line = |ring: Vec<geojson::Position>| -> geo::LineString {
        let corners = ring
            .iter()
            .map(|p| geo::coord! {x: p.as_slice()[0], y: p.as_slice()[1]});
        corners.collect()
    };
    let polygons = polygons.into_iter().map(|rings| {
        let mut lines = rings.into_iter().map(line);
        geo::Polygon::new(lines.next().unwrap(), lines.collect())
    });
    polygons.collect()
}

impl PostGis {
    fn measure(
        points: &[Point],
        municipalities: &[Municipality],
        counts: &[usize],
        city: &Municipality,
        city_count: usize,
    ) -> Option<Self> {
        let Ok(url) = std::env::var("BENCH_POSTGRES_URL") else {
            println!("BENCH_POSTGRES_URL is not set: no PostGIS beside it");
            return None;
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let connection = runtime.block_on(PgConnection::connect(&url)).unwrap();
        let mut this = Self {
            runtime,
            connection: connection.into(),
            index_bytes: 0.0,
            build_s: 0.0,
            city_ms: 0.0,
            all_s: 0.0,
        };
        let available = "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgis'";
        if this.count(available) == 0 {
            println!(
                "this PostgreSQL has no PostGIS, so it is not measured beside: `make bench` installs \
                 it, or run apt-get install postgresql-15-postgis-3 (with the version of your server)"
            );
            return None;
        }
        this.run(&format!(
            "DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}"
        ));
        this.run(&format!(
            "CREATE EXTENSION IF NOT EXISTS postgis; SET search_path = {SCHEMA}, public"
        ));
        this.run("CREATE TABLE premises (no integer, place geometry(Point, 4326))");
        this.run("CREATE TABLE area (no integer, shape geometry(MultiPolygon, 4326))");
        this.load(points, municipalities, city);
        let started = Instant::now();
        this.run("CREATE INDEX premises_place ON premises USING gist (place)");
        this.build_s = started.elapsed().as_secs_f64();
        this.run("CREATE INDEX premises_globe ON premises USING gist ((place::geography))");
        this.run("ANALYZE premises; ANALYZE area");
        let bytes = this.count("SELECT pg_relation_size('premises_place')");
        this.index_bytes = bytes as f64 / points.len() as f64;
        let one = format!(
            "SELECT count(*) FROM premises JOIN area ON ST_Contains(shape, place) \
             WHERE area.no = {CITY_NO}"
        );
        let agrees = |theirs: usize, ours: usize| {
            assert!(
                theirs.abs_diff(ours) <= 2,
                "{theirs} of PostGIS, {ours} of ours"
            );
        };
        agrees(this.count(&one), city_count);
        this.city_ms = milliseconds(5, || {
            black_box(this.count(&one));
        });
        let all = format!(
            "SELECT count(*) FROM premises JOIN area ON ST_Contains(shape, place) \
             WHERE area.no <> {CITY_NO}"
        );
        let ours: usize = counts.iter().sum();
        assert!(this.count(&all).abs_diff(ours) <= municipalities.len());
        this.all_s = fastest(3, || {
            black_box(this.count(&all));
        })
        .as_secs_f64();
        Some(this)
    }

    fn load(&self, points: &[Point], municipalities: &[Municipality], city: &Municipality) {
        self.runtime.block_on(async {
            let mut connection = self.connection.lock().await;
            let mut copy = connection
                .copy_in_raw("COPY premises FROM STDIN")
                .await
                .unwrap();
            for (start, chunk) in (0..).step_by(50_000).zip(points.chunks(50_000)) {
                let mut rows = String::new();
                for (no, point) in (start..).zip(chunk) {
                    let (x, y) = point.x_y();
                    writeln!(rows, "{no}\tSRID=4326;POINT({x} {y})").unwrap();
                }
                copy.send(rows.into_bytes()).await.unwrap();
            }
            copy.finish().await.unwrap();
            let numbered = (0..).zip(municipalities).chain([(CITY_NO, city)]);
            for (no, one) in numbered {
                let insert = "INSERT INTO area SELECT $1, ST_Multi(ST_GeomFromGeoJSON($2))";
                let insert = sqlx::query(insert).bind(no).bind(&one.geojson);
                insert.execute(&mut *connection).await.unwrap();
            }
        });
    }

    fn run(&self, sql: &str) {
        let mut connection = self.connection.blocking_lock();
        let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut *connection);
        self.runtime.block_on(run).unwrap();
    }

    fn count(&self, sql: &str) -> usize {
        let mut connection = self.connection.blocking_lock();
        let count = sqlx::query_scalar::<_, i64>(AssertSqlSafe(sql.to_owned()));
        let count = self.runtime.block_on(count.fetch_one(&mut *connection));
        usize::try_from(count.unwrap()).unwrap()
    }
}

impl Drop for PostGis {
    fn drop(&mut self) {
        self.run(&format!("DROP SCHEMA IF EXISTS {SCHEMA} CASCADE"));
    }
}
