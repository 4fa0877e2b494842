//! `AreaService`: areas in which something has happened.

mod input;
mod message;

use super::auth::{Caller, Role, require};
use super::status;
use crate::clock::{Clock, Millis};
use crate::geography::{AlertChain, AreaDeclaration, AreaImpact, AreaNo, Batteries, ReadArea};
use crate::incident::DeclarationId;
use crate::pipeline::live::{Live, LiveReceiver};
use crate::proto::v1;
use crate::proto::v1::area_service_server::AreaService;
use crate::store::{AreaTaken, Declarant, Store, StoreError};
use input::Given;
use std::sync::Arc;
use tokio::sync::Notify;
use tonic::{Request, Response, Status};

const DECLARERS: [Role; 2] = [Role::Operator, Role::Ingest];
const READERS: [Role; 3] = [Role::Operator, Role::Ingest, Role::Care];
const DEFAULT_PAGE: u32 = 100;
const LARGEST_PAGE: u32 = 1_000;
const LONGEST_REASON_BYTES: usize = 1_024;

/// What the service needs.
#[derive(Clone, Debug)]
pub struct AreaApi {
    pub store: Store,
    /// Shows the network with its map.
    pub live: LiveReceiver,
    pub batteries: Arc<Batteries>,
    /// Tells the correlator that something was declared.
    pub declared: Arc<Notify>,
    pub clock: Clock,
}

