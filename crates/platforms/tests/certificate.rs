//! `docs/platforms.md` says what the code says.

use std::path::Path;

use aftersign_platforms::certificate::document;

#[test]
fn the_document_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/platforms.md");
    let wanted = document();
    if std::env::var_os("AFTERSIGN_RENEW").is_some() {
        std::fs::write(&path, &wanted).expect("the document is written");
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == wanted,
        "docs/platforms.md is not what the code says; renew it with AFTERSIGN_RENEW=1 cargo nextest run \
         -p aftersign-platforms the_document_is_what_the_code_says"
    );
}
