//! A receiver of e-mail for rehearsals and tests, written from RFC 5321: plain ESMTP on loopback, which keeps what it gets and
//! passes nothing on. It can be made to look down, or to refuse somebody. Clients that never end a line, a message or a
//! session are cut off.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// A command with its CRLF: RFC 5321 asks for 512 octets, extensions for some more.
const COMMAND_BYTES_MAX: usize = 1_024;
/// A line of a message with its CRLF, by RFC 5321, 4.5.3.1.6.
const TEXT_LINE_BYTES_MAX: usize = 1_000;
/// No message of a rehearsal is larger.
const MESSAGE_BYTES_MAX: usize = 1024 * 1024;
/// RFC 5321 asks for as many at least.
const RECIPIENTS_MAX: usize = 100;
/// What is kept: a rehearsal sends far fewer.
const MESSAGES_MAX: usize = 10_000;
/// Sessions at the same time; more wait.
const SESSIONS_MAX: usize = 64;
/// Wrong commands of one session.
const MISTAKES_MAX: u32 = 20;
/// A client that says nothing for so long is cut off; RFC 5321 gives it five minutes.
const SILENCE_MAX: Duration = Duration::from_secs(300);
/// A failing accept (too many open files) is tried again after this long.
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(50);

/// A message as it was received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedMail {
    /// The reverse-path of `MAIL FROM`, without the brackets; empty for a notification.
    pub from: String,
    /// The recipients that were accepted, in the order in which they were given.
    pub to: Vec<String>,
    /// Headers and body with their CRLFs, the transparency dots taken away; bytes that are no UTF-8 are replaced.
    pub data: String,
    /// When it was accepted.
    pub at: Timestamp,
}

/// What all sessions share.
struct Shared {
    mails: watch::Sender<Vec<ReceivedMail>>,
    settings: Mutex<Settings>,
    stopping: CancellationToken,
}

#[derive(Default)]
struct Settings {
    is_down: bool,
    refused: BTreeSet<String>,
}

impl Shared {
    fn settings<T>(&self, with: impl FnOnce(&mut Settings) -> T) -> T {
        with(&mut self.settings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running receiver; it ends with [`MailSink::stop`] or when it is dropped.
pub struct MailSink {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

impl MailSink {
    /// Listens on a free port of loopback, from now on. Must be called within a tokio runtime, which the sink then uses.
    ///
    /// # Errors
    /// If no port can be listened on.
    pub fn start() -> io::Result<MailSink> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let addr = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let shared = Arc::new(Shared {
            mails: watch::Sender::new(Vec::new()),
            settings: Mutex::new(Settings::default()),
            stopping: CancellationToken::new(),
        });
        tokio::spawn(listen(Arc::clone(&shared), listener));
        Ok(MailSink { addr, shared })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Everything received so far, the oldest first.
    pub fn messages(&self) -> Vec<ReceivedMail> {
        self.shared.mails.borrow().clone()
    }

    /// Resolves when a message has arrived since the call.
    pub async fn changed(&self) {
        let mut mails = self.shared.mails.subscribe();
        drop(mails.changed().await);
    }

    /// While on, clients are turned away with 421 as they connect, as by a server that is down.
    pub fn refuse(&self, on: bool) {
        self.shared.settings(|settings| settings.is_down = on);
    }

    /// From now on, this recipient is unknown: 550. Case does not matter.
    pub fn refuse_recipient(&self, address: impl Into<String>) {
        self.shared.settings(|settings| settings.refused.insert(address.into().to_lowercase()));
    }

    /// Ends it: nobody listens any more, open sessions break off.
    pub fn stop(&self) {
        self.shared.stopping.cancel();
    }
}

impl Drop for MailSink {
    fn drop(&mut self) {
        self.stop();
    }
}

impl std::fmt::Debug for MailSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MailSink").field("addr", &self.addr).finish_non_exhaustive()
    }
}

async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let places = Arc::new(Semaphore::new(SESSIONS_MAX));
    let stopping = shared.stopping.clone();
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((socket, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_AGAIN_AFTER).await;
                continue;
            };
            let shared = Arc::clone(&shared);
            tokio::spawn(async move {
                tokio::select! {
                    ended = session(&shared, socket) => drop(ended),
                    () = shared.stopping.cancelled() => {}
                }
                drop(place);
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stopping.cancelled() => {}
    }
}

/// One session, by the client's lines.
struct Session<'a> {
    shared: &'a Shared,
    reader: BufReader<OwnedReadHalf>,
    writer: OwnedWriteHalf,
    is_greeted: bool,
    from: Option<String>,
    to: Vec<String>,
}

/// What a line can be besides a line.
enum Line {
    Text(Vec<u8>),
    TooLong,
    /// The client is gone, or silent for too long.
    End,
}

async fn session(shared: &Shared, socket: TcpStream) -> io::Result<()> {
    drop(socket.set_nodelay(true));
    let (reader, writer) = socket.into_split();
    let reader = BufReader::new(reader);
    let mut session = Session { shared, reader, writer, is_greeted: false, from: None, to: Vec::new() };
    if shared.settings(|settings| settings.is_down) {
        return session.say("421 sandbox Service not available, closing transmission channel").await;
    }
    session.say("220 sandbox ESMTP, for rehearsals only").await?;
    let mut mistakes = 0;
    loop {
        let line = match session.line(COMMAND_BYTES_MAX).await? {
            Line::Text(line) => line,
            Line::TooLong => return session.say("500 Line too long").await,
            Line::End => return Ok(()),
        };
        let line = String::from_utf8_lossy(&line).into_owned();
        match session.obey(&line).await? {
            Next::Go => {}
            Next::Mistake => mistakes += 1,
            Next::Close => return Ok(()),
        }
        if mistakes > MISTAKES_MAX {
            return session.say("421 sandbox Too many errors").await;
        }
    }
}

/// What follows a command.
enum Next {
    Go,
    Mistake,
    Close,
}

impl Session<'_> {
    async fn say(&mut self, reply: &str) -> io::Result<()> {
        self.writer.write_all(format!("{reply}\r\n").as_bytes()).await
    }

