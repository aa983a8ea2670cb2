//! The plainest visitor of web pages: HTTP/1.0, cookies as a browser keeps them (per host and path, whatever the
//! port), and forms.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use reqwest::Url;

/// Longest wait for an answer; only a failing test takes it.
const PATIENCE: Duration = Duration::from_secs(60);
/// More redirects than any way through pages needs.
const REDIRECTS_MAX: usize = 10;

/// A person with cookies.
#[derive(Default)]
pub(crate) struct Visitor {
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    path: String,
    value: String,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// Where it came from.
    pub(crate) url: String,
    pub(crate) status: u16,
    /// Where it sends the visitor, as a whole address.
    pub(crate) location: Option<Url>,
    pub(crate) body: String,
}

impl Visitor {
    /// One request and its answer.
    pub(crate) fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = Url::parse(url).expect("an address");
        let authority =
            format!("{}:{}", url.host_str().expect("a host"), url.port_or_known_default().expect("a port"));
        let target = url.query().map_or(url.path().to_string(), |query| format!("{}?{query}", url.path()));
        let mut request = format!("{method} {target} HTTP/1.0\r\nHost: {authority}\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let of_page = |cookie: &&Cookie| url.path().starts_with(&cookie.path);
        let cookies =
            self.cookies.iter().filter(of_page).map(|cookie| format!("{}={}", cookie.name, cookie.value));
        let cookies: Vec<String> = cookies.collect();
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let answer = exchange(&authority, &request);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("{url} said {answer:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let mut location = None;
        for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
            match name.to_ascii_lowercase().as_str() {
                "set-cookie" => self.keep(value),
                "location" => location = Some(url.join(value).expect("an address")),
                _ => {}
            }
        }
        Answer { url: url.into(), status, location, body: body.into() }
    }

    fn keep(&mut self, text: &str) {
        let mut parts = text.split("; ");
        let (name, value) = parts.next().and_then(|pair| pair.split_once('=')).expect("a name and a value");
        let path = parts.find_map(|part| part.strip_prefix("path=").or(part.strip_prefix("Path=")));
        let path = path.unwrap_or("/");
        self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
        if !value.is_empty() {
            self.cookies.push(Cookie { name: name.into(), path: path.into(), value: value.into() });
        }
    }

    /// Opens an address and goes where it is sent, as long as that is on the same server.
    pub(crate) fn open(&mut self, url: &str) -> Answer {
        let answer = self.send("GET", url, &[], "");
        self.follow(answer)
    }

    /// Submits a form and goes on in the same way.
    pub(crate) fn submit(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        let answer = self.post(url, fields);
        self.follow(answer)
    }

    /// Posts a form and stays.
    pub(crate) fn post(&mut self, url: &str, fields: &[(&str, &str)]) -> Answer {
        self.send("POST", url, &[("Content-Type", "application/x-www-form-urlencoded")], &form(fields))
    }

    fn follow(&mut self, mut answer: Answer) -> Answer {
        for _ in 0..REDIRECTS_MAX {
            let here = Url::parse(&answer.url).expect("an address").origin();
            match &answer.location {
                Some(url) if url.origin() == here => answer = self.send("GET", url.as_ref(), &[], ""),
                _ => return answer,
            }
        }
        panic!("sent around in circles: {answer:?}")
    }
}

/// Fields as a form or a query carries them.
pub(crate) fn form(fields: &[(&str, &str)]) -> String {
    let mut url = Url::parse("http://form").expect("an address");
    url.query_pairs_mut().extend_pairs(fields);
    url.query().unwrap_or_default().to_string()
}

fn exchange(authority: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(authority).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    String::from_utf8(answer).expect("a text")
}
