//! The binary as a person or a script meets it: outputs, exit codes, errors.
#![expect(clippy::unwrap_used, reason = "what cannot be set up has failed as a test")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const CONFIG: &str = r#"
[server]
public_url = "https://sign.example.com"

[[account]]
id = "hr"
platform = "dropbox-sign"
path_secrets = ["path-secret-0123456789abcdef"]
credential = { api_key = { env = "NOT_SET_FOR_DATA_COMMANDS" } }
"#;

fn aftersign(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aftersign"));
    command.current_dir(dir).args(args).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().to_ascii_uppercase().starts_with("AFTERSIGN_") {
            command.env_remove(name);
        }
    }
    command
}

fn run(dir: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    finish(aftersign(dir, args).output().unwrap())
}

fn finish(output: Output) -> (Option<i32>, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn configured(text: &str) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("aftersign.toml"), text).unwrap();
    dir
}

#[test]
fn a_wrong_configuration_ends_with_2_and_names_file_line_key_and_hint() {
    let dir = configured("[server]\nlissten = \"127.0.0.1:1\"\n[engine]\nworkers = \"x\"\n");
    for command in ["serve", "check", "accounts urls", "config show", "envelopes list"] {
        let args: Vec<_> = command.split(' ').collect();
        let (code, out, err) = run(dir.path(), &args);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{command}: {err}");
        assert!(err.starts_with("aftersign: aftersign.toml:2:1: server.lissten: unknown key"), "{err}");
        assert!(err.contains("`listen`") && err.contains("\n  next: "), "{err}");
        assert!(err.contains("aftersign: aftersign.toml:4:1: engine.workers: expected"), "{err}");
    }
}

#[test]
fn a_missing_configuration_ends_with_2_and_tells_how_to_begin() {
    let dir = tempfile::tempdir().unwrap();
    let (code, _, err) = run(dir.path(), &["--config", "nowhere.toml", "check"]);
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("nowhere.toml") && err.contains("aftersign init"), "{err}");
}

#[test]
fn wrong_usage_ends_with_2_and_help_with_0() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), &["envelopes", "list", "--status", "done"]).0, Some(2));
    assert_eq!(run(dir.path(), &["transfers", "resolve", "x"]).0, Some(2));
    let (code, out, _) = run(dir.path(), &["--help"]);
    assert_eq!(code, Some(0));
    for command in [
        "serve",
        "demo",
        "sandbox",
        "init",
        "check",
        "grants",
        "keys",
        "mails",
        "reconcile",
        "backup",
        "journal",
    ] {
        assert!(out.contains(command), "{out}");
    }
}

