//! A client of the operators' API: HTTPS with the token of a tenant, through curl, as an operator's script does it.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use super::{CommandOutput, Installation, Server, muster, text};
use crate::muster::Muster;

/// A client with a token.
#[derive(Debug)]
pub struct Graph {
    base: String,
    ca: PathBuf,
    /// The secret of its token.
    pub token: String,
}

/// The output of a command that succeeds.
#[track_caller]
fn made(arguments: &[&str]) -> String {
    let output = muster(arguments);
    assert_eq!(output.code, 0, "{}", output.err);
    output.out
}

/// A response.
#[derive(Debug)]
pub struct GraphReply {
    /// The status.
    pub status: u16,
    /// The body as JSON; null if it has none.
    pub body: Value,
}

impl Graph {
    /// A client with a new token of a tenant, made through the operations endpoint.
    #[track_caller]
    pub fn new(place: &Installation, server: &Server, tenant: &str, role: &str) -> Self {
        let arguments = [
            "token",
            "create",
            "--server",
            &server.ops.base,
            "--tenant",
            tenant,
            "--name",
            role,
            "--role",
            role,
        ];
        Self::with_token(place, server, made(&arguments).trim())
    }

    /// A client with this token.
    #[track_caller]
    pub fn with_token(place: &Installation, server: &Server, token: &str) -> Self {
        let base = server.api.clone();
        Self {
            base: base.expect("the server serves its API"),
            ca: place.path("pki/ca.pem"),
            token: token.to_owned(),
        }
    }

    /// The variables of the environment with which `muster` uses this server and token.
    pub fn variables(&self) -> [(&'static str, String); 3] {
        [
            ("MUSTER_SERVER", self.base.clone()),
            ("MUSTER_CA", text(&self.ca).to_owned()),
            ("MUSTER_TOKEN", self.token.clone()),
        ]
    }

    /// Runs a command of `muster` with them.
    pub fn muster(&self, arguments: &[&str]) -> CommandOutput {
        let mut command = Muster::beside_this_test().command(arguments);
        let output = command.envs(self.variables()).output();
        CommandOutput::from_output(output.expect("the binary starts"))
    }

    /// Sends a request; `path` begins with the version.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: &Value) -> GraphReply {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--globoff", "--max-time", "60"])
            .args(["--cacert", text(&self.ca), "--request", method])
            .args(["--header", &format!("Authorization: Bearer {}", self.token)])
            .args(["--write-out", "\n%{http_code}"]);
        if !body.is_null() {
            curl.args(["--header", "Content-Type: application/json"])
                .args(["--data", &body.to_string()]);
        }
        let url = format!("{}{}", self.base, path.replace(' ', "%20"));
        let output = curl.arg(url).output().expect("curl is installed");
        let found = String::from_utf8(output.stdout).expect("responses are UTF-8");
        let (body, status) = found.rsplit_once('\n').expect("curl writes the status");
        GraphReply {
            status: status.parse().expect("a status is a number"),
            body: serde_json::from_str(body).unwrap_or_default(),
        }
    }

    /// The body of a `GET` that succeeds.
    #[track_caller]
    pub fn get(&self, path: &str) -> Value {
        let reply = self.send("GET", path, &Value::Null);
        assert_eq!(reply.status, 200, "{path}: {:?}", reply.body);
        reply.body
    }

    /// The rows of all pages of a list.
    #[track_caller]
    pub fn all(&self, path: &str) -> Vec<Value> {
        let (mut rows, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let mut page = self.get(&path);
            rows.append(page["value"].as_array_mut().expect("a page has rows"));
            let link = page["@odata.nextLink"].as_str();
            next = link.map(|link| {
                link.strip_prefix(&self.base)
                    .expect("same server")
                    .to_owned()
            });
        }
        rows
    }
}
