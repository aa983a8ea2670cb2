//! The mail server: one connection per message, spoken step by step, so that a refusal is known for what it is about.
//!
//! What a server says before it has heard of a recipient (greeting, TLS, login, our own address) is about the server or our
//! config: that is tried again, and no mail is lost by it. What it says about a recipient or a message is about that mail.

use std::path::PathBuf;
use std::time::Duration;

use aftersign_core::grant::Holder;
use aftersign_core::ids::SenderId;
use aftersign_core::mail::{Mail, Mailer};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};
use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lettre::message::header::{ContentTransferEncoding, ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};
use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail as MailFrom, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};

use super::limits::{
    CA_FILE_BYTES_MAX, SMTP_COMMAND_TIMEOUT, SMTP_CONNECT_TIMEOUT, SMTP_GREETING_TIMEOUT, SMTP_LEAVE_TIMEOUT,
    SMTP_MESSAGE_TIMEOUT, SUBJECT_CHARS_MAX,
};
use super::smtp_url::{Login, SmtpUrl, Tls, misconfigured};
use super::words::one_line;
use aftersign_core::limits::EXCERPT_CHARS_MAX;

/// Where mail is handed over, and as whom.
#[derive(Clone, Debug)]
pub struct SmtpConfig {
    /// `smtp://[user:password@]host[:port][?tls=required|opportunistic|none]` or `smtps://…`; user and password
    /// percent-encoded. Without `tls=`, TLS is required where a password is given, else taken where it is offered.
    pub url: Secret,
    /// Our own address: `aftersign@example.com` or `Aftersign <aftersign@example.com>`.
    pub from: String,
    /// Certificates (PEM) of authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
}

/// A [`Mailer`] over SMTP, with TLS by rustls.
pub struct SmtpMailer {
    url: SmtpUrl,
    tls: Option<TlsParameters>,
    hello: ClientId,
    from: Mailbox,
}

impl SmtpMailer {
    /// Reads the config; connects to nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Misconfigured`] where the URL, our address or the CA file cannot be used. Never shows the password.
    pub fn new(config: SmtpConfig) -> Result<Self, Error> {
        let url = SmtpUrl::parse(&config.url)?;
        let from: Mailbox = mailbox(&config.from).ok_or_else(|| {
            misconfigured(format!(
                "`{}` is no address to send mail from: write aftersign@example.com or Aftersign <aftersign@example.com>",
                one_line(&config.from, EXCERPT_CHARS_MAX)
            ))
        })?;
        let tls = match url.tls {
            Tls::Never => None,
            _ => Some(tls_parameters(&url, config.ca_file)?),
        };
        Ok(Self { url, tls, hello: ClientId::default(), from })
    }

    /// The message as it is sent.
    fn message(&self, mail: &Mail) -> Result<Message, Error> {
        let to = mailbox(&mail.to)
            .ok_or_else(|| unusable("the recipient's address cannot be written to", None))?;
        let id = format!("<{}@{}>", mail.id, self.from.email.domain());
        let part = |content_type, text: &str| {
            SinglePart::builder()
                .header(content_type)
                .header(ContentTransferEncoding::QuotedPrintable)
                .body(text.to_owned())
        };
        let header =
            |name, value: &str| HeaderValue::new(HeaderName::new_from_ascii_str(name), value.to_owned());
        Message::builder()
            .from(self.from.clone())
            .to(to)
            .subject(one_line(&mail.subject, SUBJECT_CHARS_MAX))
            .date_now()
            .message_id(Some(id))
            .raw_header(header("Auto-Submitted", "auto-generated"))
            .raw_header(header("X-Auto-Response-Suppress", "All"))
            .multipart(
                MultiPart::alternative()
                    .singlepart(part(ContentType::TEXT_PLAIN, &mail.text))
                    .singlepart(part(ContentType::TEXT_HTML, &mail.html)),
            )
            .map_err(|error| unusable("no message can be made of this mail", Some(error.to_string())))
    }

