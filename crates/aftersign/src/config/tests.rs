//! Bad configurations are told where, which key and what to do; good ones come out as they were meant.

use std::fs;
use std::path::Path;
use std::time::Duration;

use aftersign_core::rule::DisposePolicy;
use serde_json::Value as Json;
use tempfile::TempDir;

use super::load::defaults;
use super::problem::{Place, Problem};
use super::{DEFAULTS, Environment, Problems, Registry, Settings, file, json_schema, read, show_toml};

const GOOD: &str = r#"
[server]
public_url = "https://sign.example.com"

[[account]]
id = "hr"
platform = "dropbox-sign"
path_secrets = ["path-secret-0123456789abcdef"]
credential = { api_key = "api-key-of-hr" }

[[destination]]
id = "archive"
type = "filesystem"
root = "archive"

[[rule]]
account = "hr"
deliver_to = ["archive"]
"#;

fn folder(text: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("aftersign.toml"), text).unwrap();
    folder
}

fn load(folder: &Path, environment: &Environment) -> Result<Settings, Problems> {
    read(&folder.join("aftersign.toml"), environment)?.resolve(environment, &Registry::COMPILED_IN)
}

fn good(text: &str, environment: &Environment) -> Settings {
    let folder = folder(text);
    load(folder.path(), environment).unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

fn problems(text: &str, environment: &Environment) -> Vec<Problem> {
    let folder = folder(text);
    let loaded = load(folder.path(), environment);
    loaded.map(|settings| panic!("accepted: {settings:?}")).unwrap_or_else(|problems| problems.0)
}

fn line_of(text: &str, part: &str) -> usize {
    let at = text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
    text[..at].matches('\n').count() + 1
}

/// `GOOD` with one text in the place of another has exactly this problem, on the line of the new text.
fn one_problem(old: &str, new: &str, key: &str, words: &[&str]) {
    assert!(GOOD.contains(old), "{old}");
    let text = GOOD.replacen(old, new, 1);
    let found = problems(&text, &Environment::default());
    let [problem] = found.as_slice() else { panic!("{new}: {found:#?}") };
    assert_eq!(problem.key, key, "{new}: {problem:?}");
    for word in words {
        assert!(problem.to_string().contains(word), "{word}: {problem}");
    }
    let Place::File { line, column, .. } = problem.place else { panic!("{new}: {problem:?}") };
    assert_eq!(line, line_of(&text, new.trim_start()), "{new}: {problem}");
    assert!(column >= 1);
}

#[test]
fn the_defaults_are_what_is_documented() {
    let settings = good("", &Environment::default());
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(settings.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.public_url, "http://127.0.0.1:8080");
    assert_eq!((settings.time_scale, settings.node.as_str()), (1.0, "main"));
    assert!(settings.store_path.ends_with("data/aftersign.db") && settings.store_path.is_absolute());
    assert!(settings.staging_dir.ends_with("data/staging"));
    assert_eq!(settings.queue_max, aftersign_store::SqliteOptions::new("", no_entropy()).queue_max);
    assert_eq!(settings.intake, aftersign_intake::IntakeConfig::default());
    assert!(settings.accounts.is_empty() && settings.rules.is_empty() && settings.destinations.is_empty());
    let account = good(GOOD, &Environment::default()).accounts.remove(0);
    assert_eq!(account.reconcile_every, Duration::from_secs(6 * 3600));
}

fn no_entropy() -> std::sync::Arc<dyn aftersign_core::seams::Entropy> {
    std::sync::Arc::new(crate::system::SystemEntropy)
}

#[test]
fn the_manual_names_every_key_and_its_examples_are_right() {
    let mut text = String::new();
    for line in DEFAULTS.lines() {
        let example = line.strip_prefix('#').filter(|rest| !rest.is_empty() && !rest.starts_with(' '));
        text.push_str(example.unwrap_or(line));
        text.push('\n');
    }
    let secret = "0123456789abcdef0123456789abcdef";
    let environment = Environment::from([
        ("HR_PATH_SECRET", secret),
        ("HR_DROPBOX_KEY", "k"),
        ("HR_CALLBACK_BASIC", "user:password"),
        ("HR_OAUTH_SECRET", "s"),
        ("ERP_HOOK_SECRET", "s"),
    ]);
    let site = folder(&text);
    for name in ["mail-templates", "mail-ca.pem"] {
        fs::create_dir(site.path().join(name)).unwrap();
    }
    let all_examples =
        load(site.path(), &environment).unwrap_or_else(|problems| panic!("{problems}\n{text}"));
    assert_eq!(all_examples.accounts[0].reconcile_every, Duration::from_secs(6 * 3600));
    let table: toml::Table = toml::from_str(&text).unwrap();
    every_key_is_in(&json_schema(), &toml::Value::Table(table), "");
    // What an example shows as a list member's default is its default.
    let text_without = GOOD.replace("account = \"hr\"\n", "");
    let rule = good(&text_without, &Environment::default()).rules.remove(0);
    let example = &all_examples.rules[0];
    assert_eq!(
        (rule.account, rule.when, rule.path),
        (example.account.clone(), example.when.clone(), example.path.clone())
    );
    assert_eq!((rule.dispose, example.dispose), (None, Some(DisposePolicy::Never)), "left out: what is safe");
    assert_eq!(all_examples.accounts[0].retention_days, Some(90));
    the_manuals_defaults_are_those_of_oauth_and_mail(&all_examples);
    every_option_is_in_the_manual();
}

/// An application with only what it must have, and so mail, come out as the manual's examples, which name every key.
fn the_manuals_defaults_are_those_of_oauth_and_mail(examples: &Settings) {
    let text = format!("{MAIL}{}", with_oauth(""));
    let least = good(&text, &Environment::default());
    let (least_app, app) = (oauth_of(&least), oauth_of(examples));
    assert_eq!((&least_app.authorize_url, &least_app.token_url, &least_app.scope), (&None, &None, &None));
    assert_eq!(
        (&least_app.redirect_uri, least_app.client_auth, least_app.pkce),
        (&format!("{}/consent/hr/return", least.public_url), app.client_auth, app.pkce)
    );
    assert!(app.redirect_uri.ends_with("/consent/hr/return"));
    assert!(!least.accounts[0].search_senders && !examples.accounts[0].search_senders);
    let (least, mail) = (least.mail.unwrap(), examples.mail.clone().unwrap());
    assert_eq!((&least.templates_dir, &least.ca_file), (&None, &None));
    assert_eq!((least.digest_every, least.escalate_every), (mail.digest_every, mail.escalate_every));
}

fn oauth_of(settings: &Settings) -> &aftersign_core::grant::OauthApp {
    settings.accounts[0].oauth.as_ref().unwrap()
}

fn every_option_is_in_the_manual() {
    for platform in aftersign_platforms::all() {
        for option in platform.options() {
            for word in option.values.iter().chain([&option.name]) {
                assert!(DEFAULTS.contains(word), "the manual lacks `{word}` of {}", platform.name());
            }
        }
        for field in platform.credential_shapes().iter().flat_map(|shape| shape.fields) {
            assert!(DEFAULTS.contains(field), "the manual lacks `{field}` of {}", platform.name());
        }
    }
}

fn every_key_is_in(schema: &Json, value: &toml::Value, at: &str) {
    let value = match value {
        toml::Value::Array(list) if list.first().is_some_and(toml::Value::is_table) => &list[0],
        other => other,
    };
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    let Some(properties) = schema["properties"].as_object() else { return };
    if schema.get("maxProperties").is_some() || at == "vault.keys" {
        return;
    }
    for (name, below) in properties {
        let found = value.get(name).unwrap_or_else(|| panic!("the manual lacks {at}.{name}"));
        every_key_is_in(below, found, &super::problem::member(at, name));
    }
}

#[test]
fn unknown_keys_name_their_line_and_the_nearest_known_key() {
    for (old, new, key, nearest) in [
        ("public_url =", "publik_url =", "server.publik_url", "`public_url`"),
        ("root =", "rot = 1\nroot =", "destination[0].rot", "`root`"),
        ("[[destination]]", "[metrics]\n[[destination]]", "metrics", "nearest known key"),
        ("api_key =", "api_kye = \"x\", api_key =", "account[0].credential.api_kye", "`api_key`"),
        ("\"api-key-of-hr\"", "{ evn = \"X\" }", "account[0].credential.api_key.evn", "`env`"),
    ] {
        let text = GOOD.replacen(old, new, 1);
        let found = problems(&text, &Environment::default());
        let problem = found.iter().find(|problem| problem.key == key);
        let problem = problem.unwrap_or_else(|| panic!("{key}: {found:#?}"));
        assert!(problem.to_string().contains(nearest), "{problem}");
        let Place::File { line, .. } = problem.place else { panic!("{problem:?}") };
        assert_eq!(line, line_of(&text, new), "{problem}");
    }
}

#[test]
fn each_mistake_of_shape_is_told_with_line_and_key() {
    one_problem("root = \"archive\"", "root = 7", "destination[0].root", &["a text", "a whole number"]);
    one_problem("type = \"filesystem\"", "type = \"filesistem\"", "destination[0].type", &["`filesystem`"]);
    one_problem(
        "[\"path-secret-0123456789abcdef\"]",
        "[]",
        "account[0].path_secrets",
        &["1 to 2", "path_secrets"],
    );
    let hours = "reconcile_hours = 200\npath_secrets";
    one_problem("path_secrets", hours, "account[0].reconcile_hours", &["1 to 168"]);
    let found = problems(&GOOD.replace("root = \"archive\"\n", ""), &Environment::default());
    assert_eq!(found[0].key, "destination[0].root");
    assert!(found[0].to_string().contains("aftersign.toml:11:"), "{}", found[0]);
}

#[test]
fn each_mistake_of_meaning_is_told_with_line_and_key() {
    let account = |key: &str| format!("account[0].{key}");
    one_problem("com\"", "com/\"", "server.public_url", &["slash", "\"https://sign.example.com\""]);
    one_problem("\"https://sign.example.com\"", "\"sign\"", "server.public_url", &["http or https"]);
    let upper = GOOD.replace("id = \"hr\"", "id = \"HR\"").replace("account = \"hr\"\n", "");
    let found = problems(&upper, &Environment::default());
    assert_eq!((found.len(), found[0].key.as_str()), (1, "account[0].id"));
    one_problem("dropbox-sign", "dropbox_sign", &account("platform"), &["`dropbox-sign`", "esignanywhere"]);
    one_problem(
        "path-secret-0123456789abcdef",
        "short",
        &format!("{}[0]", account("path_secrets")),
        &["22 characters", "openssl"],
    );
    let whole = "credential = { api_key = \"api-key-of-hr\" }";
    one_problem(whole, "credential = {}", &account("credential.api_key"), &["missing", "{ api_key }"]);
    one_problem("\"api-key-of-hr\"", "\"\"", &account("credential.api_key"), &["empty"]);
    one_problem(
        "\"api-key-of-hr\"",
        "{ env = \"NOPE\" }",
        &account("credential.api_key"),
        &["NOPE", "not set"],
    );
    let no_file = "{ file = \"nope.key\" }";
    one_problem("\"api-key-of-hr\"", no_file, &account("credential.api_key"), &["nope.key", "cannot read"]);
    one_problem("[\"archive\"]", "[\"archiv\"]", "rule[0].deliver_to[0]", &["`archive`"]);
    one_problem("account = \"hr\"", "account = \"hq\"", "rule[0].account", &["`hr`"]);
    let rule = |line: &str| format!("{line}\ndeliver_to");
    one_problem("deliver_to", &rule("when = [\"complete\"]"), "rule[0].when[0]", &["`completed`"]);
    one_problem("deliver_to", &rule("path = \"{name}\""), "rule[0].path", &["{envelope_id}"]);
    one_problem("deliver_to", &rule("dispose = \"now\""), "rule[0].dispose", &["after-days:N"]);
    one_problem(
        "deliver_to",
        &rule("dispose = \"after-extension\""),
        "rule[0].dispose",
        &["`hr` extends no seals", "leave `dispose` out"],
    );
    one_problem(
        "path_secrets",
        "retention_days = 0\npath_secrets",
        &account("retention_days"),
        &["1 to 36500"],
    );
    let engine = "[engine]\ntime_scale = 0.0\n[[rule]]";
    let found = problems(&GOOD.replace("[[rule]]", engine), &Environment::default());
    assert_eq!((found.len(), found[0].key.as_str()), (1, "engine.time_scale"));
}

const MAIL: &str =
    "[mail]\nsmtp_url = \"smtp://user:pass-of-mail@localhost:25\"\nfrom = \"a@b\"\nadmins = [\"c@d\"]\n";

/// `GOOD` whose account has an application, with one more line in that.
fn with_oauth(line: &str) -> String {
    let oauth = format!(
        "[account.oauth]\nclient_id = \"i\"\nclient_secret = \"secret-of-app\"\n{line}\n\n[[destination]]"
    );
    GOOD.replacen("[[destination]]", &oauth, 1)
}

#[test]
fn an_application_that_cannot_be_is_told_with_line_and_key() {
    for (line, key, words) in [
        ("authorize_url = \"ftp://x/\"", "authorize_url", "http or https"),
        ("token_url = \"x\"", "token_url", "http or https"),
        ("client_auth = \"header\"", "client_auth", "`post`, `basic`"),
        ("redirect_path = \"return\"", "redirect_path", "/consent/hr/return"),
        ("redirect_path = \"//evil.example.com\"", "redirect_path", "begins with a slash"),
        ("redirect_path = \"/callbacks/hr\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/hr\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/hr/key\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/hr/key/\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/hr/back/again\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/it/back\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/assets/back\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent/hr/a.css\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/consent\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/back/../callbacks/hr\"", "redirect_path", "no page or callback of ours"),
        ("redirect_path = \"/a?b=c\"", "redirect_path", "letters, digits"),
    ] {
        let found = problems(&with_oauth(line), &Environment::default());
        let [problem] = found.as_slice() else { panic!("{line}: {found:#?}") };
        assert_eq!(problem.key, format!("account[0].oauth.{key}"));
        assert!(problem.to_string().contains(words), "{problem}");
        assert!(matches!(problem.place, Place::File { .. }), "{problem:?}");
    }
    for path in ["/consent/hr/back", "/oauth/it/back", "/back.css"] {
        let settings = good(&with_oauth(&format!("redirect_path = \"{path}\"")), &Environment::default());
        assert_eq!(oauth_of(&settings).redirect_uri, format!("https://sign.example.com{path}"));
    }
    let secret = with_oauth("").replace("\"secret-of-app\"", "{ env = \"NOPE\" }");
    assert_eq!(problems(&secret, &Environment::default())[0].key, "account[0].oauth.client_secret");
    let unnamed = with_oauth("").replace("client_id = \"i\"", "client_id = \"\"");
    assert_eq!(problems(&unnamed, &Environment::default())[0].key, "account[0].oauth.client_id");
    let account = |id: &str| {
        format!(
            "[[account]]\nid = \"{id}\"\nplatform = \"dropbox-sign\"\ncallback_keys = [\"k\"]\n\
             path_secrets = [\"path-secret-0123456789abcdef\"]\n[account.oauth]\nclient_id = \"i\"\n\
             client_secret = \"s\"\nredirect_path = \"/back\"\n"
        )
    };
    let found = problems(&format!("{}{}", account("hr"), account("it")), &Environment::default());
    assert_eq!((found.len(), found[0].key.as_str()), (1, "account[1].oauth.redirect_path"), "{found:#?}");
    let found = problems(
        &format!("{LEGAL}[account.oauth]\nclient_id = \"i\"\nclient_secret = \"s\"\n"),
        &Environment::default(),
    );
    assert_eq!((found.len(), found[0].key.as_str()), (1, "account[0].oauth"), "{found:#?}");
    assert!(found[0].to_string().contains("aftersign grants set"), "{}", found[0]);
}

#[test]
fn access_is_taken_from_everybody_or_from_those_who_are_named() {
    let with =
        |senders: &str| GOOD.replacen("path_secrets", &format!("senders = {senders}\npath_secrets"), 1);
    let senders = |text: &str| good(text, &Environment::default()).accounts.remove(0).senders;
    assert!(senders(GOOD).is_empty());
    assert_eq!(
        senders(&with("[\"*@Example.com\", \" Anna@partner.example \"]")),
        ["*@example.com", "anna@partner.example"]
    );
    for wrong in
        ["", "*", "*@", "example.com", "@example.com", "a@", "*.com", "a*@example.com", "*@*", "*@a@b"]
    {
        let line = format!("senders = [\"a@b\", \"{wrong}\"]");
        let words = ["neither an address nor `*@` and a domain", "\"*@example.com\""];
        one_problem("path_secrets", &format!("{line}\npath_secrets"), "account[0].senders[1]", &words);
    }
    // Nobody at all is surely a mistake.
    one_problem("path_secrets", "senders = []\npath_secrets", "account[0].senders", &["senders"]);
}

#[test]
fn an_account_without_a_credential_needs_only_what_its_callbacks_are_checked_with() {
    let whole = "credential = { api_key = \"api-key-of-hr\" }";
    let found = problems(&GOOD.replace(whole, ""), &Environment::default());
    assert_eq!((found.len(), found[0].key.as_str()), (1, "account[0].callback_keys"), "{found:#?}");
    let account =
        good(&GOOD.replace(whole, "callback_keys = [\"k\"]\nsearch_senders = true"), &Environment::default());
    assert!(account.accounts[0].access.credential.is_empty() && account.accounts[0].search_senders);
    // Where callbacks are signed with nothing, nothing is needed.
    let unsigned = LEGAL.replace("credential = { api_key = \"k\" }", "");
    assert!(good(&unsigned, &Environment::default()).accounts[0].access.credential.is_empty());
}

#[test]
fn mail_that_cannot_be_is_told_with_line_and_key() {
    for (line, key, words) in [
        ("templates_dir = \"nowhere\"", "mail.templates_dir", "there is nothing at"),
        ("ca_file = \"nowhere.pem\"", "mail.ca_file", "leave the key out"),
        ("digest_minutes = 0", "mail.digest_minutes", "1 to 1440"),
        ("escalate_hours = 721", "mail.escalate_hours", "1 to 720"),
    ] {
        let found = problems(&format!("{MAIL}{line}\n"), &Environment::default());
        let [problem] = found.as_slice() else { panic!("{line}: {found:#?}") };
        assert_eq!(problem.key, key);
        let Place::File { line: at, .. } = problem.place else { panic!("{problem:?}") };
        assert!(at == 5 && problem.to_string().contains(words), "{problem}");
    }
    for (old, new, key) in [
        ("\"a@b\"", "\"nobody\"", "mail.from"),
        ("\"c@d\"", "\"c@d\", \"@d\"", "mail.admins[1]"),
        ("smtp://user", "http://user", "mail.smtp_url"),
    ] {
        let found = problems(&MAIL.replace(old, new), &Environment::default());
        assert_eq!((found.len(), found[0].key.as_str()), (1, key), "{found:#?}");
        assert!(!format!("{found:?}").contains("pass-of-mail"), "{found:?}");
    }
}

/// An account at the platform with two ways to be let in and options.
const LEGAL: &str = r#"
[[account]]
id = "legal"
platform = "onespan"
base_url = "https://sandbox.esignlive.com"
path_secrets = ["path-secret-0123456789abcdef"]
credential = { api_key = "k" }
"#;

#[test]
fn a_credential_is_of_one_shape_and_what_does_not_fit_is_told_with_all_shapes() {
    let with = |credential: &str| LEGAL.replace("{ api_key = \"k\" }", credential);
    for flow in ["client-app", "oauth2"] {
        let text = with(&format!("{{ client_id = \"i\", client_secret = \"s\", flow = \"{flow}\" }}"));
        let account = good(&text, &Environment::default()).accounts.remove(0);
        assert_eq!(account.access.credential.field("flow"), flow);
    }
    for (credential, key, words) in [
        ("{ client_id = \"i\", client_secret = \"s\" }", "flow", "missing"),
        (
            "{ client_id = \"i\", client_secrte = \"s\", flow = \"oauth2\" }",
            "client_secrte",
            "`client_secret`",
        ),
        ("{ api_key = \"k\", flow = \"oauth2\" }", "flow", "`api_key`"),
        (
            "{ client_id = \"i\", client_secret = \"s\", flow = \"oauth\" }",
            "flow",
            "none of `client-app`, `oauth2`",
        ),
        ("{}", "api_key", "missing"),
    ] {
        let found = problems(&with(credential), &Environment::default());
        let problem = found.iter().find(|problem| problem.key == format!("account[0].credential.{key}"));
        let text = problem.unwrap_or_else(|| panic!("{credential}: {found:#?}")).to_string();
        let shapes = "{ api_key } or { client_id, client_secret, flow = \"client-app\" | \"oauth2\" }";
        assert!(text.contains(words) && text.contains(shapes), "{text}");
    }
}

#[test]
fn an_option_is_one_of_the_platforms_and_has_one_of_its_values() {
    let with = |options: &str| format!("{LEGAL}options = {options}\n");
    let account = good(&with("{ list_dialect = \"spec1151\" }"), &Environment::default()).accounts.remove(0);
    assert_eq!(account.access.option("list_dialect"), Some("spec1151"));
    let folder = folder(&with("{ list_dialect = \"spec1151\" }"));
    let config = read(&folder.path().join("aftersign.toml"), &Environment::default()).unwrap().config;
    let shown: toml::Table = toml::from_str(&show_toml(&config).unwrap()).unwrap();
    assert_eq!(shown["account"][0]["options"]["list_dialect"].as_str(), Some("spec1151"));
    for (text, key, words) in [
        (with("{ list_dialekt = \"spec1151\" }"), "list_dialekt", "nearest is `list_dialect`"),
        (with("{ list_dialect = \"spec\" }"), "list_dialect", "none of `sdk2024`, `spec1151`"),
        (
            GOOD.replace(
                "dropbox-sign\"",
                "esignanywhere\"\nbase_url = \"https://x\"\noptions = { a = \"b\" }",
            )
            .replace("api_key =", "api_token ="),
            "a",
            "known here: inbox_url",
        ),
    ] {
        let found = problems(&text, &Environment::default());
        let [problem] = found.as_slice() else { panic!("{found:#?}") };
        assert_eq!(problem.key, format!("account[0].options.{key}"));
        assert!(problem.to_string().contains(words), "{problem}");
    }
}

#[test]
fn waiting_for_an_extension_is_for_platforms_that_extend_seals() {
    let account = |id: &str, platform: &str, credential: &str| {
        format!(
            "[[account]]\nid = \"{id}\"\nplatform = \"{platform}\"\n\
             path_secrets = [\"path-secret-0123456789abcdef\"]\ncredential = {{ {credential} }}\n"
        )
    };
    let lab = account(
        "lab",
        "scrive",
        "api_token = \"a\", api_secret = \"b\", access_token = \"c\", access_secret = \"d\"",
    );
    let hr = account("hr", "dropbox-sign", "api_key = \"k\"");
    let text = |accounts: &str, rule: &str| {
        format!(
            "{accounts}[[destination]]\nid = \"archive\"\ntype = \"filesystem\"\nroot = \"a\"\n\
             [[rule]]\naccount = \"{rule}\"\ndeliver_to = [\"archive\"]\ndispose = \"after-extension\"\n"
        )
    };
    for rule in ["lab", "*"] {
        let rule = good(&text(&lab, rule), &Environment::default()).rules.remove(0);
        assert_eq!(rule.dispose, Some(DisposePolicy::AfterExtension));
    }
    good(&text(&format!("{lab}{hr}"), "lab"), &Environment::default());
    for rule in ["hr", "*"] {
        let found = problems(&text(&format!("{lab}{hr}"), rule), &Environment::default());
        let [problem] = found.as_slice() else { panic!("{found:#?}") };
        let told = problem.to_string();
        assert!(told.contains("account `hr` extends no seals") && told.contains("wait for ever"), "{told}");
    }
}

#[test]
fn callback_urls_are_those_of_every_path_secret_the_current_one_first() {
    let two = "[\"path-secret-0123456789abcdef\", \"older-secret-0123456789abcdef\"]";
    let text = GOOD.replacen("[\"path-secret-0123456789abcdef\"]", two, 1);
    let settings = good(&text, &Environment::default());
    let urls = settings.accounts[0].callback_urls(&settings.public_url);
    let first = |index: usize| urls[index][0].url.as_str();
    assert_eq!(urls.len(), 2);
    assert!(
        first(0).contains("/callbacks/hr/path-secret-") && first(1).contains("/callbacks/hr/older-secret-")
    );
}

#[test]
fn stores_listeners_and_ids_that_cannot_be_are_refused() {
    for (text, key, words) in [
        ("[store]\nurl = \"postgres://u:secret@h/d\"", "store.url", "not available in this version"),
        ("[store]\nurl = \"mysql:x\"", "store.url", "sqlite:"),
        ("[server]\nlisten = \"localhost\"", "server.listen", "127.0.0.1:8080"),
        ("[server]\nlisten = \"0.0.0.0:8081\"", "admin.listen", "share one address"),
        ("[log]\nlevel = \"loud=very=much\"", "log.level", "log level"),
        ("[vault]\nkeys = [{ id = \"a\", env = \"SHORT\" }]", "vault.keys[0].env", "32 random bytes"),
        ("[vault]\nkeys = [{ id = \"a\" }]", "vault.keys[0]", "exactly one"),
        ("[mail]\nsmtp_url = \"x\"\nfrom = \"a@b\"\nadmins = []", "mail.smtp_url", "smtp"),
    ] {
        let found = problems(text, &Environment::from([("SHORT", "c2hvcnQ=")]));
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].key, key);
        assert!(found[0].to_string().contains(words), "{}", found[0]);
        assert!(!found[0].to_string().contains("secret@"), "{}", found[0]);
    }
    let twice = format!("{GOOD}\n[[destination]]\nid = \"archive\"\ntype = \"filesystem\"\nroot = \"b\"\n");
    assert_eq!(problems(&twice, &Environment::default())[0].key, "destination[1].id");
}

