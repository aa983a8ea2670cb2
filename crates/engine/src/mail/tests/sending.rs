//! One message to a mail server: what it looks like there, and what each refusal means.

use std::time::Duration;

use aftersign_core::ids::MailId;
use aftersign_core::mail::{Mail, Mailer};
use aftersign_core::secret::Secret;
use aftersign_core::{Error, ErrorKind, Remedy};

use super::server::{Server, fine, header, headers, part};
use crate::mail::{SmtpConfig, SmtpMailer, Templates, send_test};

/// It is in no error; nor is what is sent of it.
const PASSWORD: &str = "hunter2-and-more";
const SENT_PASSWORD: &str = "AHVzZXIAaHVudGVyMi1hbmQtbW9yZQ==";

fn config(url: &str) -> SmtpConfig {
    SmtpConfig { url: Secret::new(url), from: "Aftersign <aftersign@example.com>".into(), ca_file: None }
}

fn mailer(url: &str) -> SmtpMailer {
    SmtpMailer::new(config(url)).unwrap()
}

fn mail() -> Mail {
    Mail {
        id: MailId::parse("0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234").unwrap(),
        to: "anna@example.com".into(),
        subject: "Aftersign: Jürgen's access to hr is needed, 12 envelopes wait, and so does everybody else"
            .into(),
        text: ".hello\n\nGrüße: https://sign.example.com/consent/hr/renew?link=a=b\n.\nend\n".into(),
        html: "<p>Grüße</p>\n".into(),
    }
}

/// What a server that gives `answer` to lines that begin with `line` makes of a mail.
async fn met(line: &'static str, answer: &'static str) -> (Error, Server) {
    let mood = move |said: &str| Some(if said.starts_with(line) { answer.into() } else { fine(said) });
    let server = Server::start(mood).await;
    let error = mailer(&server.url()).send(&mail()).await.unwrap_err();
    assert!(server.taken().is_empty());
    (error, server)
}

#[tokio::test]
async fn a_message_arrives_as_it_was_meant() {
    let server = Server::fine().await;
    let mailer = mailer(&server.url());
    mailer.send(&mail()).await.unwrap();
    mailer.send(&mail()).await.unwrap();
    let taken = server.taken();
    let message = &taken[0];
    assert_eq!(header(message, "From"), "Aftersign <aftersign@example.com>");
    assert_eq!(header(message, "To"), "anna@example.com");
    assert_eq!(header(message, "Auto-Submitted"), "auto-generated");
    assert_eq!(header(message, "X-Auto-Response-Suppress"), "All");
    assert_eq!(header(message, "MIME-Version"), "1.0");
    assert!(header(message, "Date").ends_with("+0000"));
    assert!(header(message, "Subject").contains("=?utf-8?b?"), "{message}");
    assert!(header(message, "Content-Type").starts_with("multipart/alternative;"));
    let ids: Vec<_> = taken.iter().map(|message| header(message, "Message-ID")).collect();
    assert_eq!(ids, ["<0192f0c1-2d3e-7f4a-8b5c-6d7e8f901234@example.com>"; 2], "twice is once");
    for (content_type, body) in [("text/plain", mail().text), ("text/html", mail().html)] {
        assert_eq!(part(message, content_type).replace("\r\n", "\n").trim_end(), body.trim_end());
    }
    assert!(message.is_ascii() && message.lines().all(|line| line.len() <= 998));
    let said = server.said();
    let commands = ["MAIL FROM:<aftersign@example.com>", "RCPT TO:<anna@example.com>", "DATA", "QUIT"];
    assert_eq!(said[2..6], commands, "{said:?}");
}

#[tokio::test]
async fn no_text_can_begin_a_header_or_a_command() {
    let server = Server::fine().await;
    let mailer = mailer(&server.url());
    let subject = "hello\r\nBcc: victim@example.com\r\n\r\n<script>\n.\r\nRCPT TO:<victim@example.com>";
    mailer.send(&Mail { subject: subject.into(), ..mail() }).await.unwrap();
    let message = &server.taken()[0];
    let foreign =
        headers(message).into_iter().find(|line| line.starts_with("Bcc") || line.starts_with("RCPT"));
    assert_eq!(foreign, None);
    let subject = "hello Bcc: victim@example.com <script> . RCPT TO:<victim@example.com>";
    assert_eq!(header(message, "Subject"), subject);
    let heard = server.said().len();
    for to in [
        "anna@example.com\r\nBcc: victim@example.com",
        "anna@example.com>\r\nRCPT TO:<victim@example.com",
        "a\n <anna@example.com>",
        "anna@example.com, victim@example.com",
        "anna",
        "",
    ] {
        let error = mailer.send(&Mail { to: to.into(), ..mail() }).await.unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Rejected, Remedy::AskPerson), "{to}");
        assert!(!error.chain().contains("victim"), "{error}");
    }
    assert_eq!(server.said().len(), heard, "nobody was called");
    let from = "Aftersign\r\nBcc: victim@example.com <aftersign@example.com>".to_owned();
    let error = SmtpMailer::new(SmtpConfig { from, ..config("smtp://localhost") }).err().unwrap().chain();
    assert!(error.contains("no address to send mail from") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn refusals_of_this_mail_are_final() {
    for (line, answer) in [
        ("RCPT", "550 5.1.1 no such mailbox"),
        ("RCPT", "553 5.1.3 bad address"),
        (".", "552 5.3.4 too large"),
        (".", "554 5.7.1 looks like spam"),
    ] {
        let (error, server) = met(line, answer).await;
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Rejected, Remedy::AskPerson), "{answer}");
        assert!(error.chain().contains(answer), "{error}");
        assert_eq!(server.said().last().unwrap(), "QUIT");
    }
}