    /// A line without its CRLF; a line feed alone does not end one.
    async fn line(&mut self, bytes_max: usize) -> io::Result<Line> {
        let mut line = Vec::new();
        loop {
            let Ok(read) = tokio::time::timeout(SILENCE_MAX, self.reader.fill_buf()).await else {
                return Ok(Line::End);
            };
            let buffer = read?;
            if buffer.is_empty() {
                return Ok(Line::End);
            }
            let taken = buffer.iter().position(|&byte| byte == b'\n').map_or(buffer.len(), |at| at + 1);
            let taken = taken.min(bytes_max + 1 - line.len());
            line.extend_from_slice(&buffer[..taken]);
            self.reader.consume(taken);
            if line.len() > bytes_max {
                return Ok(Line::TooLong);
            }
            if line.ends_with(b"\r\n") {
                line.truncate(line.len() - 2);
                return Ok(Line::Text(line));
            }
        }
    }

    fn reset(&mut self) {
        self.from = None;
        self.to.clear();
    }

    async fn obey(&mut self, line: &str) -> io::Result<Next> {
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        let reply = match verb.to_ascii_uppercase().as_str() {
            "HELO" | "EHLO" if rest.trim().is_empty() => "501 Name yourself".to_owned(),
            "HELO" => {
                self.greet();
                "250 sandbox".to_owned()
            }
            "EHLO" => {
                self.greet();
                format!("250-sandbox\r\n250-SIZE {MESSAGE_BYTES_MAX}\r\n250-PIPELINING\r\n250 8BITMIME")
            }
            "NOOP" => "250 OK".to_owned(),
            "RSET" => {
                self.reset();
                "250 OK".to_owned()
            }
            "VRFY" => "252 Send some mail, and see".to_owned(),
            "QUIT" => {
                self.say("221 sandbox Bye").await?;
                return Ok(Next::Close);
            }
            "MAIL" => self.mail(rest),
            "RCPT" => self.rcpt(rest),
            "DATA" if self.to.is_empty() => "503 Recipients first".to_owned(),
            "DATA" if !rest.is_empty() => "501 DATA has no parameters".to_owned(),
            "DATA" => return self.data().await,
            _ => "500 Command not recognised".to_owned(),
        };
        self.say(&reply).await?;
        Ok(if reply.starts_with('5') { Next::Mistake } else { Next::Go })
    }

    fn greet(&mut self) {
        self.reset();
        self.is_greeted = true;
    }