#[test]
fn all_mistakes_are_told_at_once_in_the_order_of_the_file() {
    let text = GOOD
        .replace("\"https://sign.example.com\"", "\"ftp://x\"")
        .replace("dropbox-sign", "docusign")
        .replace("[\"archive\"]", "[]");
    let found = problems(&text, &Environment::default());
    let keys: Vec<_> = found.iter().map(|problem| problem.key.as_str()).collect();
    assert_eq!(keys, ["server.public_url", "account[0].platform", "rule[0].deliver_to"]);
}

#[test]
fn a_file_that_is_not_toml_tells_the_line_and_quotes_nothing() {
    let found = problems("[server]\nlisten = \"my-secret\n", &Environment::default());
    assert!(found[0].to_string().contains("aftersign.toml:2:"), "{}", found[0]);
    assert!(!found[0].to_string().contains("my-secret"), "{}", found[0]);
}

#[test]
fn the_environment_wins_over_the_file() {
    let environment = Environment::from([
        ("AFTERSIGN__SERVER__LISTEN", "0.0.0.0:9000"),
        ("aftersign__engine__time_scale", "3600"),
        ("AFTERSIGN__LOG__FORMAT", "json"),
        ("AFTERSIGN__ACCOUNT__0__BASE_URL", "http://localhost:1/v3/"),
        ("AFTERSIGN__ACCOUNT__0__PATH_SECRETS", "[{ env = \"SECRET\" }]"),
        ("AFTERSIGN__ACCOUNT__0__CREDENTIAL__API_KEY", "12345678"),
        ("AFTERSIGN__ACCOUNT__1__ID", "it"),
        ("AFTERSIGN__ACCOUNT__1__PLATFORM", "dropbox-sign"),
        ("AFTERSIGN__ACCOUNT__1__PATH_SECRETS__0", "another-secret-0123456789"),
        ("AFTERSIGN__ACCOUNT__1__CREDENTIAL__API_KEY__ENV", "SECRET"),
        ("SECRET", "secret-of-the-environment"),
    ]);
    let settings = good(GOOD, &environment);
    assert_eq!(settings.listen.to_string(), "0.0.0.0:9000");
    assert_eq!(settings.time_scale, 3600.0);
    assert_eq!(settings.log.format, super::LogFormat::Json);
    let [hr, it] = settings.accounts.as_slice() else { panic!("{settings:?}") };
    assert_eq!(hr.access.base_url, "http://localhost:1/v3");
    assert_eq!(hr.path_secrets[0].expose(), "secret-of-the-environment");
    assert_eq!(hr.access.credential.field("api_key"), "12345678");
    assert_eq!(
        (it.id().as_str(), it.access.credential.field("api_key")),
        ("it", "secret-of-the-environment")
    );
}