#[tokio::test]
async fn refusals_of_us_and_of_this_moment_are_tried_again() {
    for (line, answer) in [
        ("connected", "421 4.3.2 too busy"),
        ("connected", "554 5.3.2 no service here"),
        ("EHLO", "550 5.7.1 who are you"),
        ("MAIL", "530 5.7.0 log in first"),
        ("MAIL", "550 5.7.1 not from this address"),
        ("RCPT", "451 4.7.1 greylisted"),
        ("RCPT", "530 5.7.0 log in first"),
        ("RCPT", "554 5.7.1 relay access denied"),
        ("RCPT", "503 5.5.1 bad sequence"),
        ("DATA", "451 4.3.0 busy"),
        (".", "452 4.3.1 disk full"),
    ] {
        let (error, _server) = met(line, answer).await;
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Unavailable, Remedy::Retry(None)), "{answer}");
        assert!(error.chain().contains(answer), "{error}");
    }
}

#[tokio::test]
async fn what_a_server_says_of_a_recipient_is_bounded_and_not_for_the_log() {
    let (error, _server) = met("RCPT", "550 5.1.1 <anna@example.com>: \u{7}unknown").await;
    assert!(error.chain().contains("<anna@example.com>: unknown"), "{error}");
    assert_eq!(error.impersonal_chain(), "mail to: rejected");
    let long: &'static str = Box::leak(format!("550 {}", "x".repeat(900)).into_boxed_str());
    let (error, _server) = met("RCPT", long).await;
    assert!(error.chain().contains("550 xxx") && error.chain().chars().count() < 400, "{error}");
}

