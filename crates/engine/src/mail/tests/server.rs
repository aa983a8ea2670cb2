//! A small mail server: answers each line by a function of it, and keeps what it took.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Answers a line; `None` if it falls silent.
type Mood = Box<dyn FnMut(&str) -> Option<String> + Send>;

/// What it knows.
#[derive(Clone)]
struct Desk {
    mood: Arc<Mutex<Mood>>,
    said: Arc<Mutex<Vec<String>>>,
    taken: Arc<Mutex<Vec<String>>>,
}

/// Listens until it is dropped.
pub(super) struct Server {
    pub(super) port: u16,
    desk: Desk,
    listening: tokio::task::JoinHandle<()>,
}

impl Server {
    /// One that answers by `mood`, which is asked `connected` first, then each line, and `.` for a whole message.
    pub(super) async fn start(mood: impl FnMut(&str) -> Option<String> + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let mood: Mood = Box::new(mood);
        let desk = Desk { mood: Arc::new(Mutex::new(mood)), said: Arc::default(), taken: Arc::default() };
        let serving = desk.clone();
        let listening = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serving.clone().serve(stream));
            }
        });
        Self { port, desk, listening }
    }

    /// One without moods.
    pub(super) async fn fine() -> Self {
        Self::start(|line| Some(fine(line))).await
    }

    pub(super) fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port)
    }

    /// The commands that it heard.
    pub(super) fn said(&self) -> Vec<String> {
        self.desk.said.lock().unwrap().clone()
    }

    /// The messages that it took.
    pub(super) fn taken(&self) -> Vec<String> {
        self.desk.taken.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Desk {
    async fn serve(self, stream: TcpStream) {
        let (reading, mut writing) = stream.into_split();
        let mut lines = BufReader::new(reading).lines();
        let mut message: Option<String> = None;
        let mut line = "connected".to_owned();
        loop {
            if let Some(text) = message.as_mut().filter(|_| line != ".") {
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push_str("\r\n");
            } else {
                let answer = (self.mood.lock().unwrap())(&line);
                let Some(answer) = answer else { return std::future::pending().await };
                match message.take() {
                    Some(text) if answer.starts_with('2') => self.taken.lock().unwrap().push(text),
                    Some(_) => {}
                    None => self.said.lock().unwrap().push(line),
                }
                message = answer.starts_with("354").then(String::new);
                if writing.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                    return;
                }
            }
            let Ok(Some(next)) = lines.next_line().await else { return };
            line = next;
        }
    }
}

/// The usual answers.
pub(super) fn fine(line: &str) -> String {
    let word = line.split([' ', ':']).next().unwrap().to_uppercase();
    match word.as_str() {
        "CONNECTED" => "220 mail.example.com ready",
        "EHLO" => "250-mail.example.com\r\n250-SMTPUTF8\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME",
        "AUTH" => "235 2.7.0 welcome",
        "DATA" => "354 go on",
        "." => "250 2.0.0 taken",
        "QUIT" => "221 bye",
        _ => "250 2.1.0 fine",
    }
    .into()
}

/// The headers of a message, unfolded, one per line.
pub(super) fn headers(message: &str) -> Vec<String> {
    let (head, _) = message.split_once("\r\n\r\n").unwrap();
    head.replace("\r\n ", " ").replace("\r\n\t", " ").split("\r\n").map(ToOwned::to_owned).collect()
}

/// The value of a header, which must stand there once.
pub(super) fn header(message: &str, name: &str) -> String {
    let prefix = format!("{name}: ");
    let headers = headers(message);
    let found: Vec<_> = headers.iter().filter_map(|line| line.strip_prefix(&prefix)).collect();
    assert_eq!(found.len(), 1, "{name}: {message}");
    found[0].to_owned()
}

/// The body of the part with this content type, which must be quoted-printable.
pub(super) fn part(message: &str, content_type: &str) -> String {
    let start = message.find(&format!("Content-Type: {content_type}; charset=utf-8")).unwrap();
    let (head, rest) = message[start..].split_once("\r\n\r\n").unwrap();
    assert!(head.contains("Content-Transfer-Encoding: quoted-printable"), "{head}");
    let (body, _) = rest.split_once("\r\n--").unwrap();
    let body = body.replace("=\r\n", "");
    let mut bytes = Vec::new();
    let mut letters = body.bytes();
    while let Some(byte) = letters.next() {
        let mut hex = || u8::try_from(char::from(letters.next().unwrap()).to_digit(16).unwrap()).unwrap();
        bytes.push(if byte == b'=' { hex() * 16 + hex() } else { byte });
    }
    String::from_utf8(bytes).unwrap()
}