#[test]
fn a_mistake_in_the_environment_names_the_variable() {
    for (name, value, words) in [
        ("AFTERSIGN__SERVER__LISTN", "x", "`listen`"),
        ("AFTERSIGN__ENGINE__WORKERS", "many", "a whole number"),
        ("AFTERSIGN__ACCOUNT__7__ID", "x", "the list has 1"),
        ("AFTERSIGN__SERVER__LISTEN__X", "x", "single value"),
        ("AFTERSIGN__ENGINE__TIME_SCALE", "-1", "above 0"),
    ] {
        let found = problems(GOOD, &Environment::from([(name, value)]));
        let text = found[0].to_string();
        assert!(text.contains(name) && text.contains(words), "{text}");
    }
}

#[test]
fn secrets_are_read_from_files_and_stand_in_no_output() {
    let text = GOOD
        .replace("\"api-key-of-hr\"", "{ file = \"hr.key\" }")
        .replace("id = \"hr\"", "id = \"hr\"\ncallback_basic = \"user:very-secret\"");
    let folder = folder(&text);
    fs::write(folder.path().join("hr.key"), "key-from-file\r\n").unwrap();
    let environment = Environment::default();
    let settings = load(folder.path(), &environment).unwrap();
    assert_eq!(settings.accounts[0].access.credential.field("api_key"), "key-from-file");
    assert_eq!(settings.accounts[0].callback_secrets.keys[0].expose(), "key-from-file");
    let (user, password) = settings.accounts[0].basic().unwrap();
    assert_eq!((user.as_str(), password.expose()), ("user", "very-secret"));
    let config = read(&folder.path().join("aftersign.toml"), &environment).unwrap().config;
    let shown = show_toml(&config).unwrap();
    let json = serde_json::to_string(&config).unwrap();
    let debug = format!("{config:?}{settings:?}");
    for output in [&shown, &json, &debug] {
        assert!(!output.contains("very-secret") && !output.contains("path-secret-0"), "{output}");
        assert!(!output.contains("key-from-file"), "{output}");
    }
    assert!(shown.contains("{ file = \"hr.key\" }") && shown.contains("\"<redacted>\""), "{shown}");
    let again: toml::Table = toml::from_str(&shown).unwrap();
    assert_eq!(again["account"][0]["reconcile_hours"].as_integer(), Some(6));
}

#[test]
fn the_file_is_the_named_one_else_the_environments_else_the_usual() {
    let environment = Environment::from([("AFTERSIGN_CONFIG", "/etc/a.toml")]);
    assert_eq!(file(Some(Path::new("x.toml")), &environment), Path::new("x.toml"));
    assert_eq!(file(None, &environment), Path::new("/etc/a.toml"));
    assert_eq!(file(None, &Environment::default()), Path::new("aftersign.toml"));
}

#[test]
fn the_schema_requires_nothing_that_has_a_default() {
    let schema = json_schema();
    assert_eq!(schema["required"].as_array().map(Vec::len).unwrap_or_default(), 0, "{schema}");
    let default = defaults()["engine"]["time_scale"].as_float();
    assert_eq!(schema["properties"]["engine"]["properties"]["time_scale"]["default"].as_f64(), default);
    let required = &schema["properties"]["account"]["items"]["required"];
    assert_eq!(required, &serde_json::json!(["id", "platform", "path_secrets"]));
}
