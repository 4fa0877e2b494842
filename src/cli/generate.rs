//! `forewarn generate`: writes a synthetic network with its subscribers as import files.

use crate::generate::{
    GenerateSettings, Generated, embedded_backbone, embedded_municipalities, generate,
};
use crate::{subscriber, topology};
use anyhow::Context;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Write a synthetic access network and its subscribers as import files.
///
/// The same options give the same files, byte for byte.
#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// How many subscribers, exactly
    #[arg(long, default_value_t = 2000)]
    pub subscribers: u32,
    /// Another seed gives another network of the same kind
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Backbone map in GraphML, as the Internet Topology Zoo writes it [default: GARR, January 2012]
    #[arg(long, value_name = "FILE")]
    pub backbone: Option<PathBuf>,
    /// Municipality boundaries in `GeoJSON`, each with a property "name" [default: those of Lazio]
    #[arg(long, value_name = "FILE")]
    pub municipalities: Option<PathBuf>,
    /// Folder for the files "topology" and "subscribers"; made if it is not there
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Format of the files
    #[arg(long, value_enum, default_value_t = OutputFormat::Jsonl)]
    pub format: OutputFormat,
}

/// Format of the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum OutputFormat {
    /// JSON Lines
    Jsonl,
    /// CSV with a header line
    Csv,
}

/// Generates and writes.
pub fn run(args: &GenerateArgs) -> anyhow::Result<()> {
    let generated = generate(&settings(args)?)?;
    std::fs::create_dir_all(&args.out)
        .with_context(|| format!("making the folder {}", args.out.display()))?;
    let extension = match args.format {
        OutputFormat::Jsonl => "jsonl",
        OutputFormat::Csv => "csv",
    };
    let topology = args.out.join("topology").with_extension(extension);
    let subscribers = args.out.join("subscribers").with_extension(extension);
    write_file(&topology, |file| match args.format {
        OutputFormat::Jsonl => topology::write_jsonl(&generated.definition, file),
        OutputFormat::Csv => topology::write_csv(&generated.definition, file),
    })?;
    write_file(&subscribers, |file| match args.format {
        OutputFormat::Jsonl => subscriber::write_jsonl(&generated.subscribers, file),
        OutputFormat::Csv => subscriber::write_csv(&generated.subscribers, file),
    })?;
    report(&generated, &topology, &subscribers).context("writing to standard output")
}

fn settings(args: &GenerateArgs) -> anyhow::Result<GenerateSettings> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
    };
    let backbone = args.backbone.as_ref().map(read).transpose()?;
    let municipalities = args.municipalities.as_ref().map(read).transpose()?;
    let name = args
        .backbone
        .as_ref()
        .map(|path| path.display().to_string());
    let backbone = match (&name, &backbone) {
        (Some(name), Some(text)) => (name.as_str(), text.as_str()),
        _ => embedded_backbone(),
    };
    let municipalities = municipalities
        .as_deref()
        .unwrap_or(embedded_municipalities());
    let settings =
        GenerateSettings::from_maps(args.subscribers, args.seed, backbone, municipalities)?;
    Ok(settings)
}

fn write_file(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<File>) -> std::io::Result<()>,
) -> anyhow::Result<()> {
    let to_file = || {
        let mut file = BufWriter::new(File::create(path)?);
        write(&mut file)?;
        file.flush()
    };
    to_file().with_context(|| format!("writing {}", path.display()))
}

fn report(generated: &Generated, topology: &Path, subscribers: &Path) -> std::io::Result<()> {
    let network = &generated.definition;
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "{}: {} sites, {} elements, {} links, {} shared-risk groups, {} rings",
        topology.display(),
        network.sites.len(),
        network.elements.len(),
        network.links.len(),
        network.groups.len(),
        generated.rings.len()
    )?;
    writeln!(
        out,
        "{}: {} subscribers",
        subscribers.display(),
        generated.subscribers.len()
    )
}