#[tonic::async_trait]
impl AreaService for AreaApi {
    async fn declare_area(
        &self,
        request: Request<v1::DeclareAreaRequest>,
    ) -> Result<Response<v1::DeclareAreaResponse>, Status> {
        let caller = require(&request, &DECLARERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let caller_name = caller.name.clone();
        let given = off_the_runtime(move || input::declaration(request, &caller_name, now_ms));
        let given = given.await??;
        let Given {
            declaration,
            alert,
            area,
        } = given;
        let preview = match (&declaration, area) {
            (Some(declaration), Some(area)) => Some(self.preview(declaration, area, now_ms).await?),
            _ => None,
        };
        let by = Declarant {
            name: &caller.name,
            now_ms,
        };
        let taken = self
            .store
            .declare_area(declaration.as_ref(), alert.as_ref(), by)
            .await
            .map_err(|error| failed(&error))?;
        self.declared.notify_one();
        log(&caller, &taken, alert.as_ref(), preview.as_ref());
        Ok(Response::new(message::taken(&taken, preview, now_ms)))
    }

    async fn preview_area(
        &self,
        request: Request<v1::PreviewAreaRequest>,
    ) -> Result<Response<v1::AreaPreview>, Status> {
        require(&request, &DECLARERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let area = request.into_inner().area;
        let read = off_the_runtime(move || input::to_preview(area, now_ms)).await??;
        Ok(Response::new(self.preview(&read.0, read.1, now_ms).await?))
    }

    async fn list_areas(
        &self,
        request: Request<v1::ListAreasRequest>,
    ) -> Result<Response<v1::ListAreasResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let before = match request.page_token.as_str() {
            "" => None,
            token => Some(area_no("page_token", token)?),
        };
        let page_size = match request.page_size {
            0 => DEFAULT_PAGE,
            size if size > LARGEST_PAGE => {
                return Err(refused("page_size", size.to_string(), "at most 1,000"));
            }
            size => size,
        };
        let open_at_ms = (!request.all).then_some(now_ms);
        let areas = self
            .store
            .list_areas(open_at_ms, before, i64::from(page_size))
            .await
            .map_err(|error| failed(&error))?;
        let more = areas.len() == page_size as usize;
        let last = areas.last().filter(|_| more);
        let next_page_token = last.map(|event| event.no.to_string()).unwrap_or_default();
        let mut listed: Vec<_> = areas
            .iter()
            .map(|event| message::event(event, now_ms))
            .collect();
        self.name_incidents(&mut listed).await?;
        Ok(Response::new(v1::ListAreasResponse {
            next_page_token,
            areas: listed,
        }))
    }

    async fn get_area(
        &self,
        request: Request<v1::GetAreaRequest>,
    ) -> Result<Response<v1::GetAreaResponse>, Status> {
        require(&request, &READERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let no = area_no("id", &request.get_ref().id)?;
        let found = self.store.area(no).await.map_err(|error| failed(&error))?;
        let event = found.ok_or_else(|| not_found(no))?;
        let document = event.declaration.document.clone();
        let read = off_the_runtime(move || document.read()).await?;
        let area = read.map_err(|errors| input::refuse(&errors))?;
        let preview = self.preview(&event.declaration, area, now_ms).await?;
        let mut shown = [message::event(&event, now_ms)];
        self.name_incidents(&mut shown).await?;
        let [shown] = shown;
        Ok(Response::new(v1::GetAreaResponse {
            area: Some(shown),
            document: Some(message::document(event.declaration.document)),
            preview: Some(preview),
        }))
    }

    async fn end_area(
        &self,
        request: Request<v1::EndAreaRequest>,
    ) -> Result<Response<v1::DeclaredArea>, Status> {
        let caller = require(&request, &DECLARERS).map_err(|status| *status)?;
        let now_ms = self.clock.now_ms();
        let request = request.into_inner();
        let no = area_no("id", &request.id)?;
        if request.reason.len() > LONGEST_REASON_BYTES {
            return Err(refused("reason", "", "at most 1,024 bytes"));
        }
        let by = Declarant {
            name: &caller.name,
            now_ms,
        };
        let ended = self.store.end_area(no, &request.reason, by).await;
        let ended = ended.map_err(|error| failed(&error))?;
        let (event, changed) = ended.ok_or_else(|| not_found(no))?;
        if changed {
            self.declared.notify_one();
            tracing::info!(caller = caller.name, area = %no, "an area was ended");
        }
        Ok(Response::new(message::event(&event, now_ms)))
    }
}

impl AreaApi {
    /// Fills in which incidents stand for areas.
    async fn name_incidents(&self, areas: &mut [v1::DeclaredArea]) -> Result<(), Status> {
        let ids: Vec<DeclarationId> = areas
            .iter()
            .filter_map(|area| DeclarationId::parse(&area.id))
            .collect();
        let incidents = self.store.declared_incidents(&ids).await;
        let incidents = incidents.map_err(|error| failed(&error))?;
        for area in areas {
            let of_it = incidents.get(&area.id).into_iter().flatten();
            area.incident_ids = of_it.map(ToString::to_string).collect();
        }
        Ok(())
    }

    /// What the area holds and does on the network of this moment.
    async fn preview(
        &self,
        declaration: &AreaDeclaration,
        read: ReadArea,
        now_ms: Millis,
    ) -> Result<v1::AreaPreview, Status> {
        let live: Arc<Live> = Arc::clone(&self.live.borrow());
        let batteries = Arc::clone(&self.batteries);
        let (affects, onset_ms) = (declaration.affects, declaration.onset_ms);
        off_the_runtime(move || {
            let ground = (live.network.as_ref(), live.map.as_ref());
            let mut impact = AreaImpact::of(&read.area, affects, onset_ms, ground, &batteries);
            impact.inside.warnings.splice(0..0, read.warnings);
            message::preview(&impact, &live, now_ms)
        })
        .await
    }
}

/// An area with many edges takes long to read: not where other calls wait.
async fn off_the_runtime<T: Send + 'static>(
    compute: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Status> {
    tokio::task::spawn_blocking(compute)
        .await
        .map_err(|_| Status::internal("the area could not be worked out"))
}

fn log(
    caller: &Caller,
    taken: &AreaTaken,
    alert: Option<&AlertChain>,
    preview: Option<&v1::AreaPreview>,
) {
    let identifier = alert.map(|alert| alert.identity.identifier.as_str());
    match taken {
        AreaTaken::Declared(event) | AreaTaken::Updated(event, _) => {
            let inside = preview.map_or(0, |preview| preview.subscribers);
            tracing::info!(
                caller = caller.name, area = %event.no, revision = event.revision, identifier,
                affects = event.declaration.affects.as_str(), inside, "an area was declared"
            );
            for warning in preview.iter().flat_map(|preview| &preview.warnings) {
                tracing::warn!(area = %event.no, code = warning.code, "{}", warning.text);
            }
        }
        AreaTaken::Cancelled(ended) => {
            tracing::info!(
                caller = caller.name,
                identifier,
                ended = ended.len(),
                "areas were cancelled by an alert"
            );
        }
        AreaTaken::Unchanged(_) | AreaTaken::Withdrawn => {}
    }
}

fn area_no(field: &str, id: &str) -> Result<AreaNo, Status> {
    AreaNo::parse(id).ok_or_else(|| refused(field, id, "the id of an area, such as AREA-7"))
}

fn not_found(no: AreaNo) -> Status {
    Status::not_found(format!("there is no area {no}"))
}

fn refused(field: &str, value: impl AsRef<str>, expected: &str) -> Status {
    status::invalid(&[status::violation(field, value, expected)])
}

fn failed(error: &StoreError) -> Status {
    status::store(error)
}
