//! A headless Chromium, told what to do by the Chrome DevTools Protocol.

use std::io::{BufRead as _, BufReader};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tungstenite::{Message, WebSocket};

/// Nothing that is asked of the browser takes longer.
const LIMIT: Duration = Duration::from_secs(120);
const NAMES: [&str; 4] =
    ["chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"];

/// A browser with one page.
pub struct Browser {
    process: Child,
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    asked: u64,
    /// What it told without being asked: method and parameters.
    pub events: Vec<(String, Value)>,
    _profile: TempDir,
}

/// The browser: `$BERTH_BROWSER`, or one in `$PATH`.
fn binary() -> Option<PathBuf> {
    if let Some(named) = std::env::var_os("BERTH_BROWSER") {
        return Some(named.into());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let found =
        |name: &&str| folders.iter().map(|folder| folder.join(name)).find(|one| one.is_file());
    NAMES.iter().find_map(found)
}

impl Browser {
    /// Starts one; without any the test is skipped with a notice, and fails in CI.
    pub fn start_or_skip(test: &str) -> Option<Self> {
        let Some(binary) = binary() else {
            let ci = std::env::var("CI").is_ok_and(|value| value == "true");
            assert!(!ci, "{test} needs a browser: .ci/install-tools --browser installs one");
            println!("SKIPPED {test}: there is none of {} in PATH", NAMES.join(", "));
            return None;
        };
        let profile = tempfile::tempdir().unwrap();
        let mut process = Command::new(binary)
            // In a container there is mostly one user, and no room in /dev/shm.
            .args(["--headless", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"])
            .args(["--no-first-run", "--disable-background-networking", "--hide-scrollbars"])
            .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--remote-debugging-port=0"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let address = address(&mut process);
        let port = address.split(['/', ':']).nth(4).unwrap().parse::<u16>().unwrap();
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let (socket, _) = tungstenite::client(address.as_str(), stream).unwrap();
        let mut browser = Self {
            process,
            socket,
            session: None,
            asked: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.ask("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.ask("Target.attachToTarget", attach);
        browser.session = Some(session["sessionId"].as_str().unwrap().to_owned());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.ask(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Asks, and waits for the answer.
    pub fn ask(&mut self, method: &str, parameters: Value) -> Value {
        self.asked += 1;
        let mut message = json!({ "id": self.asked, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).unwrap();
        loop {
            let mut answer = self.hear();
            if answer["id"] == json!(self.asked) {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].take();
            }
        }
    }

    /// Reads a message, and keeps it if it is an event.
    fn hear(&mut self) -> Value {
        let message = self.socket.read().unwrap();
        let message: Value = serde_json::from_str(message.to_text().unwrap()).unwrap();
        if let Some(method) = message["method"].as_str() {
            self.events.push((method.to_owned(), message["params"].clone()));
        }
        message
    }

    /// Opens a page and waits until it is there.
    pub fn open(&mut self, url: &str) {
        self.events.clear();
        let opened = self.ask("Page.navigate", json!({ "url": url }));
        assert!(opened.get("errorText").is_none(), "{opened}");
        while !self.events.iter().any(|(method, _)| method == "Page.loadEventFired") {
            self.hear();
        }
    }

    /// What a script on the page comes to.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let parameters = json!({ "expression": script, "returnByValue": true });
        let mut result = self.ask("Runtime.evaluate", parameters);
        assert!(result.get("exceptionDetails").is_none(), "{script}: {result}");
        result["result"]["value"].take()
    }

    /// The size of its window, in CSS pixels.
    pub fn resize(&mut self, width: u32, height: u32, is_phone: bool) {
        let scale = if is_phone { 3 } else { 1 };
        let size = json!({
            "width": width, "height": height, "deviceScaleFactor": scale, "mobile": is_phone,
        });
        self.ask("Emulation.setDeviceMetricsOverride", size);
    }

    /// Clicks where a script says: at `[x, y]` of the window.
    pub fn click(&mut self, script: &str) {
        let at = self.evaluate(script);
        for kind in ["mousePressed", "mouseReleased"] {
            let mouse = json!({
                "type": kind, "x": at[0], "y": at[1], "button": "left", "clickCount": 1,
            });
            self.ask("Input.dispatchMouseEvent", mouse);
        }
    }
}

/// Where it listens: it says so on standard error, which is read on so that it is never full.
fn address(process: &mut Child) -> String {
    let lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let (said, hears) = mpsc::channel();
    std::thread::spawn(move || {
        for line in lines.map_while(Result::ok) {
            if let Some((_, address)) = line.split_once("DevTools listening on ") {
                // Nobody waits any more if it took too long.
                let _ = said.send(address.to_owned());
            }
        }
    });
    hears.recv_timeout(LIMIT).expect("the browser says where it listens")
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
