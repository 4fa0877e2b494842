//! `forewarn area`: areas in which something has happened.

use super::client::{self, ClientArgs, Connection, explain};
use super::eta;
use super::table::{Output, at_least_one, grouped, instant};
use crate::clock::Millis;
use crate::geography::{AreaNo, decode_xml, looks_like_xml};
use crate::proto::v1;
use crate::proto::v1::area_input::Document;
use crate::proto::v1::area_service_client::AreaServiceClient;
use crate::proto::v1::get_area_response::Document as Declared;
use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

/// Arguments of `forewarn area`.
#[derive(Clone, Debug, Args)]
pub struct AreaArgs {
    #[command(flatten)]
    pub client: ClientArgs,
    #[command(subcommand)]
    pub action: AreaAction,
}

/// What to do with areas.
#[derive(Clone, Debug, Subcommand)]
pub enum AreaAction {
    /// Declare that something has happened inside an area
    Declare(DeclareArgs),
    /// See who and what lies inside an area, and what is odd about it; changes nothing
    Preview(ShapeArgs),
    /// List areas that are in force, newest first
    List(ListArgs),
    /// Show one area, and who and what lies inside it now
    Show {
        #[arg(value_parser = area_id)]
        area: String,
        /// Print the document that was declared, and nothing else
        #[arg(long)]
        document: bool,
    },
    /// End an area
    End {
        #[arg(value_parser = area_id)]
        area: String,
        /// Why, for colleagues
        #[arg(long, default_value = "")]
        reason: String,
    },
}

/// An area and what it means.
#[derive(Clone, Debug, Args)]
#[command(after_help = "Examples:\n  \
    forewarn area preview alert.xml --affects power_lost_inside\n  \
    forewarn area declare flood.geojson --affects service_lost_inside --name \"Lower town\"\n  \
    forewarn area declare --at 41.9028,12.4964 --radius-m 800 --affects power_lost_inside")]
pub struct ShapeArgs {
    /// A file with a CAP alert (latitude, longitude) or `GeoJSON` (longitude, latitude); - for standard input
    #[arg(required_unless_present = "at", conflicts_with = "at")]
    file: Option<PathBuf>,
    /// Latitude and longitude of the centre of a disc
    #[arg(long, value_name = "LAT,LON", value_parser = position, requires = "radius_m", allow_hyphen_values = true)]
    at: Option<(f64, f64)>,
    /// Radius of the disc in metres
    #[arg(
        long,
        value_name = "METRES",
        requires = "at",
        allow_negative_numbers = true
    )]
    radius_m: Option<f64>,
    /// What has happened inside
    #[arg(long, value_parser = ["service_lost_inside", "power_lost_inside", "information"])]
    affects: String,
    /// When it began, 2026-03-10T14:00 or with a zone (default: as the alert says, else now)
    #[arg(long, value_name = "TIME")]
    onset: Option<String>,
    /// When it ends by itself (default: as the alert says, else when somebody ends it)
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

/// What to declare.
#[derive(Clone, Debug, Args)]
pub struct DeclareArgs {
    #[command(flatten)]
    shape: ShapeArgs,
    /// What people call the area (default: the names in the alert)
    #[arg(long, default_value = "")]
    name: String,
    /// Free text for colleagues
    #[arg(long, default_value = "")]
    note: String,
    /// Of several declarations with one id only the first counts; not with an alert
    #[arg(long, value_name = "ID", default_value = "")]
    request_id: String,
}

/// Which areas to list.
#[derive(Clone, Debug, Args)]
pub struct ListArgs {
    /// Also those that have ended or expired
    #[arg(long)]
    all: bool,
    /// At most this many
    #[arg(long, default_value_t = 100, value_parser = at_least_one)]
    limit: usize,
}

fn area_id(text: &str) -> Result<String, String> {
    let no = AreaNo::parse(text);
    no.map(|no| no.to_string())
        .ok_or_else(|| "expected the id of an area, such as AREA-7".to_owned())
}

