//! What is longer than a reader can hold is cut in parts.

use super::{Finding, Tree};

const FILE_LINES_MAX: usize = 700;
const FUNCTION_LINES_MAX: usize = 70;

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in &tree.sources {
        let lines = source.line_count();
        if lines > FILE_LINES_MAX {
            let what = format!("{lines} lines, at most {FILE_LINES_MAX}: cut the file by purpose");
            findings.push(Finding::new(&source.path, 1, what));
        }
        for (extent, name) in source.functions() {
            let first = source.line(extent.start);
            let lines = source.line(extent.end) - first + 1;
            if lines > FUNCTION_LINES_MAX {
                let what = format!(
                    "function `{name}` has {lines} lines, at most {FUNCTION_LINES_MAX}: take a part out and \
                     name it"
                );
                findings.push(Finding::new(&source.path, first, what));
            }
        }
    }
    findings
}
