//! One account at the platform: its session, its one callback, and the two kinds of token.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

pub(crate) const API_KEY: &str = "YXBpLWtleS1vZi1sZWdhbA==";
pub(crate) const CLIENT_SECRET: &str = "client-secret-of-legal";
const TOKEN: &str = "token-of-legal";

/// What the platform has and heard.
#[derive(Default)]
struct State {
    registered: Option<Value>,
    refused_events: Vec<&'static str>,
    registrations: usize,
}

/// The platform, on a port of its own until the test's process ends.
#[derive(Clone)]
pub(crate) struct Platform {
    pub(crate) base_url: String,
    state: Arc<Mutex<State>>,
}

/// One request as it came.
struct Asked {
    line: String,
    authorization: String,
    body: String,
}

impl Platform {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let base_url = format!("http://{}", listener.local_addr().expect("its address"));
        let platform = Self { base_url, state: Arc::default() };
        let served = platform.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that goes away is the client's business.
                let _ = served.serve(&stream);
            }
        });
        platform
    }

    /// Somebody registers a callback.
    pub(crate) fn register(&self, url: &str, events: &[&str]) {
        self.lock().registered = Some(json!({ "url": url, "key": "key-of-another", "events": events }));
    }

    /// An instance that does not know all events.
    pub(crate) fn refuse_events(&self, names: &[&'static str]) {
        self.lock().refused_events = names.to_vec();
    }

    pub(crate) fn registered(&self) -> Value {
        self.lock().registered.clone().unwrap_or_default()
    }

    /// How often a registration was taken.
    pub(crate) fn registrations(&self) -> usize {
        self.lock().registrations
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: &TcpStream) -> std::io::Result<()> {
        let (status, answer) = self.answer(&read(stream)?);
        let body = answer.to_string();
        let mut stream = stream;
        write!(
            stream,
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n\
             {body}",
            body.len()
        )
    }

    fn answer(&self, asked: &Asked) -> (u16, Value) {
        let client = format!("Basic {}", STANDARD.encode(format!("client-of-legal:{CLIENT_SECRET}")));
        match asked.line.as_str() {
            "POST /oauth2/token" => {
                let right = asked.authorization == client && asked.body == "grant_type=client_credentials";
                let token = json!({ "access_token": TOKEN, "token_type": "bearer", "expires_in": 299 });
                return if right { (200, token) } else { refused() };
            }
            "POST /apitoken/clientApp/accessToken" => {
                let wanted =
                    json!({ "clientId": "client-of-legal", "secret": CLIENT_SECRET, "type": "OWNER" });
                let right = serde_json::from_str::<Value>(&asked.body).ok() == Some(wanted);
                let token = json!({ "accessToken": TOKEN, "expiresAt": 4_102_444_800_000_u64 });
                return if right { (200, token) } else { refused() };
            }
            _ => {}
        }
        if asked.authorization != format!("Basic {API_KEY}")
            && asked.authorization != format!("Bearer {TOKEN}")
        {
            return refused();
        }
        match asked.line.as_str() {
            "GET /api/session" => (200, json!({ "user": { "id": "u1", "email": "sender@example.com" } })),
            "GET /api/callback" => {
                let none = json!({ "url": null, "key": null, "events": [] });
                (200, self.lock().registered.clone().unwrap_or(none))
            }
            "POST /api/callback" => self.take(&asked.body),
            _ => (404, json!({ "code": 404, "message": "no such resource" })),
        }
    }

    fn take(&self, body: &str) -> (u16, Value) {
        let wanted: Value = serde_json::from_str(body).unwrap_or_default();
        let mut state = self.lock();
        let events = wanted["events"].as_array().cloned().unwrap_or_default();
        if events.iter().any(|event| state.refused_events.iter().any(|refused| event == refused)) {
            return (400, json!({ "code": 400, "message": "unknown event" }));
        }
        state.registrations += 1;
        state.registered = Some(wanted.clone());
        (200, wanted)
    }
}

fn refused() -> (u16, Value) {
    (401, json!({ "code": 401, "messageKey": "error.unauthorized", "message": "Unauthorized" }))
}

fn read(stream: &TcpStream) -> std::io::Result<Asked> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let line = line.split(' ').take(2).collect::<Vec<_>>().join(" ");
    let (mut authorization, mut length) = (String::new(), 0);
    loop {
        let mut header = String::new();
        reader.read_line(&mut header)?;
        let Some((name, value)) = header.trim_end().split_once(": ") else { break };
        match name.to_ascii_lowercase().as_str() {
            "authorization" => authorization = value.into(),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    Ok(Asked { line, authorization, body: String::from_utf8_lossy(&body).into_owned() })
}
