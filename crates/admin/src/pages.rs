//! The dashboard: files that are part of the program, so it needs nothing from elsewhere.

use std::sync::LazyLock;

use connection::CloseReason;
use serde_json::Value;

/// A file, its kind, and what it says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) text: &'static str,
}

/// What a browser finds at `/`.
pub(crate) const DASHBOARD: Asset =
    Asset { path: "/", kind: "text/html; charset=utf-8", text: include_str!("../assets/dashboard.html") };

/// A file of `assets`, by its name there and its kind.
macro_rules! file {
    ($name:literal, $kind:expr) => {
        Asset {
            path: concat!("/assets/", $name),
            kind: $kind,
            text: include_str!(concat!("../assets/", $name)),
        }
    };
}

/// What that page refers to.
pub(crate) static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        file!("dashboard.css", STYLE),
        file!("dashboard.js", SCRIPT),
        file!("icon.svg", "image/svg+xml"),
        file!("uplot.css", STYLE),
        file!("uplot.js", SCRIPT),
        Asset { path: "/assets/reasons.js", kind: SCRIPT, text: &REASONS },
    ]
});

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// What the reasons to end mean, for the script of the page.
static REASONS: LazyLock<String> = LazyLock::new(|| {
    let meaning = |reason: CloseReason| (reason.name(), reason.meaning().replace('`', ""));
    let reasons: Value = CloseReason::ALL.into_iter().map(meaning).collect();
    format!("\"use strict\";\nconst REASONS = {reasons};\n")
});

/// What a browser may do on behalf of the page: take these files and the stream from where the page came from, and nothing else.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::{ASSETS, DASHBOARD};

    #[test]
    fn the_page_refers_to_what_there_is_and_has_no_code_of_its_own() {
        let page = DASHBOARD.text;
        for reference in page.split('"').filter(|text| text.starts_with("/assets/")) {
            assert!(ASSETS.iter().any(|asset| asset.path == reference), "{reference}");
        }
        for asset in &*ASSETS {
            assert!(page.contains(&format!("\"{}\"", asset.path)), "{} is not used", asset.path);
        }
        // The policy would keep a browser from it.
        for forbidden in ["style=", "onclick", "<style", "<script>", "javascript:", "http:", "https:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn words_from_elsewhere_are_never_taken_for_html() {
        let script = ASSETS.iter().find(|asset| asset.path == "/assets/dashboard.js").unwrap().text;
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