    fn mail(&mut self, rest: &str) -> String {
        if !self.is_greeted || self.from.is_some() {
            return "503 Bad sequence of commands".to_owned();
        }
        let Some((from, parameters)) = path(rest, "FROM:") else {
            return "501 Syntax: MAIL FROM:<address>".to_owned();
        };
        for parameter in parameters.split_ascii_whitespace() {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            match (name.to_ascii_uppercase().as_str(), value.parse::<usize>()) {
                ("SIZE", Ok(size)) if size > MESSAGE_BYTES_MAX => return too_large(),
                ("SIZE", Ok(_)) | ("BODY", _) => {}
                _ => return format!("555 Parameter not recognised: {name}"),
            }
        }
        self.from = Some(from.to_owned());
        "250 OK".to_owned()
    }

    fn rcpt(&mut self, rest: &str) -> String {
        if self.from.is_none() {
            return "503 Sender first".to_owned();
        }
        let Some((to, parameters)) = path(rest, "TO:").filter(|(to, _)| !to.is_empty()) else {
            return "501 Syntax: RCPT TO:<address>".to_owned();
        };
        if !parameters.trim().is_empty() {
            return "555 RCPT has no parameters here".to_owned();
        }
        if self.shared.settings(|settings| settings.refused.contains(&to.to_lowercase())) {
            return format!("550 No such user here: <{to}>");
        }
        if self.to.len() >= RECIPIENTS_MAX {
            return "452 Too many recipients".to_owned();
        }
        self.to.push(to.to_owned());
        "250 OK".to_owned()
    }

    /// Reads a message up to its end, also one that is too large as long as it stays near the limit.
    async fn data(&mut self) -> io::Result<Next> {
        self.say("354 End data with <CRLF>.<CRLF>").await?;
        let mut data = Vec::new();
        loop {
            let line = match self.line(TEXT_LINE_BYTES_MAX).await? {
                Line::Text(line) => line,
                Line::TooLong => {
                    self.say("500 Line too long").await?;
                    return Ok(Next::Close);
                }
                Line::End => return Ok(Next::Close),
            };
            if line == b"." {
                break;
            }
            data.extend_from_slice(line.strip_prefix(b".").unwrap_or(&line));
            data.extend_from_slice(b"\r\n");
            if data.len() > MESSAGE_BYTES_MAX {
                self.say(&too_large()).await?;
                return Ok(Next::Close);
            }
        }
        let mail = ReceivedMail {
            from: self.from.take().unwrap_or_default(),
            to: std::mem::take(&mut self.to),
            data: String::from_utf8_lossy(&data).into_owned(),
            at: Timestamp::now(),
        };
        let kept = self.shared.mails.send_if_modified(|mails| {
            let has_room = mails.len() < MESSAGES_MAX;
            if has_room {
                mails.push(mail);
            }
            has_room
        });
        self.say(if kept { "250 OK, kept" } else { "452 Insufficient system storage" }).await?;
        Ok(Next::Go)
    }
}

fn too_large() -> String {
    format!("552 Message larger than {MESSAGE_BYTES_MAX} bytes")
}

/// The address in brackets after the keyword, and what follows. A source route is dropped.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(&'a str, &'a str)> {
    let head = rest.get(..keyword.len())?;
    let after = rest.get(keyword.len()..)?.trim_start();
    let (address, parameters) = after.strip_prefix('<')?.split_once('>')?;
    let address = match address.strip_prefix('@') {
        Some(route) => route.split_once(':')?.1,
        None => address,
    };
    let is_plain = address.chars().all(|letter| !letter.is_control() && letter != '<' && letter != ' ');
    (head.eq_ignore_ascii_case(keyword) && is_plain).then_some((address, parameters))
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn a_path_is_read_as_the_standard_writes_it() {
        assert_eq!(path("FROM:<a@b.example> SIZE=3", "FROM:"), Some(("a@b.example", " SIZE=3")));
        assert_eq!(path("from:<>", "FROM:"), Some(("", "")));
        assert_eq!(path("TO:<@relay.example:a@b.example>", "TO:"), Some(("a@b.example", "")));
        for bad in ["FROM:a@b.example", "FROM:<a@b.example", "TO:<a>", "FR", "", "FROM:<a b>", "é"] {
            assert_eq!(path(bad, "FROM:"), None, "{bad}");
        }
    }
}
