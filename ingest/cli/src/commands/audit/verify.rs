//! `muster audit verify`: compares the audit log with its hash chain, and with a head that was noted before.
//!
//! A running server verifies its own log; this process verifies that of a data directory that no server uses. Both
//! report the same JSON object.

use std::path::PathBuf;

use muster_api::AuditVerification;
use muster_control::PinnedHead;
use muster_ingest::open_files;
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::offline;
use crate::ops_client::{OpsClient, ServerArgument};
use crate::{output, table};

/// The arguments of `muster audit verify`.
#[derive(Debug, clap::Args)]
pub(in crate::commands) struct VerifyArguments {
    /// A head that an earlier verification printed, which the log must still have.
    #[arg(long, value_name = "REVISION:HASH")]
    pin: Option<PinnedHead>,
    /// The data directory or backup to verify, not in use by a server. It is only read.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    server: ServerArgument,
    /// Print the report as JSON instead of a table.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &VerifyArguments) -> Result<(), Failure> {
    let report = match &arguments.data_dir {
        Some(directory) => {
            open_files::require(open_files::max_of_command())?;
            let verified = offline::audit::verify(directory, arguments.pin);
            object(&verified.map_err(|error| Failure::DataDirectory(error.to_string()))?)?
        }
        None => online(arguments)?,
    };
    finish(&report, arguments.json)
}

fn object(verified: &AuditVerification) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(verified) {
        Ok(Value::Object(report)) => Ok(report),
        other => Err(Failure::Internal(format!(
            "a verification does not serialize to an object: {other:?}"
        ))),
    }
}

fn online(arguments: &VerifyArguments) -> Result<Map<String, Value>, Failure> {
    let client = OpsClient::new(&arguments.server.server);
    // A pin needs no URL encoding.
    let pin = arguments.pin.map(|pin| format!("?pin={pin}"));
    let path = format!("/audit/verify{}", pin.unwrap_or_default());
    match client.get(&path)?.value {
        Value::Object(report) if report.get("verified").is_some_and(Value::is_boolean) => {
            Ok(report)
        }
        _ => Err(client.unexpected("\"verified\" is missing").into()),
    }
}

/// Prints the report, and fails if the log is not what was written.
fn finish(report: &Map<String, Value>, json: bool) -> Result<(), Failure> {
    if json {
        output::print(&Value::Object(report.clone()).to_string())?;
    } else {
        let mut shown = report.clone();
        shown.retain(|_, value| !value.is_null());
        output::print(&table::object(&shown, None))?;
    }
    if report.get("verified") == Some(&Value::Bool(true)) {
        return Ok(());
    }
    let problem = report.get("problem").and_then(Value::as_str);
    Err(Failure::Difference(format!(
        "{}: the audit log is not what was written; keep it as evidence, and restore a backup",
        problem.unwrap_or("the server does not say what is wrong")
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::finish;
    use crate::exit::ExitCode;

    #[test]
    fn only_a_report_that_says_verified_passes() {
        let outcome = |report: Value| {
            let ended = finish(report.as_object().unwrap(), true);
            ended
                .err()
                .map(|failure| (failure.exit_code(), failure.to_string()))
        };
        assert_eq!(outcome(json!({ "verified": true, "problem": null })), None);
        let problem = "entry 7 is missing";
        let (code, text) = outcome(json!({ "verified": false, "problem": problem })).unwrap();
        assert_eq!(code, ExitCode::Difference);
        assert!(text.starts_with(problem), "{text}");
        for unclear in [json!({}), json!({ "verified": "true" })] {
            assert!(outcome(unclear).is_some());
        }
    }
}