fn position(text: &str) -> Result<(f64, f64), String> {
    let halves = text.split_once(',').and_then(|(latitude, longitude)| {
        Some((
            latitude.trim().parse().ok()?,
            longitude.trim().parse().ok()?,
        ))
    });
    halves.ok_or_else(|| "expected latitude,longitude, such as 41.9028,12.4964".to_owned())
}

/// Runs `forewarn area`.
pub async fn run(args: AreaArgs) -> anyhow::Result<()> {
    let out = Output::new(&args.client);
    match args.action {
        AreaAction::Declare(declare) => {
            let mut input = input(&declare.shape, &out)?;
            (input.name, input.note) = (declare.name, declare.note);
            let request = v1::DeclareAreaRequest {
                area: Some(input),
                request_id: declare.request_id,
            };
            let mut service = connect(&args.client).await?;
            let answer = service.declare_area(request).await;
            declared(
                &out,
                &answer.map_err(|status| explain(&status))?.into_inner(),
            )
        }
        AreaAction::Preview(shape) => {
            let request = v1::PreviewAreaRequest {
                area: Some(input(&shape, &out)?),
            };
            let mut service = connect(&args.client).await?;
            let answer = service.preview_area(request).await;
            let preview = answer.map_err(|status| explain(&status))?.into_inner();
            if out.json {
                out.record(&preview_record(&preview))?;
            } else {
                show_preview(&out, &preview)?;
            }
            warn(&preview)
        }
        AreaAction::List(list_args) => list(connect(&args.client).await?, &out, list_args).await,
        AreaAction::Show { area, document } => {
            let mut service = connect(&args.client).await?;
            let answer = service.get_area(v1::GetAreaRequest { id: area }).await;
            let detail = answer.map_err(|status| explain(&status))?.into_inner();
            show(&out, &detail, document)
        }
        AreaAction::End { area, reason } => {
            let mut service = connect(&args.client).await?;
            let request = v1::EndAreaRequest { id: area, reason };
            let answer = service.end_area(request).await;
            let area = answer.map_err(|status| explain(&status))?.into_inner();
            if out.json {
                return out.record(&record(&area));
            }
            show_area(&out, &area)
        }
    }
}

async fn connect(args: &ClientArgs) -> anyhow::Result<AreaServiceClient<Connection>> {
    Ok(client::areas(&client::connect(args).await?))
}

fn input(shape: &ShapeArgs, out: &Output) -> anyhow::Result<v1::AreaInput> {
    let document = match (&shape.file, shape.at, shape.radius_m) {
        (Some(file), _, _) => read(file)?,
        (None, Some((latitude, longitude)), Some(radius_m)) => Document::Disc(v1::Disc {
            centre: Some(v1::Position {
                latitude,
                longitude,
            }),
            radius_m,
        }),
        _ => return Err(anyhow!("name a file, or a centre by --at and --radius-m")),
    };
    let now = Timestamp::from_millisecond(out.now_ms)?.to_zoned(out.zone.clone());
    let onset = match &shape.onset {
        // A bare time of day could be yesterday's as well as today's.
        Some(text) if !text.contains('-') => {
            return Err(anyhow!(
                "--onset {text}: write the day too, as in 2026-03-10T14:00"
            ));
        }
        Some(text) => Some(eta::instant(text, &now)?),
        None => None,
    };
    let after = onset.as_ref().unwrap_or(&now);
    let expires = shape.expires.as_ref();
    let expires = expires.map(|text| eta::instant(text, after)).transpose()?;
    let millis =
        |at: Option<jiff::Zoned>| -> Millis { at.map_or(0, |at| at.timestamp().as_millisecond()) };
    Ok(v1::AreaInput {
        document: Some(document),
        affects: shape.affects.clone(),
        expires_ms: millis(expires),
        onset_ms: millis(onset),
        ..v1::AreaInput::default()
    })
}

fn read(file: &Path) -> anyhow::Result<Document> {
    let cannot = || format!("cannot read {}", file.display());
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin()
            .read_to_end(&mut bytes)
            .with_context(cannot)?;
        bytes
    } else {
        std::fs::read(file).with_context(cannot)?
    };
    let text = decode_xml(&bytes).map_err(|error| anyhow!("{}: {error}", file.display()))?;
    Ok(if looks_like_xml(&text) {
        Document::Cap(text)
    } else {
        Document::Geojson(text)
    })
}

