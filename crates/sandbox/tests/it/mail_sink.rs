use std::net::SocketAddr;

use aftersign_sandbox::MailSink;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::patiently;

/// A client that says what it is told.
struct Peer {
    stream: BufReader<TcpStream>,
}

impl Peer {
    async fn connect(addr: SocketAddr) -> Peer {
        Peer { stream: BufReader::new(TcpStream::connect(addr).await.unwrap()) }
    }

    /// Connected, greeted, and ready for a message.
    async fn greeted(addr: SocketAddr) -> Peer {
        let mut peer = Peer::connect(addr).await;
        assert_eq!(peer.reply().await, "220");
        peer.says("EHLO client.example", "250").await;
        peer
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).await.unwrap();
    }

    /// The code of the next reply, which may have several lines.
    async fn reply(&mut self) -> String {
        patiently("a reply", async {
            loop {
                let mut line = String::new();
                self.stream.read_line(&mut line).await.unwrap();
                assert!(line.is_empty() || line.ends_with("\r\n"), "{line:?}");
                if line.get(3..4) != Some("-") {
                    return line.get(..3).unwrap_or_default().to_owned();
                }
            }
        })
        .await
    }

    async fn says(&mut self, line: &str, reply: &str) {
        self.write(format!("{line}\r\n").as_bytes()).await;
        assert_eq!(self.reply().await, reply, "{line}");
    }

    /// Reads until the server ends the session, in whatever way; what it said last.
    async fn cut_off(&mut self) -> String {
        let mut rest = Vec::new();
        drop(patiently("the end of the session", self.stream.read_to_end(&mut rest)).await);
        String::from_utf8(rest).unwrap()
    }
}

#[tokio::test]
async fn a_message_is_kept_as_it_was_sent() {
    let sink = MailSink::start().unwrap();
    assert!(sink.addr().ip().is_loopback());
    let mut peer = Peer::greeted(sink.addr()).await;
    peer.says("NOOP", "250").await;
    peer.says("MAIL FROM:<aftersign@example.com> SIZE=120 BODY=8BITMIME", "250").await;
    peer.says("RCPT TO:<ops@example.com>", "250").await;
    peer.says("rcpt to:<anna@example.com>", "250").await;
    peer.says("DATA", "354").await;
    let arrived = sink.changed();
    peer.write("Subject: Grüße\r\n\r\n..leading dot\r\n...\r\nend\r\n.\r\n".as_bytes()).await;
    tokio::join!(patiently("the message", arrived), async { assert_eq!(peer.reply().await, "250") });
    let mails = sink.messages();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].from, "aftersign@example.com");
    assert_eq!(mails[0].to, ["ops@example.com", "anna@example.com"]);
    assert_eq!(mails[0].data, "Subject: Grüße\r\n\r\n.leading dot\r\n..\r\nend\r\n");
    // The session goes on, and nothing of the first message is left.
    peer.says("RCPT TO:<ops@example.com>", "503").await;
    peer.says("MAIL FROM:<>", "250").await;
    peer.says("RSET", "250").await;
    peer.says("DATA", "503").await;
    peer.says("QUIT", "221").await;
    assert_eq!(peer.cut_off().await, "");
    sink.stop();
}

#[tokio::test]
async fn commands_may_come_all_at_once() {
    let sink = MailSink::start().unwrap();
    let mut peer = Peer::connect(sink.addr()).await;
    peer.write(b"EHLO c\r\nMAIL FROM:<a@b.example>\r\nRCPT TO:<c@d.example>\r\nDATA\r\n").await;
    for reply in ["220", "250", "250", "250", "354"] {
        assert_eq!(peer.reply().await, reply);
    }
    peer.write(b"x\r\n.\r\nQUIT\r\n").await;
    assert_eq!((peer.reply().await, peer.reply().await), ("250".to_owned(), "221".to_owned()));
    assert_eq!(sink.messages()[0].data, "x\r\n");
}

#[tokio::test]
async fn what_is_out_of_order_or_malformed_is_refused() {
    let sink = MailSink::start().unwrap();
    let mut peer = Peer::connect(sink.addr()).await;
    assert_eq!(peer.reply().await, "220");
    peer.says("MAIL FROM:<a@b.example>", "503").await;
    peer.says("EHLO", "501").await;
    peer.says("HELO client.example", "250").await;
    peer.says("RCPT TO:<c@d.example>", "503").await;
    peer.says("MAIL FROM: a@b.example", "501").await;
    peer.says("MAIL FROM:<a@b.example> SIZE=99999999", "552").await;
    peer.says("MAIL FROM:<a@b.example> HOLDFOR=9", "555").await;
    peer.says("MAIL FROM:<a@b.example>", "250").await;
    peer.says("RCPT TO:<>", "501").await;
    peer.says("STARTTLS", "500").await;
    assert!(sink.messages().is_empty());
}

#[tokio::test]
async fn it_can_look_down_and_refuse_somebody() {
    let sink = MailSink::start().unwrap();
    sink.refuse(true);
    let mut peer = Peer::connect(sink.addr()).await;
    assert!(peer.cut_off().await.starts_with("421 "));
    sink.refuse(false);
    sink.refuse_recipient("gone@example.com");
    let mut peer = Peer::greeted(sink.addr()).await;
    peer.says("MAIL FROM:<a@b.example>", "250").await;
    peer.says("RCPT TO:<Gone@example.com>", "550").await;
    peer.says("DATA", "503").await;
    peer.says("RCPT TO:<there@example.com>", "250").await;
    let addr = sink.addr();
    sink.stop();
    assert_eq!(peer.cut_off().await, "");
    patiently("the end of the listener", async {
        while TcpStream::connect(addr).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn endless_lines_messages_and_mistakes_are_cut_off() {
    let sink = MailSink::start().unwrap();
    let mut peer = Peer::connect(sink.addr()).await;
    assert_eq!(peer.reply().await, "220");
    // A line feed alone ends nothing.
    peer.write("NOOP\n".repeat(205).as_bytes()).await;
    assert!(peer.cut_off().await.starts_with("500 "));

    let mut peer = Peer::greeted(sink.addr()).await;
    for _ in 0..21 {
        peer.says("NONSENSE", "500").await;
    }
    assert!(peer.cut_off().await.starts_with("421 "));

    for endless in [vec![b'x'; 1_001], b"line\r\n".repeat(200_000)] {
        let mut peer = Peer::greeted(sink.addr()).await;
        peer.says("MAIL FROM:<a@b.example>", "250").await;
        peer.says("RCPT TO:<c@d.example>", "250").await;
        peer.says("DATA", "354").await;
        // The server may hang up before it was given everything.
        drop(peer.stream.get_mut().write_all(&endless).await);
        peer.cut_off().await;
    }
    assert!(sink.messages().is_empty());
}