    /// Connects, up to being let in.
    async fn open(&self) -> Result<AsyncSmtpConnection, Error> {
        tokio::time::timeout(SMTP_GREETING_TIMEOUT, self.enter())
            .await
            .unwrap_or_else(|_| Err(self.silent("connect", SMTP_GREETING_TIMEOUT)))
    }

    async fn enter(&self) -> Result<AsyncSmtpConnection, Error> {
        let SmtpUrl { host, port, tls, login } = &self.url;
        let wrapper = self.tls.clone().filter(|_| *tls == Tls::Wrapped);
        let connection = AsyncSmtpConnection::connect_tokio1(
            (host.as_str(), *port),
            Some(SMTP_CONNECT_TIMEOUT),
            &self.hello,
            wrapper,
            None,
        );
        let mut connection = connection.await.map_err(|error| self.refused_us("connect", &error))?;
        let upgrade = match tls {
            Tls::Required => true,
            Tls::Opportunistic => connection.can_starttls(),
            Tls::Wrapped | Tls::Never => false,
        };
        if let Some(parameters) = self.tls.clone().filter(|_| upgrade) {
            if !connection.can_starttls() {
                return Err(self.at_server(
                    ErrorKind::Misconfigured,
                    "start TLS",
                    "does not offer STARTTLS: use smtps:// if it speaks TLS from the first byte, or `?tls=none` if the way to it \
                     is safe",
                ));
            }
            connection
                .starttls(parameters, &self.hello)
                .await
                .map_err(|error| self.refused_us("start TLS", &error))?;
        }
        if let Some(login) = login {
            if !connection.is_encrypted() && !self.url.trusts_the_wire() {
                return Err(self.at_server(
                    ErrorKind::Misconfigured,
                    "log in",
                    "does not offer STARTTLS, and the password must not travel in the clear: use smtps:// if it speaks TLS from \
                     the first byte",
                ));
            }
            self.log_in(&mut connection, login).await?;
        }
        Ok(connection)
    }

    async fn log_in(&self, connection: &mut AsyncSmtpConnection, login: &Login) -> Result<(), Error> {
        let credentials = Credentials::new(login.user.clone(), login.password.expose().to_owned());
        let Err(error) = connection.auth(DEFAULT_MECHANISMS, &credentials).await else { return Ok(()) };
        if error.is_client() {
            return Err(self.at_server(
                ErrorKind::Misconfigured,
                "log in",
                "offers no login that we know (PLAIN, LOGIN): leave user and password out if it asks for none",
            ));
        }
        let kind = if error.is_permanent() { ErrorKind::AccessRefused } else { ErrorKind::Unavailable };
        let said = login.without_secrets(cause(&error));
        Err(self.at_server(kind, "log in", format!("does not take user and password: {said}")))
    }

