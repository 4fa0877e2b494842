//! Templates of messages: where they come from, which language is used, and their version.
//!
//! One source per language and stage is rendered twice, as text and as HTML, so that the two parts
//! cannot say different things. Undefined names are errors; the HTML part is escaped.

use super::Stage;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Failure to read or to render a template.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    #[error("template `{name}` cannot be used: {reason}")]
    Template { name: String, reason: String },
    #[error("words of language `{language}` cannot be read: {reason}")]
    Words { language: String, reason: String },
    #[error("there are no templates for the default language `{0}`")]
    NoDefault(String),
}

/// Words that all messages of a language share.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Words {
    pub(crate) direction: String,
    pub(crate) greeting: String,
    pub(crate) greeting_nameless: String,
    pub(crate) advice_title: String,
    pub(crate) look: String,
    pub(crate) call: String,
    pub(crate) sign_off: String,
    pub(crate) why: String,
    pub(crate) account: String,
    pub(crate) reference: String,
    pub(crate) unsubscribe: String,
    pub(crate) unsubscribe_link: String,
    pub(crate) facts: FactWords,
    /// By name of the cause kind.
    pub(crate) cause: BTreeMap<String, String>,
    pub(crate) cause_short: BTreeMap<String, String>,
    /// What is said instead of [`Self::cause`] while nobody has confirmed the cause.
    pub(crate) cause_likely: BTreeMap<String, String>,
    pub(crate) estimate: EstimateWords,
    pub(crate) time: TimeWords,
    /// By stage, with a suffix for the variant.
    pub(crate) advice: AdviceWords,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FactWords {
    pub(crate) address: String,
    pub(crate) since: String,
    pub(crate) cause: String,
    pub(crate) estimate: String,
    /// When like faults end.
    pub(crate) usual: String,
    /// The short cause while nobody has confirmed it.
    pub(crate) likely: String,
    pub(crate) lasted: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EstimateWords {
    pub(crate) range_same_day: String,
    pub(crate) range: String,
    pub(crate) around: String,
    pub(crate) until: String,
    pub(crate) sentence: String,
    pub(crate) none: String,
    /// In place of `none` when it is told when like faults end.
    pub(crate) usual: String,
    pub(crate) late: String,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeWords {
    pub(crate) at: String,
    pub(crate) span: String,
    /// When both ends of the span are the same.
    pub(crate) moment: String,
    pub(crate) today: String,
    pub(crate) tomorrow: String,
    pub(crate) yesterday: String,
    pub(crate) day: String,
    pub(crate) clock: ClockFace,
    pub(crate) weekdays: [String; 7],
    pub(crate) months: [String; 12],
}

/// How the hours of a day are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(crate) enum ClockFace {
    #[serde(rename = "24")]
    TwentyFour,
    #[serde(rename = "12")]
    Twelve,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdviceWords {
    pub(crate) first: Vec<String>,
    pub(crate) first_vulnerable: Vec<String>,
    pub(crate) first_business: Vec<String>,
    pub(crate) update: Vec<String>,
    pub(crate) estimate: Vec<String>,
    pub(crate) restored: Vec<String>,
    pub(crate) restored_business: Vec<String>,
    pub(crate) retraction: Vec<String>,
    /// In place of `first` and `update` when the cause is a power cut.
    pub(crate) power: Vec<String>,
}

/// The sources of one language.
#[derive(Clone, Copy, Debug)]
pub struct LanguageSource {
    /// BCP 47, lower case.
    pub language: &'static str,
    pub words: &'static str,
    /// In the order of [`Stage::ALL`].
    pub stages: [&'static str; 5],
}

macro_rules! language {
    ($tag:literal) => {
        LanguageSource {
            language: $tag,
            words: include_str!(concat!("../../templates/", $tag, "/words.toml")),
            stages: [
                include_str!(concat!("../../templates/", $tag, "/first.jinja")),
                include_str!(concat!("../../templates/", $tag, "/update.jinja")),
                include_str!(concat!("../../templates/", $tag, "/estimate.jinja")),
                include_str!(concat!("../../templates/", $tag, "/restored.jinja")),
                include_str!(concat!("../../templates/", $tag, "/retraction.jinja")),
            ],
        }
    };
}

/// The languages that are built in.
pub const LANGUAGES: [LanguageSource; 2] = [language!("en"), language!("it")];

/// Used when nothing else fits.
const LAST_RESORT: &str = "en";

const LAYOUT_TEXT: &str = include_str!("../../templates/layout.txt");
const LAYOUT_HTML: &str = include_str!("../../templates/layout.html");

/// Everything that messages are made from.
#[derive(Debug)]
pub struct Templates {
    environment: Environment<'static>,
    languages: BTreeMap<&'static str, Words>,
    versions: BTreeMap<(&'static str, Stage), String>,
    default_language: String,
}

impl Templates {
    /// The built-in templates; `default_language` is used for people whose language there is none
    /// for.
    pub fn built_in(default_language: &str) -> Result<Self, TemplateError> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|name| match name.rsplit_once('.') {
            Some((_, "html")) => AutoEscape::Html,
            _ => AutoEscape::None,
        });
        let mut templates = Self {
            environment,
            languages: BTreeMap::new(),
            versions: BTreeMap::new(),
            default_language: default_language.to_lowercase(),
        };
        templates.add("layout.txt".to_owned(), LAYOUT_TEXT)?;
        templates.add("layout.html".to_owned(), LAYOUT_HTML)?;
        for source in LANGUAGES {
            templates.add_language(&source)?;
        }
        if !templates
            .languages
            .contains_key(&*templates.default_language)
        {
            return Err(TemplateError::NoDefault(default_language.to_owned()));
        }
        Ok(templates)
    }

    fn add(&mut self, name: String, source: &'static str) -> Result<(), TemplateError> {
        self.environment
            .add_template_owned(name.clone(), source)
            .map_err(|error| TemplateError::Template {
                name,
                reason: error.to_string(),
            })
    }

    fn add_language(&mut self, source: &LanguageSource) -> Result<(), TemplateError> {
        let words = toml::from_str(source.words).map_err(|error| TemplateError::Words {
            language: source.language.to_owned(),
            reason: error.to_string(),
        })?;
        self.languages.insert(source.language, words);
        for (stage, text) in Stage::ALL.into_iter().zip(source.stages) {
            for kind in ["txt", "html"] {
                let name = format!("{}/{}.{kind}", source.language, stage.as_str());
                self.add(name, text)?;
            }
            let version = content_hash(&[LAYOUT_TEXT, LAYOUT_HTML, source.words, text]);
            self.versions.insert((source.language, stage), version);
        }
        Ok(())
    }

    /// The language that is used for a requested one: itself, its base, the default, English.
    pub fn language_for(&self, requested: &str) -> &'static str {
        let requested = requested.to_lowercase().replace('_', "-");
        let mut tag = requested.as_str();
        loop {
            if let Some((found, _)) = self.languages.get_key_value(tag) {
                return found;
            }
            match tag.rfind('-') {
                Some(end) => tag = &tag[..end],
                None => break,
            }
        }
        self.languages
            .get_key_value(&*self.default_language)
            .map_or(LAST_RESORT, |(found, _)| found)
    }

    pub(crate) fn words(&self, language: &str) -> Option<&Words> {
        self.languages.get(language)
    }

    /// Version of what a message of this language and stage is made from.
    pub fn version(&self, language: &'static str, stage: Stage) -> &str {
        self.versions
            .get(&(language, stage))
            .map_or("", String::as_str)
    }

    pub(crate) fn render<T: Serialize>(
        &self,
        name: &str,
        context: &T,
    ) -> Result<String, TemplateError> {
        self.environment
            .get_template(name)
            .and_then(|template| template.render(minijinja::value::Serde(context)))
            .map_err(|error| TemplateError::Template {
                name: name.to_owned(),
                reason: error.to_string(),
            })
    }
}

/// First 16 hexadecimal digits of the SHA-256 of the parts.
fn content_hash(parts: &[&str]) -> String {
    use std::fmt::Write as _;
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    let mut text = String::with_capacity(16);
    for byte in &hash.finalize()[..8] {
        // Writing to a String cannot fail.
        let _written = write!(text, "{byte:02x}");
    }
    text
}