/// Warnings go to standard error, so that they are seen when the output is piped away.
fn warn(preview: &v1::AreaPreview) -> anyhow::Result<()> {
    let mut stderr = std::io::stderr();
    for warning in &preview.warnings {
        writeln!(stderr, "WARNING: {}", warning.text)?;
    }
    Ok(())
}

fn declared(out: &Output, answer: &v1::DeclareAreaResponse) -> anyhow::Result<()> {
    if out.json {
        out.record(&json!({
            "outcome": answer.outcome,
            "area": answer.area.as_ref().map(record),
            "ended_ids": answer.ended_ids,
            "preview": answer.preview.as_ref().map(preview_record),
        }))?;
    } else {
        out.line(match answer.outcome.as_str() {
            "declared" => "The area is declared.",
            "updated" => "The alert took the place of an area that was declared before.",
            "unchanged" => "This was declared before; nothing changed.",
            "cancelled" if answer.ended_ids.is_empty() => {
                "The alert cancels only alerts that declared nothing here."
            }
            "cancelled" => "The alert ended what it cancels.",
            "withdrawn" => "The alert was cancelled before it came; nothing was declared.",
            other => other,
        })?;
        if !answer.ended_ids.is_empty() {
            out.line(format!("Ended: {}", answer.ended_ids.join(", ")))?;
        }
        if let Some(area) = &answer.area {
            show_area(out, area)?;
        }
        if let Some(preview) = &answer.preview {
            show_preview(out, preview)?;
        }
    }
    answer.preview.as_ref().map_or(Ok(()), warn)
}

