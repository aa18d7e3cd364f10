//! The dashboard: files embedded into the program. It loads nothing from other hosts.

use std::sync::LazyLock;

use connection::CloseReason;
use serde_json::Value;

/// A file, its media type, and its content.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asset {
    pub(crate) path: &'static str,
    pub(crate) media_type: &'static str,
    pub(crate) text: &'static str,
}

/// The page that a browser gets at `/`.
pub(crate) const DASHBOARD: Asset = Asset {
    path: "/",
    media_type: "text/html; charset=utf-8",
    text: include_str!("../assets/dashboard.html"),
};

/// The same where clients need a token: it asks for one before it asks for data.
pub(crate) static LOCKED_DASHBOARD: LazyLock<Asset> =
    LazyLock::new(|| Asset { text: LOCKED_TEXT.as_str(), ..DASHBOARD });

static LOCKED_TEXT: LazyLock<String> =
    LazyLock::new(|| DASHBOARD.text.replacen("<body>", "<body class=\"locked\">", 1));

/// A file of `assets`, by its name and media type.
macro_rules! file {
    ($name:literal, $media_type:expr) => {
        Asset {
            path: concat!("/assets/", $name),
            media_type: $media_type,
            text: include_str!(concat!("../assets/", $name)),
        }
    };
}

/// The files that the page loads.
pub(crate) static ASSETS: LazyLock<[Asset; 6]> = LazyLock::new(|| {
    [
        file!("dashboard.css", STYLE),
        Asset { path: "/assets/dashboard.js", media_type: SCRIPT, text: DASHBOARD_SCRIPT },
        file!("icon.svg", "image/svg+xml"),
        file!("uplot.css", STYLE),
        file!("uplot.js", SCRIPT),
        Asset { path: "/assets/reasons.js", media_type: SCRIPT, text: &REASONS },
    ]
});

/// The script of the page, in the order of what it needs.
const DASHBOARD_SCRIPT: &str = concat!(
    include_str!("../assets/dashboard/elements.js"),
    include_str!("../assets/dashboard/numbers.js"),
    include_str!("../assets/dashboard/charts.js"),
    include_str!("../assets/dashboard/states.js"),
    include_str!("../assets/dashboard/backends.js"),
    include_str!("../assets/dashboard/view.js"),
    include_str!("../assets/dashboard/overview.js"),
    include_str!("../assets/dashboard/stream.js"),
    include_str!("../assets/dashboard/dashboard.js"),
);

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The meanings of close reasons, for the script of the page.
static REASONS: LazyLock<String> = LazyLock::new(|| {
    let meaning = |reason: CloseReason| (reason.name(), reason.meaning().replace('`', ""));
    let reasons: Value = CloseReason::ALL.into_iter().map(meaning).collect();
    format!("\"use strict\";\nconst REASONS = {reasons};\n")
});

/// The content security policy: the page may load these files and the stream from its own origin, and nothing else.
pub(crate) const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

#[cfg(test)]
mod tests {
    use super::{ASSETS, DASHBOARD, LOCKED_DASHBOARD};

    #[test]
    fn the_page_loads_existing_files_and_has_no_inline_code() {
        let page = DASHBOARD.text;
        for reference in page.split('"').filter(|text| text.starts_with("/assets/")) {
            assert!(ASSETS.iter().any(|asset| asset.path == reference), "{reference}");
        }
        for asset in &*ASSETS {
            assert!(page.contains(&format!("\"{}\"", asset.path)), "{} is not used", asset.path);
        }
        // The policy forbids all of these.
        for forbidden in ["style=", "onclick", "<style", "<script>", "javascript:", "http:", "https:"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_page_knows_whether_it_needs_a_token() {
        assert!(LOCKED_DASHBOARD.text.contains("<body class=\"locked\">"));
        assert_eq!(LOCKED_DASHBOARD.text.replace(" class=\"locked\"", ""), DASHBOARD.text);
    }

    #[test]
    fn the_script_never_creates_html_from_text() {
        let script = ASSETS.iter().find(|asset| asset.path == "/assets/dashboard.js").unwrap().text;
        for forbidden in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("] {
            assert!(!script.contains(forbidden), "{forbidden}");
        }
    }
}