    /// Hands the message over a connection on which we are let in.
    async fn hand_over(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
        holder: Holder,
    ) -> Result<(), Error> {
        let (envelope, bytes) = (message.envelope(), message.formatted());
        let offers = |extension| connection.server_info().supports_feature(extension);
        let mut parameters = Vec::new();
        let ascii = |address: &lettre::Address| AsRef::<str>::as_ref(address).is_ascii();
        if !envelope.from().is_none_or(ascii) || !envelope.to().iter().all(ascii) {
            if !offers(Extension::SmtpUtfEight) {
                return Err(unusable(
                    "the mail server takes no address with letters beyond ASCII (SMTPUTF8)",
                    None,
                )
                .met_with(holder));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !bytes.is_ascii() && offers(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        let from = MailFrom::new(envelope.from().cloned(), parameters);
        self.answer("mail from", SMTP_COMMAND_TIMEOUT, connection.command(from))
            .await?
            .map_err(|error| self.refused_us("mail from", &error))?;
        for to in envelope.to() {
            let command = connection.command(Rcpt::new(to.clone(), Vec::new()));
            self.answer("mail to", SMTP_COMMAND_TIMEOUT, command)
                .await?
                .map_err(|error| self.refused_mail("mail to", &error, holder.clone()))?;
        }
        self.answer("mail data", SMTP_COMMAND_TIMEOUT, connection.command(Data))
            .await?
            .map_err(|error| self.refused_mail("mail data", &error, holder.clone()))?;
        self.answer("mail data", SMTP_MESSAGE_TIMEOUT, connection.message(&bytes))
            .await?
            .map_err(|error| self.refused_mail("mail data", &error, holder))?;
        Ok(())
    }

    /// Waits for the server's answer, within bounds.
    async fn answer<T>(
        &self,
        operation: &'static str,
        wait: Duration,
        answer: impl Future<Output = T>,
    ) -> Result<T, Error> {
        tokio::time::timeout(wait, answer).await.map_err(|_| self.silent(operation, wait))
    }

    /// A failure that is about the server or our config: no mail is lost by it.
    fn at_server(&self, kind: ErrorKind, operation: &'static str, what: impl std::fmt::Display) -> Error {
        let SmtpUrl { host, port, .. } = &self.url;
        Error::new(kind, Remedy::Retry(None), operation, format!("the mail server {host}:{port} {what}"))
    }

    fn silent(&self, operation: &'static str, wait: Duration) -> Error {
        let what = format!("did not answer within {} seconds", wait.as_secs());
        self.at_server(ErrorKind::Unreachable, operation, what)
    }

    /// What failed before the server heard of a recipient.
    fn refused_us(&self, operation: &'static str, error: &SmtpError) -> Error {
        let cause = cause(error);
        if error.status().is_some() {
            return self.at_server(ErrorKind::Unavailable, operation, format!("does not take us: {cause}"));
        }
        let hint = if cause.contains("certificate") {
            "; if its authority is one of your own, name that authority's file as `ca_file`"
        } else if self.url.tls == Tls::Wrapped && cause.contains("InvalidContentType") {
            "; it does not speak TLS from the first byte: use smtp:// instead of smtps://"
        } else {
            ""
        };
        let what = match operation {
            "start TLS" => "cannot be spoken to by TLS",
            _ => "cannot be reached",
        };
        self.at_server(ErrorKind::Unreachable, operation, format!("{what}: {cause}{hint}"))
    }

    /// What failed when the server knew the recipient: for good, if the answer is about this mail.
    fn refused_mail(&self, operation: &'static str, error: &SmtpError, holder: Holder) -> Error {
        let cause = cause(error);
        let Some(code) = error.status() else {
            return self.at_server(ErrorKind::Unreachable, operation, format!("broke off: {cause}"));
        };
        // The answer may name the recipient: logs show only what kind of refusal it was.
        if error.is_permanent() && is_about_the_mail(operation, u16::from(code), &cause) {
            let what = format!("the mail server refuses this mail for good: {cause}");
            return Error::new(ErrorKind::Rejected, Remedy::AskPerson, operation, what).met_with(holder);
        }
        self.at_server(ErrorKind::Unavailable, operation, format!("does not take this mail now: {cause}"))
            .met_with(holder)
    }
}

#[async_trait]
impl Mailer for SmtpMailer {
    async fn send(&self, mail: &Mail) -> Result<(), Error> {
        let message = self.message(mail)?;
        let holder = SenderId::new(&mail.to).map_or(Holder::Account, Holder::Sender);
        let mut connection = self.open().await?;
        let sent = self.hand_over(&mut connection, &message, holder).await;
        leave(&mut connection, sent.is_ok()).await;
        sent
    }

    async fn probe(&self) -> Result<(), Error> {
        let mut connection = self.open().await?;
        leave(&mut connection, true).await;
        Ok(())
    }
}

impl Login {
    /// Servers quote lines that they do not understand, and ours hold the password.
    fn without_secrets(&self, said: String) -> String {
        let password = self.password.expose();
        let plain = format!("\0{}\0{password}", self.user);
        let forms = [password.to_owned(), STANDARD.encode(password), STANDARD.encode(plain)];
        match forms.iter().any(|form| said.contains(form.as_str())) {
            true => "its answer quotes them and is left out".into(),
            false => said,
        }
    }
}

/// Takes leave: what was to be said is said, and a server that hangs now does no harm.
async fn leave(connection: &mut AsyncSmtpConnection, politely: bool) {
    let farewell = async {
        match politely {
            true => _ = connection.quit().await,
            false => connection.abort().await,
        }
    };
    let _ = tokio::time::timeout(SMTP_LEAVE_TIMEOUT, farewell).await;
}

/// Whether a refusal for good is about the recipient or the message. Commands that are not known, a login that is asked for
/// and rights that we lack are about us: the operator can mend them while the mail waits.
fn is_about_the_mail(operation: &str, code: u16, cause: &str) -> bool {
    let about_us = matches!(code, 500 | 502..=504 | 521 | 523 | 530 | 534 | 535 | 538);
    // "554 5.7.1 Relay access denied": no recipient can be written to until that is mended.
    let denied = operation == "mail to"
        && cause.split_whitespace().nth(1).is_some_and(|word| word.starts_with("5.7."));
    !about_us && !denied
}

/// The answer's code and text, else the failure at the bottom; one bounded line.
fn cause(error: &SmtpError) -> String {
    let mut bottom: &dyn std::error::Error = error;
    while let Some(source) = bottom.source() {
        bottom = source;
    }
    let text = match error.status() {
        Some(code) if std::error::Error::source(error).is_none() => code.to_string(),
        Some(code) => format!("{code} {bottom}"),
        None => bottom.to_string(),
    };
    one_line(&text, EXCERPT_CHARS_MAX)
}

/// Reads an address, with or without a name. Nothing in it can begin another line.
fn mailbox(text: &str) -> Option<Mailbox> {
    if text.chars().any(char::is_control) {
        return None;
    }
    text.trim().parse().ok()
}

/// A mail that cannot be sent as it is.
fn unusable(what: &str, why: Option<String>) -> Error {
    let message = why.map_or_else(|| what.to_owned(), |why| format!("{what}: {why}"));
    Error::new(ErrorKind::Rejected, Remedy::AskPerson, "mail", message)
}

/// An opportunistic connection falls to whoever stands in the way in any case: it encrypts without asking for proof, unless an
/// authority or a password says that proof matters.
fn tls_parameters(url: &SmtpUrl, ca_file: Option<PathBuf>) -> Result<TlsParameters, Error> {
    let needs_proof = url.tls != Tls::Opportunistic || url.login.is_some() || ca_file.is_some();
    let with =
        ca_file.as_ref().map_or_else(String::new, |path| format!(" (with the CA file {})", path.display()));
    let mut builder = TlsParameters::builder(url.host.clone()).dangerous_accept_invalid_certs(!needs_proof);
    if let Some(path) = ca_file {
        let shown = path.display();
        let unreadable = |why: String| misconfigured(format!("cannot read the CA file {shown}: {why}"));
        let size = std::fs::metadata(&path).map_err(|error| unreadable(error.to_string()))?.len();
        if size > CA_FILE_BYTES_MAX {
            return Err(unreadable(format!("it is larger than {CA_FILE_BYTES_MAX} bytes")));
        }
        let pem = std::fs::read(&path).map_err(|error| unreadable(error.to_string()))?;
        let has_certificate = String::from_utf8_lossy(&pem).contains("-----BEGIN CERTIFICATE-----");
        let certificate = Certificate::from_pem(&pem).ok().filter(|_| has_certificate);
        let why = "it holds no certificates in PEM form (-----BEGIN CERTIFICATE-----)";
        builder = builder.add_root_certificate(certificate.ok_or_else(|| unreadable(why.into()))?);
    }
    builder
        .build()
        .map_err(|error| misconfigured(format!("TLS for mail cannot be set up: {}{with}", cause(&error))))
}