#[test]
fn what_init_writes_is_a_configuration_and_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = run(dir.path(), &["init", "--dir", "new"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("aftersign check"), "{out}");
    let new = dir.path().join("new");
    let key = fs::read_to_string(new.join("data/vault.key")).unwrap();
    let mode = {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(new.join("data/vault.key")).unwrap().permissions().mode()
    };
    assert_eq!(mode & 0o777, 0o600);
    let (code, out, err) = run(&new, &["config", "show"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("data/vault.key") && out.contains("[[destination]]"), "{out}");
    let (code, _, err) = run(&new, &["check"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(&new, &["init"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("exists") && err.contains("--force"), "{err}");
    assert_eq!(run(&new, &["init", "--force"]).0, Some(0));
    assert_eq!(fs::read_to_string(new.join("data/vault.key")).unwrap(), key);
}

#[test]
fn config_show_redacts_and_obeys_the_environment() {
    let dir = configured(CONFIG);
    let mut command = aftersign(dir.path(), &["config", "show", "--json"]);
    let (code, out, err) =
        finish(command.env("AFTERSIGN__SERVER__LISTEN", "127.0.0.1:9999").output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let shown: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(shown["server"]["listen"], "127.0.0.1:9999");
    assert_eq!(shown["account"][0]["path_secrets"][0], "<redacted>");
    assert_eq!(shown["account"][0]["credential"]["api_key"]["env"], "NOT_SET_FOR_DATA_COMMANDS");
    let (code, out, _) = run(dir.path(), &["config", "schema"]);
    assert_eq!(code, Some(0));
    let schema: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(schema["properties"]["server"]["additionalProperties"], false);
}

#[test]
fn accounts_urls_tells_what_to_paste_where() {
    let dir = configured(CONFIG);
    let (code, _, err) = run(dir.path(), &["accounts", "urls"]);
    assert_eq!(code, Some(2));
    assert!(err.contains("account[0].credential.api_key") && err.contains("NOT_SET"), "{err}");
    let mut command = aftersign(dir.path(), &["accounts", "urls", "--json"]);
    let (code, out, err) = finish(command.env("NOT_SET_FOR_DATA_COMMANDS", "k").output().unwrap());
    assert_eq!(code, Some(0), "{err}");
    let urls: serde_json::Value = serde_json::from_str(&out).unwrap();
    let url = urls["accounts"][0]["urls"][0]["url"].as_str().unwrap();
    assert!(url.starts_with("https://sign.example.com/callbacks/hr/path-secret-0123456789abcdef"), "{url}");
}

#[test]
fn accounts_urls_tells_where_browsers_come_from_where_they_return_and_where_senders_give_access() {
    let before = CONFIG.split("[[account]]").next().unwrap();
    let dir = configured(&format!(
        "{before}[[account]]\nid = \"sales\"\nplatform = \"esignanywhere\"\nbase_url = \"https://demo.example.com\"\n\
         path_secrets = [\"path-secret-0123456789abcdef\"]\n[account.oauth]\nclient_id = \"i\"\n\
         client_secret = \"secret-of-app\"\nredirect_path = \"/back\"\n"
    ));
    let (code, out, err) = run(dir.path(), &["accounts", "urls", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    let urls: serde_json::Value = serde_json::from_str(&out).unwrap();
    let pages = urls["accounts"][0]["pages"].as_array().unwrap();
    let pages: Vec<&str> = pages.iter().map(|page| page["url"].as_str().unwrap()).collect();
    let expected = [
        "https://sign.example.com/consent/sales/before-send?draft=##EnvelopeId##&user=##SenderUserId##\
         &org=##OrganizationId##",
        "https://sign.example.com/back",
        "https://sign.example.com/consent/sales",
    ];
    assert_eq!(pages, expected);
    let (_, text, _) = run(dir.path(), &["accounts", "urls"]);
    for words in
        expected.iter().chain(&["Default redirect url before sending a draft", "Redirect URI", "For senders"])
    {
        assert!(text.contains(words), "{words}: {text}");
    }
    assert!(!format!("{out}{text}").contains("secret-of-app"), "{text}");
}

#[test]
fn a_page_where_keys_are_typed_in_is_told_of_only_where_it_is_said_whose() {
    let account = |id: &str, more: &str| {
        format!(
            "[[account]]\nid = \"{id}\"\nplatform = \"onespan\"\nbase_url = \"https://api.example.com\"\n\
             path_secrets = [\"path-secret-0123456789abcdef\"]\ncallback_keys = [\"k\"]\n{more}\n"
        )
    };
    let before = CONFIG.split("[[account]]").next().unwrap();
    let named = account("named", "senders = [\"*@example.com\"]");
    let dir = configured(&format!("{before}{}{named}", account("open", "")));
    let (code, out, err) = run(dir.path(), &["accounts", "urls"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("https://sign.example.com/consent/named"), "{out}");
    assert!(!out.contains("/consent/open"), "{out}");
}

#[test]
fn the_built_in_templates_are_written_once_and_replace_nothing_unasked() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = run(dir.path(), &["mails", "templates", "words/mail"]);
    assert_eq!(code, Some(0), "{err}");
    let folder = dir.path().join("words/mail");
    let line = out.lines().find(|line| line.trim_start().starts_with("templates_dir = ")).unwrap();
    assert!(line.contains("words/mail\""), "{out}");
    let file = folder.join("digest.txt");
    let built_in = fs::read_to_string(&file).unwrap();
    fs::write(&file, "mine").unwrap();
    fs::remove_file(folder.join("digest.html")).unwrap();
    let (code, _, err) = run(dir.path(), &["mails", "templates", "words/mail"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("exists") && err.contains("--force"), "{err}");
    assert!(fs::read_to_string(&file).unwrap() == "mine" && !folder.join("digest.html").exists());
    assert_eq!(run(dir.path(), &["mails", "templates", "words/mail", "--force"]).0, Some(0));
    assert_eq!(fs::read_to_string(&file).unwrap(), built_in);
    fs::write(dir.path().join("no-folder"), "").unwrap();
    let (code, _, err) = run(dir.path(), &["mails", "templates", "no-folder"]);
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("cannot make the folder"), "{err}");
}

#[test]
fn without_a_mail_server_a_test_message_tells_what_to_write() {
    let dir = configured("");
    let (code, _, err) = run(dir.path(), &["mails", "test", "ops@example.com"]);
    assert_eq!(code, Some(1));
    assert!(err.contains("there is no [mail]") && err.contains("smtp_url = "), "{err}");
    let (code, _, err) = run(dir.path(), &["mails", "test", "nobody"]);
    assert_eq!(code, Some(2), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_reaches_the_mail_server_or_the_reason_is_told_without_the_password() {
    let sink = aftersign_sandbox::MailSink::start().unwrap();
    let dir = configured(&format!(
        "[mail]\nsmtp_url = \"smtp://{}\"\nfrom = \"aftersign@example.com\"\nadmins = [\"ops@example.com\"]\n",
        sink.addr()
    ));
    let path = dir.path().to_owned();
    let test = move |url: Option<String>| {
        let mut command = aftersign(&path, &["mails", "test", "ops@example.com"]);
        command.envs(url.map(|url| ("AFTERSIGN__MAIL__SMTP_URL", url)));
        tokio::task::spawn_blocking(move || finish(command.output().unwrap()))
    };
    let (code, out, err) = test(None).await.unwrap();
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("ops@example.com"), "{out}");
    let mails = sink.messages();
    let [mail] = mails.as_slice() else { panic!("{mails:?}") };
    assert_eq!(
        (mail.from.as_str(), mail.to.as_slice()),
        ("aftersign@example.com", &["ops@example.com".to_owned()][..])
    );
    assert!(mail.data.contains("[Test]"), "{}", mail.data);
    sink.refuse_recipient("ops@example.com");
    let (code, _, err) = test(None).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(err.contains("550") && err.contains("next:"), "{err}");
    let with_password = format!("smtp://user:pass-of-mail@{}?tls=none", sink.addr());
    sink.refuse(true);
    let (code, _, err) = test(Some(with_password)).await.unwrap();
    assert_eq!(code, Some(1));
    assert!(!err.contains("pass-of-mail"), "{err}");
}

#[test]
fn data_commands_say_that_there_is_no_store_yet_and_need_no_secret() {
    let dir = configured(CONFIG);
    for command in [
        "envelopes list",
        "callbacks list",
        "transfers list",
        "tasks list",
        "journal verify",
        "grants list",
        "mails list",
        "grants forget hr anna@example.com",
    ] {
        let args: Vec<_> = command.split(' ').collect();
        let (code, _, err) = run(dir.path(), &args);
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("no database at") && err.contains("data/aftersign.db"), "{err}");
    }
    assert!(!dir.path().join("data").exists());
}

#[test]
fn completions_and_the_manual_page_are_printed() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish"] {
        let (code, out, err) = run(dir.path(), &["completions", shell]);
        assert_eq!(code, Some(0), "{err}");
        assert!(out.contains("envelopes"), "{shell}");
    }
    let (code, out, _) = run(dir.path(), &["man"]);
    assert_eq!(code, Some(0));
    assert!(out.contains(".TH aftersign"), "{out}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = aftersign(dir.path(), &["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let (code, _, err) = finish(child.wait_with_output().unwrap());
    assert_eq!((code, err.as_str()), (Some(0), ""));
}