async fn list(
    mut service: AreaServiceClient<Connection>,
    out: &Output,
    args: ListArgs,
) -> anyhow::Result<()> {
    let mut request = v1::ListAreasRequest {
        all: args.all,
        ..v1::ListAreasRequest::default()
    };
    let (mut rows, mut left) = (Vec::new(), args.limit);
    while left > 0 {
        request.page_size = u32::try_from(left.min(1_000))?;
        let page = service.list_areas(request.clone()).await;
        let page = page.map_err(|status| explain(&status))?.into_inner();
        left = left.saturating_sub(page.areas.len());
        for area in &page.areas {
            if out.json {
                out.record(&record(area))?;
            } else {
                rows.push(vec![
                    area.id.clone(),
                    area.state.clone(),
                    area.name.clone(),
                    area.affects.clone(),
                    out.when(area.onset_ms),
                    out.when(area.expires_ms),
                    area.declared_by.clone(),
                    area.incident_ids.join(", "),
                ]);
            }
        }
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let goes_on = !request.page_token.is_empty();
    if out.json {
        return if goes_on {
            out.more(args.limit)
        } else {
            Ok(())
        };
    }
    let header = [
        "area",
        "state",
        "name",
        "affects",
        "onset",
        "expires",
        "declared by",
        "incidents",
    ];
    out.table(&header, rows, "No areas.")
}

fn show(out: &Output, detail: &v1::GetAreaResponse, document_only: bool) -> anyhow::Result<()> {
    let document = detail.document.as_ref().map(|document| match document {
        Declared::Geojson(text) | Declared::Cap(text) => text.clone(),
        Declared::Disc(disc) => {
            let centre = disc.centre.unwrap_or_default();
            format!(
                "{},{} {} m",
                centre.latitude, centre.longitude, disc.radius_m
            )
        }
    });
    let document = document.unwrap_or_default();
    if document_only {
        return out.line(document);
    }
    if out.json {
        let mut full = detail.area.as_ref().map_or(Value::Null, record);
        full["document"] = json!(document);
        full["preview"] = detail.preview.as_ref().map_or(Value::Null, preview_record);
        return out.record(&full);
    }
    if let Some(area) = &detail.area {
        show_area(out, area)?;
    }
    let Some(preview) = &detail.preview else {
        return Ok(());
    };
    show_preview(out, preview)?;
    warn(preview)
}

fn show_area(out: &Output, area: &v1::DeclaredArea) -> anyhow::Result<()> {
    let texts = area.texts.iter().map(|text| {
        let said = if text.headline.is_empty() {
            &text.event
        } else {
            &text.headline
        };
        format!("{said} ({})", text.language)
    });
    out.facts(&[
        ("area", area.id.clone()),
        ("state", area.state.clone()),
        ("name", area.name.clone()),
        ("alert", texts.collect::<Vec<_>>().join("\n")),
        ("affects", area.affects.clone()),
        ("onset", out.when(area.onset_ms)),
        ("expires", out.when(area.expires_ms)),
        (
            "declared",
            format!("{} by {}", out.when(area.declared_ms), area.declared_by),
        ),
        ("note", area.note.clone()),
        ("ended", out.when(area.ended_ms)),
        ("ended by", area.ended_by.clone()),
        ("because", area.end_reason.clone()),
        ("incidents", area.incident_ids.join(", ")),
    ])
}

/// Failures that the table shows.
const SHOWN_FAILURES: usize = 20;

fn show_preview(out: &Output, preview: &v1::AreaPreview) -> anyhow::Result<()> {
    out.facts(&[
        ("subscribers inside", grouped(preview.subscribers)),
        ("premises inside", grouped(preview.premises)),
        ("elements inside", grouped(preview.elements)),
        ("without service now", grouped(preview.subscribers_lost_now)),
        (
            "without service at last",
            grouped(preview.subscribers_lost_at_last),
        ),
    ])?;
    if preview.power_failures_total == 0 {
        return Ok(());
    }
    let shown = preview.power_failures.iter().take(SHOWN_FAILURES);
    let rows: Vec<Vec<String>> = shown
        .map(|failure| {
            vec![
                failure.element_id.clone(),
                failure.kind.clone(),
                format!("{} min", failure.battery_minutes),
                out.when(failure.fails_ms),
            ]
        })
        .collect();
    let total = preview.power_failures_total;
    out.line(format!(
        "\nElements that lose power: {}, the first {}",
        grouped(total),
        rows.len()
    ))?;
    out.table(&["element", "kind", "battery", "fails"], rows, "")
}

fn record(area: &v1::DeclaredArea) -> Value {
    let texts = area.texts.iter().map(
        |text| json!({"language": text.language, "event": text.event, "headline": text.headline}),
    );
    json!({
        "id": area.id,
        "revision": area.revision,
        "state": area.state,
        "name": area.name,
        "affects": area.affects,
        "format": area.format,
        "onset_ms": instant(area.onset_ms),
        "expires_ms": instant(area.expires_ms),
        "note": area.note,
        "texts": texts.collect::<Value>(),
        "declared_ms": instant(area.declared_ms),
        "declared_by": area.declared_by,
        "changed_ms": instant(area.changed_ms),
        "ended_ms": instant(area.ended_ms),
        "ended_by": area.ended_by,
        "end_reason": area.end_reason,
        "incident_ids": area.incident_ids,
    })
}

fn preview_record(preview: &v1::AreaPreview) -> Value {
    let failures = preview.power_failures.iter().map(|failure| {
        json!({
            "element_id": failure.element_id,
            "kind": failure.kind,
            "battery_minutes": failure.battery_minutes,
            "fails_ms": failure.fails_ms,
        })
    });
    let warnings = preview.warnings.iter();
    let warnings = warnings.map(|warning| json!({"code": warning.code, "text": warning.text}));
    json!({
        "subscribers": preview.subscribers,
        "premises": preview.premises,
        "elements": preview.elements,
        "subscribers_lost_now": preview.subscribers_lost_now,
        "subscribers_lost_at_last": preview.subscribers_lost_at_last,
        "power_failures_total": preview.power_failures_total,
        "power_failures": failures.collect::<Value>(),
        "warnings": warnings.collect::<Value>(),
        "topology_version": preview.topology_version,
        "subscribers_version": preview.subscribers_version,
    })
}