#[tokio::test]
async fn a_server_that_is_down_or_talks_nonsense_costs_only_time() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let place = closed.local_addr().unwrap().to_string();
    drop(closed);
    let error = mailer(&format!("smtp://{place}")).send(&mail()).await.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Unreachable, Remedy::Retry(None)));
    assert!(error.chain().contains("cannot be reached") && error.chain().contains(&place), "{error}");
    for answer in ["HTTP/1.1 400 Bad Request", "", "999 what"] {
        let (error, _server) = met("connected", answer).await;
        assert_eq!(error.remedy(), Remedy::Retry(None), "{answer}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_waited_for_within_bounds() {
    for line in ["connected", "EHLO", "MAIL", "RCPT", "DATA", "."] {
        let server = Server::start(move |said| (!said.starts_with(line)).then(|| fine(said))).await;
        let began = tokio::time::Instant::now();
        let error = mailer(&server.url()).send(&mail()).await.unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Unreachable, Remedy::Retry(None)), "{line}");
        assert!(began.elapsed() < Duration::from_secs(8 * 60), "{line}: {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_message_that_was_taken_is_sent_whatever_comes_of_the_farewell() {
    let server =
        Server::start(|said| Some(if said == "QUIT" { "500 what".into() } else { fine(said) })).await;
    mailer(&server.url()).send(&mail()).await.unwrap();
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn a_login_that_is_refused_loses_no_mail_and_shows_no_password() {
    let echo: &'static str =
        Box::leak(format!("502 unknown command AUTH PLAIN {SENT_PASSWORD}").into_boxed_str());
    let cases = [
        ("535 5.7.8 wrong user or password", ErrorKind::AccessRefused),
        (echo, ErrorKind::AccessRefused),
        ("535 hunter2-and-more is no password", ErrorKind::AccessRefused),
        ("454 4.7.0 not now", ErrorKind::Unavailable),
    ];
    for (answer, kind) in cases {
        let mood = move |said: &str| Some(if said.starts_with("AUTH") { answer.into() } else { fine(said) });
        let server = Server::start(mood).await;
        let mailer = mailer(&format!("smtp://user:{PASSWORD}@127.0.0.1:{}?tls=opportunistic", server.port));
        for error in [mailer.send(&mail()).await.unwrap_err(), mailer.probe().await.unwrap_err()] {
            assert_eq!((error.kind(), error.remedy()), (kind, Remedy::Retry(None)), "{answer}");
            let shown = format!("{error:?} {}", error.chain());
            assert!(!shown.contains(PASSWORD) && !shown.contains(SENT_PASSWORD), "{shown}");
        }
        let said = server.said();
        assert!(said.iter().any(|line| line.contains(SENT_PASSWORD)), "{said:?}");
        assert!(!said.iter().any(|line| line.starts_with("MAIL")), "{said:?}");
    }
    assert!(!format!("{:?}", config("smtp://user:hunter2@localhost")).contains("hunter2"));
}

#[tokio::test]
async fn a_login_is_shown_to_the_server() {
    let server = Server::fine().await;
    let mailer = mailer(&format!("smtp://user:{PASSWORD}@127.0.0.1:{}?tls=none", server.port));
    mailer.send(&mail()).await.unwrap();
    assert_eq!(server.said()[2], format!("AUTH PLAIN {SENT_PASSWORD}"));
}

#[tokio::test]
async fn where_tls_is_required_nothing_is_said_without_it() {
    for url in ["user:hunter2@127.0.0.1:PORT", "127.0.0.1:PORT?tls=required"] {
        let server = Server::fine().await;
        let url = format!("smtp://{}", url.replace("PORT", &server.port.to_string()));
        let error = mailer(&url).send(&mail()).await.unwrap_err();
        assert_eq!((error.kind(), error.remedy()), (ErrorKind::Misconfigured, Remedy::Retry(None)));
        assert!(error.chain().contains("STARTTLS"), "{error}");
        let said = server.said().join(" ");
        assert!(!said.contains("AUTH") && !said.contains("MAIL"), "{said}");
    }
}

#[tokio::test]
async fn what_was_offered_and_fails_is_not_done_without() {
    let mood = |said: &str| {
        Some(match said {
            said if said.starts_with("EHLO") => "250-mail.example.com\r\n250 STARTTLS".into(),
            "STARTTLS" => "454 no TLS today".into(),
            said => fine(said),
        })
    };
    let server = Server::start(mood).await;
    for tls in ["required", "opportunistic"] {
        let error = mailer(&format!("{}?tls={tls}", server.url())).send(&mail()).await.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Retry(None), "{error}");
        assert!(error.chain().contains("454 no TLS today"), "{error}");
    }
    assert!(!server.said().iter().any(|line| line.starts_with("MAIL")));
}

#[tokio::test]
async fn letters_beyond_ascii_need_a_server_that_takes_them() {
    let umlaut = Mail { to: "jürgen@example.com".into(), ..mail() };
    let server = Server::fine().await;
    mailer(&server.url()).send(&umlaut).await.unwrap();
    let said = server.said();
    assert!(said.iter().any(|line| line.starts_with("MAIL FROM:") && line.contains("SMTPUTF8")), "{said:?}");
    let plain = |said: &str| Some(if said.starts_with("EHLO") { "250 plain".into() } else { fine(said) });
    let server = Server::start(plain).await;
    let error = mailer(&server.url()).send(&umlaut).await.unwrap_err();
    assert_eq!((error.kind(), error.remedy()), (ErrorKind::Rejected, Remedy::AskPerson), "{error}");
    mailer(&server.url()).send(&mail()).await.unwrap();
}

#[tokio::test]
async fn a_probe_is_let_in_and_sends_nothing() {
    let server = Server::fine().await;
    mailer(&server.url()).probe().await.unwrap();
    let said = server.said();
    assert!(said[1].starts_with("EHLO ") && said[2..] == ["QUIT"], "{said:?}");
}

#[tokio::test]
async fn a_test_mail_says_that_it_is_one() {
    let server = Server::fine().await;
    let templates = Templates::load(None).unwrap();
    let mailer = mailer(&server.url());
    send_test(&mailer, &templates, "ops@example.com").await.unwrap();
    send_test(&mailer, &templates, "ops@example.com").await.unwrap();
    let taken = server.taken();
    assert!(header(&taken[0], "Subject").starts_with("[Test] Aftersign: "), "{}", taken[0]);
    assert!(part(&taken[0], "text/plain").contains("This is a sample"));
    assert_eq!(header(&taken[0], "To"), "ops@example.com");
    assert_ne!(header(&taken[0], "Message-ID"), header(&taken[1], "Message-ID"));
}

#[test]
fn a_ca_file_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ca.pem");
    let broken = "-----BEGIN CERTIFICATE-----\nbm8gY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n";
    let large = "x".repeat(2_000_000);
    for (text, part) in [
        (None, "cannot read the CA file"),
        (Some("no certificate"), "holds no certificates"),
        (Some(broken), "TLS for mail cannot be set up"),
        (Some(large.as_str()), "larger than"),
    ] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let url = "smtp://mail.example.com?tls=required";
        let error = SmtpMailer::new(SmtpConfig { ca_file: Some(path.clone()), ..config(url) }).err().unwrap();
        assert_eq!(error.kind(), ErrorKind::Misconfigured);
        assert!(error.chain().contains(part) && error.chain().contains("ca.pem"), "{error}");
    }
}
