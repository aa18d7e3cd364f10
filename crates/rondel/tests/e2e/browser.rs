//! A real browser without a window: Chromium, controlled over `WebDriver` (W3C), which is JSON over HTTP.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::place::{Folder, PATIENCE, eventually};

/// One window. Dropping it closes the browser.
pub(crate) struct Browser {
    driver: Child,
    at: SocketAddr,
    session: String,
    /// The folder of its profile.
    folder: Folder,
}

impl Browser {
    /// A window of this size, in pixels.
    #[track_caller]
    pub(crate) fn start(width: u32, height: u32) -> Self {
        let folder = Folder::new();
        let mut driver = Command::new("chromedriver")
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver, of the package chromium-driver: {error}"));
        let at = SocketAddr::from((Ipv4Addr::LOCALHOST, port(&mut driver)));
        let mut browser = Self { driver, at, session: String::new(), folder };
        let profile = format!("--user-data-dir={}", browser.folder.path().display());
        let arguments = json!([
            "--headless=new",
            // Its sandbox does not work for root.
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            format!("--window-size={width},{height}"),
            profile,
        ]);
        let session = browser.ask(
            "POST",
            "/session",
            &json!({ "capabilities": { "alwaysMatch": {
                "goog:loggingPrefs": { "browser": "ALL" },
                "goog:chromeOptions": { "args": arguments },
            } } }),
        );
        browser.session = format!("/session/{}", session["sessionId"].as_str().unwrap());
        browser
    }

    /// Opens a page, and waits until it is loaded.
    #[track_caller]
    pub(crate) fn go(&self, url: &str) {
        self.ask("POST", &self.path("/url"), &json!({ "url": url }));
    }

    /// The text of the first element that matches a CSS selector, as displayed; empty if there is none.
    #[track_caller]
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = "return document.querySelector(arguments[0])?.innerText ?? ''";
        self.run(script, &json!([selector])).as_str().unwrap().to_owned()
    }

    /// The result of a script.
    #[track_caller]
    pub(crate) fn run(&self, script: &str, arguments: &Value) -> Value {
        self.ask("POST", &self.path("/execute/sync"), &json!({ "script": script, "args": arguments }))
    }

    /// Waits until the text of the first such element contains `word`.
    #[track_caller]
    pub(crate) fn wait_for(&self, selector: &str, word: &str) {
        eventually(&format!("{word:?} in {selector}"), || self.text(selector).contains(word));
    }

    /// Presses and releases each of these keys, in the element that has the focus.
    #[track_caller]
    pub(crate) fn press(&self, keys: &str) {
        let action = |kind: &str, key: char| json!({ "type": kind, "value": key.to_string() });
        let actions: Vec<_> =
            keys.chars().flat_map(|key| [action("keyDown", key), action("keyUp", key)]).collect();
        let keyboard = json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": actions }] });
        self.ask("POST", &self.path("/actions"), &keyboard);
    }

    /// Sets a preference of the user: `prefers-color-scheme`, `dark`.
    #[track_caller]
    pub(crate) fn prefer(&self, feature: &str, value: &str) {
        let features = json!({ "features": [{ "name": feature, "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Gives the page this size, in pixels, whatever the least size of a window is.
    #[track_caller]
    pub(crate) fn size(&self, width: u32, height: u32) {
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": true });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// Saves a picture of the whole page, and returns its path.
    #[track_caller]
    pub(crate) fn keep_picture(&self, name: &str) -> PathBuf {
        let picture = self.devtools("Page.captureScreenshot", &json!({ "captureBeyondViewport": true }));
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.png"));
        fs::write(&path, base64(picture["data"].as_str().unwrap())).unwrap();
        println!("a picture: {}", path.display());
        path
    }

    /// The errors that the page has logged since the last call.
    #[track_caller]
    pub(crate) fn complaints(&self) -> Vec<String> {
        let log = self.ask("POST", &self.path("/se/log"), &json!({ "type": "browser" }));
        log.as_array().unwrap().iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    #[track_caller]
    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("POST", &self.path("/goog/cdp/execute"), &json!({ "cmd": command, "params": parameters }))
    }

    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.session)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = self.try_ask(method, path, body);
        let mut answer = answer.unwrap_or_else(|error| panic!("chromedriver: {method} {path}: {error}"));
        let value = answer["value"].take();
        assert!(value["error"].is_null(), "chromedriver: {method} {path}: {value}");
        value
    }

    fn try_ask(&self, method: &str, path: &str, body: &Value) -> std::io::Result<Value> {
        let body = body.to_string();
        let mut stream = TcpStream::connect_timeout(&self.at, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE * 3))?;
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.at,
            body.len()
        )?;
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut answer = vec![0; length];
        reader.read_exact(&mut answer)?;
        Ok(serde_json::from_slice(&answer)?)
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            // Otherwise Chromium would stay.
            let _ = self.try_ask("DELETE", &self.session, &json!({}));
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// Keys without a character, as `WebDriver` writes them.
pub(crate) const ENTER: &str = "\u{e007}";
pub(crate) const ARROW_DOWN: &str = "\u{e015}";

/// The port that a driver chose and printed.
fn port(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let port = lines.map_while(Result::ok).find_map(|line| {
        let (_, port) = line.split_once("started successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    });
    port.expect("chromedriver says its port")
}

/// Decodes base64 (RFC 4648) without blanks.
fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().take_while(|byte| *byte != b'=');
    let digits =
        digits.map(|byte| DIGITS.iter().position(|digit| *digit == byte).expect("a digit of base64"));
    let (mut bytes, mut bits, mut pending) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        bits = bits << 6 | digit;
        pending += 6;
        if pending >= 8 {
            pending -= 8;
            bytes.push(u8::try_from(bits >> pending & 0xff).unwrap());
            bits &= (1 << pending) - 1;
        }
    }
    bytes
}
