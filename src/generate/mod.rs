//! Deterministic synthetic access networks on real backbones.
//!
//! The same settings give the same network and the same people, whatever the machine. From the
//! gateways outwards: the nodes and links of a real map; rings of switches between two of its
//! nodes; OLTs on the switches, every second one dual-homed; PON ports; two splitter stages; an ONT
//! per subscriber. Premises lie inside real municipality boundaries, those of a PON near one
//! another.

mod access;
mod people;
mod transport;

use crate::geography::{GeoJsonError, NamedArea, read_areas};
use crate::subscriber::Subscriber;
use crate::topology::{GatewayRule, NetworkDefinition, ReadError, read_graphml};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The map of the Italian research network of January 2012.
const BACKBONE: &str = include_str!("../../fixtures/topology-zoo/Garr201201.graphml");
/// The municipalities of Lazio.
const MUNICIPALITIES: &str = include_str!("../../fixtures/lazio-municipalities.geojson");

/// Most subscribers of one network: what a readable account number holds.
pub const MOST_SUBSCRIBERS: u32 = 20_000_000;

/// Gateways in each connected part of a map that shows no external nodes.
const GATEWAYS_PER_PART: usize = 2;

/// What to generate.
#[derive(Debug)]
pub struct GenerateSettings {
    /// How many, exactly; at most [`MOST_SUBSCRIBERS`].
    pub subscribers: u32,
    /// Another seed gives another network of the same kind.
    pub seed: u64,
    /// Routers with sites and positions, some of them gateways.
    pub backbone: NetworkDefinition,
    /// Where people live; a property `prov_acr`, where there is one, becomes part of ids.
    pub municipalities: Vec<NamedArea>,
}

/// A synthetic network with its people.
#[derive(Debug)]
pub struct Generated {
    pub definition: NetworkDefinition,
    /// In the order of their accounts, `A0000001` first.
    pub subscribers: Vec<Subscriber>,
    /// For whoever wants to break one at both ends.
    pub rings: Vec<Ring>,
}

/// A chain of aggregation switches that ends at two nodes of the backbone and so closes a ring.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ring {
    /// Ids of the switches; the first and the last one have the uplinks.
    pub switches: Vec<String>,
    /// Ids of the two backbone nodes, in the order of the ends.
    pub pops: [String; 2],
}

/// Why no network could be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateError {
    /// The backbone map is wrong.
    #[error(transparent)]
    Backbone(#[from] ReadError),
    /// The municipalities are wrong.
    #[error("municipalities: {0}")]
    Municipalities(#[from] GeoJsonError),
    /// More than account numbers can hold.
    #[error("subscribers: {0} is not a number of at most {MOST_SUBSCRIBERS}")]
    TooMany(u32),
    /// Rings need two ends.
    #[error(
        "backbone: expected at least two nodes with coordinates that gateways reach and that are \
         no gateways, found {0}"
    )]
    TooFewPops(usize),
    /// Nobody can live anywhere.
    #[error("municipalities: expected at least one with an area")]
    NoMunicipality,
    /// An area without room.
    #[error("municipalities: no point found inside {0}")]
    NoRoom(String),
}

impl GenerateSettings {
    /// Settings for a map in GraphML and municipalities in `GeoJSON`. External nodes of the map are
    /// the gateways; where it shows none, the two most connected nodes of each part.
    pub fn from_maps(
        subscribers: u32,
        seed: u64,
        backbone: (&str, &str),
        municipalities: &str,
    ) -> Result<Self, GenerateError> {
        let (file, graphml) = backbone;
        let external = read_graphml(graphml, file, Some(&GatewayRule::External));
        let backbone = match external {
            Err(ReadError::Gateways { .. }) => {
                let rule = GatewayRule::MostConnected(GATEWAYS_PER_PART);
                read_graphml(graphml, file, Some(&rule))?
            }
            other => other?,
        };
        Ok(Self {
            subscribers,
            seed,
            backbone,
            municipalities: read_areas(municipalities)?,
        })
    }

    /// Settings for the maps that the program carries: GARR of January 2012 and Lazio.
    pub fn embedded(subscribers: u32, seed: u64) -> Result<Self, GenerateError> {
        let backbone = ("Garr201201.graphml", BACKBONE);
        Self::from_maps(subscribers, seed, backbone, MUNICIPALITIES)
    }
}

/// The map that the program carries, by name and GraphML text.
pub fn embedded_backbone() -> (&'static str, &'static str) {
    ("Garr201201.graphml", BACKBONE)
}

/// The municipalities that the program carries, as `GeoJSON`.
pub fn embedded_municipalities() -> &'static str {
    MUNICIPALITIES
}

/// Generates a network with its people.
pub fn generate(settings: &GenerateSettings) -> Result<Generated, GenerateError> {
    if settings.subscribers > MOST_SUBSCRIBERS {
        return Err(GenerateError::TooMany(settings.subscribers));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
    let mut transport = transport::Transport::new(settings)?;
    let mut access = access::Access::new(settings.subscribers);
    let mut rings = Vec::new();
    while access.remaining() > 0 {
        let placed = transport.add_ring(access.remaining(), &mut rng)?;
        for place in &placed.olts {
            // The last ring may have OLTs that wait for their first subscriber.
            access::connect_olt(place, &mut transport.definition);
            if access.remaining() > 0 {
                access.add_olt(place, &mut transport.definition, &mut rng);
            }
        }
        rings.push(placed.ring);
    }
    Ok(Generated {
        definition: transport.definition,
        subscribers: access.into_subscribers(),
        rings,
    })
}
