//! The words of mails as templates: ours are compiled in, and an operator's own ones win where they work.
//!
//! An operator's template is checked when it is loaded. One that breaks off later all the same, on a task that the check did
//! not think of, is replaced by ours for that mail: a mail must not get lost by its looks.

use std::io;
use std::path::Path;

use aftersign_core::{Error, ErrorKind, Remedy};
use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value};

use super::limits::{
    BODY_BYTES_MAX, SUBJECT_CHARS_MAX, TEMPLATE_BYTES_MAX, TEMPLATE_FUEL, TEMPLATE_RECURSION_MAX,
};
use super::sample;
use super::smtp_url::misconfigured;
use super::words::{MailWords, grouped, one_line};

const SUBJECT: &str = "digest.subject.txt";
const TEXT: &str = "digest.txt";
const HTML: &str = "digest.html";

const DEFAULTS: [(&str, &str); 3] = [
    (SUBJECT, include_str!("../../templates/mail/digest.subject.txt")),
    (TEXT, include_str!("../../templates/mail/digest.txt")),
    (HTML, include_str!("../../templates/mail/digest.html")),
];

/// A mail in words.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Rendered {
    /// One line of at most 160 characters.
    pub(super) subject: String,
    /// The body for everybody.
    pub(super) text: String,
    /// The same as a page.
    pub(super) html: String,
}

/// The templates of mails.
pub struct Templates {
    built_in: Environment<'static>,
    own: Option<Environment<'static>>,
}

impl Templates {
    /// The templates compiled in and, if a folder is given, those in it that have the same names; the names that are not in
    /// the folder stay as they are.
    ///
    /// # Errors
    /// [`aftersign_core::ErrorKind::Misconfigured`] where the folder or a file in it cannot be read, or where a template does
    /// not parse, asks for what there is not, or does not come to an end; names file, line and cause.
    pub fn load(folder: Option<&Path>) -> Result<Self, Error> {
        let mut templates = Self { built_in: environment()?, own: None };
        for (name, source) in DEFAULTS {
            templates.built_in.add_template(name, source).map_err(|error| broken(name, &error))?;
        }
        if let Some(folder) = folder {
            templates.own = Some(own(folder)?);
        }
        let shown =
            |name: &str| folder.map_or_else(|| name.into(), |folder| folder.join(name).display().to_string());
        for mail in sample::all() {
            let words = sample::words(&mail);
            render(templates.current(), &words.context())
                .map_err(|(name, error)| broken(&shown(name), &error))?;
        }
        Ok(templates)
    }

    /// The templates compiled in, by file name, for whoever wants to begin with them.
    pub fn default_files() -> [(&'static str, &'static str); 3] {
        DEFAULTS
    }

    /// A mail in words. A template of the operator's that breaks off is replaced by ours, with a warning in the log.
    ///
    /// # Errors
    /// [`aftersign_core::ErrorKind::Misconfigured`] if ours breaks off too.
    pub(super) fn render(&self, words: &MailWords<'_>) -> Result<Rendered, Error> {
        let context = words.context();
        if let Some(own) = &self.own {
            match render(own, &context) {
                Ok(rendered) => return Ok(rendered),
                Err((name, error)) => {
                    let line = error.line().unwrap_or(0);
                    // The cause may quote what stands in the mail.
                    tracing::warn!(mail.id = %words.mail.row.id, template = name, line, error = %error.kind(),
                        "a mail template of yours breaks off; the built-in one is used for this mail");
                }
            }
        }
        // A mail waits for a better version rather than be lost.
        render(&self.built_in, &context).map_err(|(name, error)| {
            Error::new(ErrorKind::Misconfigured, Remedy::Retry(None), "mail", why(name, &error))
        })
    }

    fn current(&self) -> &Environment<'static> {
        self.own.as_ref().unwrap_or(&self.built_in)
    }
}

/// Strict, bounded, and with `grouped` (`1000` as `1,000`) beside the usual filters. `*.html` is escaped.
fn environment() -> Result<Environment<'static>, Error> {
    let mut syntax = SyntaxConfig::builder();
    let syntax =
        syntax.trim_blocks(true).lstrip_blocks(true).build().map_err(|error| broken("syntax", &error))?;
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(TEMPLATE_FUEL));
    environment.set_recursion_limit(TEMPLATE_RECURSION_MAX);
    environment.set_syntax(syntax);
    environment.add_filter("grouped", grouped);
    Ok(environment)
}

/// Reads an operator's templates; ours stand in for those that are not there.
fn own(folder: &Path) -> Result<Environment<'static>, Error> {
    if !folder.is_dir() {
        return Err(misconfigured(format!("the folder of mail templates {} is not there", folder.display())));
    }
    let mut environment = environment()?;
    let mut found = 0;
    for (name, default) in DEFAULTS {
        let path = folder.join(name);
        let shown = path.display().to_string();
        let source = match read(&path) {
            Ok(source) => {
                found += 1;
                source
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => default.to_owned(),
            Err(error) => {
                return Err(misconfigured(format!("cannot read the mail template {shown}: {error}")));
            }
        };
        environment.add_template_owned(name, source).map_err(|error| broken(&shown, &error))?;
    }
    if found == 0 {
        let names = DEFAULTS.map(|(name, _)| name).join(", ");
        let folder = folder.display();
        return Err(misconfigured(format!("the folder of mail templates {folder} holds none of {names}")));
    }
    Ok(environment)
}

fn read(path: &Path) -> io::Result<String> {
    if std::fs::metadata(path)?.len() > TEMPLATE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {TEMPLATE_BYTES_MAX} bytes")));
    }
    std::fs::read_to_string(path)
}

type Broken = (&'static str, minijinja::Error);

fn render(environment: &Environment<'_>, context: &Value) -> Result<Rendered, Broken> {
    let part = |name| written(environment, name, context).map_err(|error| (name, error));
    let subject = one_line(&part(SUBJECT)?, SUBJECT_CHARS_MAX);
    if subject.is_empty() {
        let error = minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "the subject is empty");
        return Err((SUBJECT, error));
    }
    Ok(Rendered { subject, text: part(TEXT)?, html: part(HTML)? })
}

fn written(environment: &Environment<'_>, name: &str, context: &Value) -> Result<String, minijinja::Error> {
    let mut page = Page(Vec::new());
    environment.get_template(name)?.render_captured_to(context.clone(), &mut page)?;
    String::from_utf8(page.0).map_err(|error| {
        minijinja::Error::new(minijinja::ErrorKind::InvalidOperation, "not UTF-8").with_source(error)
    })
}

/// A buffer that has an end.
struct Page(Vec<u8>);

impl io::Write for Page {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > BODY_BYTES_MAX {
            return Err(io::Error::other(format!("the mail becomes larger than {BODY_BYTES_MAX} bytes")));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(file: &str, error: &minijinja::Error) -> Error {
    misconfigured(why(file, error))
}

fn why(file: &str, error: &minijinja::Error) -> String {
    let mut cause = error.kind().to_string();
    let source = std::error::Error::source(error).map(ToString::to_string);
    for part in error.detail().map(ToOwned::to_owned).into_iter().chain(source) {
        cause.push_str(": ");
        cause.push_str(&part);
    }
    let line = error.line().map_or_else(String::new, |line| format!(", line {line}"));
    format!("the mail template {file}{line} cannot be used: {cause}")
}

#[cfg(test)]
mod tests;
