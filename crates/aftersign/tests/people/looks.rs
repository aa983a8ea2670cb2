//! How our pages look: each is drawn in a browser, by day, by night and on a narrow telephone, into `target/screenshots`.

use std::fs;
use std::path::Path;

use aftersign_sandbox::SendTrouble;
use serde_json::{Value, json};

use crate::drafts::{Stage, assert_ours};
use crate::peers::{Browser, Script};

/// Pixels: a usual window, and the narrowest that pages must fit (WCAG 2.2, 1.4.10).
const WIDTHS: [u32; 2] = [1024, 320];

/// The steps that draw the present page in every way.
fn draw(name: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/screenshots");
    fs::create_dir_all(&folder).expect("the folder");
    let ways = WIDTHS.into_iter().flat_map(|width| [false, true].map(|dark| (width, dark)));
    let steps = ways.flat_map(|(width, dark)| {
        let light = if dark { "dark" } else { "light" };
        let path = folder.join(format!("{name}-{width}-{light}.png"));
        [json!({ "view": { "dark": dark, "width": width } }), json!({ "screenshot": path })]
    });
    steps.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_page_fits_every_window() {
    let stage = Stage::new().await;
    let draft = stage.draft(&stage.anna, &[]);
    stage.world.draft_send_trouble(&draft, SendTrouble::NotSentAndServerError);
    let mut steps = Vec::new();
    let mut expected = Vec::new();
    for (way, name, status, heading) in [
        (
            vec![json!({ "goto": stage.site.page("/consent/sales") })],
            "offer",
            200,
            "Connect your account at eSignAnyWhere",
        ),
        (
            vec![
                json!({ "click": "form[action$='/depart'] button" }),
                json!({ "wait": "/esignanywhere/" }),
                stage.log_in(&stage.anna),
                json!({ "click": "button[value=deny]" }),
            ],
            "declined",
            403,
            "You did not give access",
        ),
        (
            vec![
                json!({ "click": "a.button" }),
                json!({ "click": "form[action$='/depart'] button" }),
                json!({ "wait": "/esignanywhere/" }),
                json!({ "click": "button[value=allow]" }),
            ],
            "connected",
            200,
            "You are connected",
        ),
        (
            vec![json!({ "goto": stage.site.page("/consent/sales/before-send") })],
            "bad-parameters",
            400,
            "This link is not complete",
        ),
        (vec![stage.visit(&draft)], "unclear", 502, "We do not know yet whether the draft was sent"),
        (
            vec![
                json!({ "click": "a.button" }),
                json!({ "expectText": "Please look before we send this draft" }),
            ],
            "send-again",
            200,
            "Please look before we send this draft",
        ),
    ] {
        steps.extend(way);
        let begin = steps.len();
        steps.extend(draw(name));
        expected.extend((begin..steps.len()).map(|step| (step, status, heading)));
    }
    let reports = Browser::run(&Script { javascript: true, steps });
    for (step, status, heading) in expected {
        assert_ours(&reports[step], status, heading);
        assert!(!reports[step].overflow, "{:#?}", reports[step]);
    }
    stage.world.stop().await;
}
