//! Finds and reads the config file, lays defaults, file and environment over each other, and checks the result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use toml::{Table, Value};

use super::check::{self, Check};
use super::document::{self, Document};
use super::model::Config;
use super::problem::{Origins, Place, Problem, Problems};
use super::registry::Registry;
use super::settings::Settings;
use super::{overlay, schema, shape};

/// The defaults and the manual of every key.
pub(crate) const DEFAULTS: &str = include_str!("../../../../config/default.toml");

/// The variable that names the config file.
const FILE_VARIABLE: &str = "AFTERSIGN_CONFIG";

/// The config file when none is named.
const FILE_DEFAULT: &str = "aftersign.toml";

/// The environment variables, read once.
#[derive(Clone, Default)]
pub(crate) struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process. Variables that are not Unicode are left out.
    pub(crate) fn of_process() -> Self {
        let readable = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self(readable.collect())
    }

    /// The variable `name`.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(variables: [(&str, &str); N]) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Which file is meant: `named`, else the one in `AFTERSIGN_CONFIG`, else `aftersign.toml`.
pub(crate) fn file(named: Option<&Path>, environment: &Environment) -> PathBuf {
    let from_environment =
        || environment.get(FILE_VARIABLE).filter(|path| !path.is_empty()).map(PathBuf::from);
    named.map(Path::to_path_buf).or_else(from_environment).unwrap_or_else(|| FILE_DEFAULT.into())
}

/// The effective configuration as written, well-shaped and not yet resolved.
pub(crate) struct Written {
    /// Its values.
    pub(crate) config: Config,
    file: PathBuf,
    origins: Origins,
}

/// Reads the file, lays it over the defaults and the environment over both, and checks the shape.
pub(crate) fn read(file: &Path, environment: &Environment) -> Result<Written, Problems> {
    let bytes = std::fs::read(file).map_err(|error| Problems(vec![missing(file, &error)]))?;
    let text = String::from_utf8(bytes).map_err(|_| {
        let next = "save the file as UTF-8".into();
        whole(file, "this file is not UTF-8".into(), next)
    })?;
    let Document { table, mut origins } = document::parse(file, &text).map_err(|one| Problems(vec![one]))?;
    let schema = json_schema();
    let mut merged = defaults();
    overlay::merge(&mut merged, table);
    let mut problems = overlay::apply(&mut merged, &mut origins, &schema, environment.iter());
    let merged = Value::Table(merged);
    problems.extend(shape::check(&schema, &merged, &origins));
    if !problems.is_empty() {
        return Err(sorted(problems));
    }
    let config = serde_path_to_error::deserialize(merged).map_err(|error| {
        // The shape was checked above, so this is a mistake that the schema cannot say. Serde's own text could
        // quote a secret.
        let key = error.path().to_string().trim_start_matches('.').to_owned();
        let message = "this value cannot be read".into();
        let next = "see this key in config/default.toml".into();
        Problems(vec![Problem { place: origins.of(&key), key, message, next }])
    })?;
    Ok(Written { config, file: file.into(), origins })
}

/// Reads and resolves the config file `named`, or the one that is meant when none is named, in this process's
/// environment and with the platforms that are compiled in.
pub(crate) fn load(named: Option<&Path>) -> Result<Settings, Problems> {
    let environment = Environment::of_process();
    read(&file(named, &environment), &environment)?.resolve(&environment, &Registry::COMPILED_IN)
}

impl Written {
    /// Checks what it means and resolves it. Reads the files and variables that hold secrets.
    pub(crate) fn resolve(
        &self,
        environment: &Environment,
        registry: &Registry,
    ) -> Result<Settings, Problems> {
        let absolute = self.absolute();
        let mut check = self.check(&absolute, environment, registry);
        let settings = check::resolve(&mut check, &self.config, &absolute);
        settings.ok_or_else(|| sorted(check.problems))
    }

    /// The database file alone. Commands that only look into the store need no secret of any account.
    pub(crate) fn store_path(
        &self,
        environment: &Environment,
        registry: &Registry,
    ) -> Result<PathBuf, Problems> {
        let absolute = self.absolute();
        let mut check = self.check(&absolute, environment, registry);
        let path = check::store(&mut check, &self.config.store.url);
        path.ok_or_else(|| sorted(check.problems))
    }

    fn absolute(&self) -> PathBuf {
        std::path::absolute(&self.file).unwrap_or_else(|_| self.file.clone())
    }

    fn check<'a>(
        &'a self,
        absolute: &'a Path,
        environment: &'a Environment,
        registry: &'a Registry,
    ) -> Check<'a> {
        let folder = absolute.parent().unwrap_or(Path::new("/"));
        Check { origins: &self.origins, environment, folder, registry, problems: Vec::new() }
    }
}

/// The compiled-in defaults.
pub(super) fn defaults() -> Table {
    toml::from_str(DEFAULTS).expect("config/default.toml is TOML: a test parses it")
}

/// The JSON Schema of the config file.
pub(crate) fn json_schema() -> Json {
    schema::schema(&defaults())
}

fn missing(file: &Path, error: &std::io::Error) -> Problem {
    let message = match error.kind() {
        std::io::ErrorKind::NotFound => "there is no config file here".into(),
        _ => format!("the config file cannot be read: {error}"),
    };
    let next = format!("name it with --config or {FILE_VARIABLE}, or write one with `aftersign init`");
    Problem { place: Place::Whole(file.into()), key: String::new(), message, next }
}

fn whole(file: &Path, message: String, next: String) -> Problems {
    Problems(vec![Problem { place: Place::Whole(file.into()), key: String::new(), message, next }])
}

/// In the order of the file; what stands elsewhere comes first.
fn sorted(mut problems: Vec<Problem>) -> Problems {
    problems.sort_by_key(|problem| match problem.place {
        Place::File { line, column, .. } => (line, column),
        Place::Environment(_) | Place::Whole(_) => (0, 0),
    });
    Problems(problems)
}
