//! `muster recount`: recounts every device and compares with the server's counters.
//!
//! A running server recounts itself; this process recounts a data directory that no server uses. Both report the same
//! JSON object: `verified` is true if all cells agree, `differences` lists those that do not; other members are
//! printed unchanged.

use std::path::{Path, PathBuf};

use clap::Args;
use muster_api::Recount;
use muster_ingest::open_files;
use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::offline;
use crate::ops_client::{DEFAULT_SERVER, OpsClient, ServerUrl};
use crate::{output, table};

/// The arguments of `muster recount`.
#[derive(Debug, Args)]
pub(super) struct RecountArguments {
    /// The data directory to recount, not in use by a server. It is only read.
    #[arg(long, value_name = "DIR", conflicts_with = "server")]
    data_dir: Option<PathBuf>,
    /// The running server that recounts itself.
    #[arg(long, value_name = "HOST:PORT", default_value = DEFAULT_SERVER)]
    server: ServerUrl,
    /// Print the report as JSON instead of tables.
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &RecountArguments) -> Result<(), Failure> {
    match &arguments.data_dir {
        Some(directory) => {
            let recount = offline(directory)?;
            finish_offline(report(&recount)?, arguments.json)
        }
        None => {
            let client = OpsClient::new(&arguments.server);
            let answer = client.post("/recount")?;
            match answer.value.as_object() {
                Some(report) if report.get("verified").is_some_and(Value::is_boolean) => {
                    finish(report, &answer.text, arguments.json)
                }
                _ => Err(client.unexpected("\"verified\" is missing").into()),
            }
        }
    }
}

pub(super) fn offline(directory: &Path) -> Result<Recount, Failure> {
    open_files::require(open_files::max_of_command())?;
    let recount = offline::recount::recount(directory);
    recount.map_err(|error| Failure::DataDirectory(error.to_string()))
}

/// A recount as the JSON object of `POST /recount`.
pub(super) fn report(recount: &Recount) -> Result<Map<String, Value>, Failure> {
    match serde_json::to_value(recount) {
        Ok(Value::Object(report)) => Ok(report),
        other => Err(Failure::Internal(format!(
            "a recount does not serialize to an object: {other:?}"
        ))),
    }
}

/// Prints the report of a recount by this process, and fails if it found a difference.
pub(super) fn finish_offline(report: Map<String, Value>, json: bool) -> Result<(), Failure> {
    let text = Value::Object(report.clone()).to_string();
    finish(&report, &text, json)
}

/// Prints the report, and fails if it found a difference.
fn finish(report: &Map<String, Value>, text: &str, json: bool) -> Result<(), Failure> {
    let differences = report.get("differences").and_then(Value::as_array);
    if json {
        output::print(text)?;
    } else {
        let mut summary = report.clone();
        summary.remove("differences");
        output::print(&table::object(&summary, None))?;
        if let Some(differences) = differences.filter(|differences| !differences.is_empty()) {
            output::print(&table::list(differences))?;
        }
    }
    if report.get("verified").and_then(Value::as_bool) == Some(true) {
        return Ok(());
    }
    let count = differences.map_or(0, Vec::len);
    Err(Failure::Difference(format!(
        "the recount differs from the counters ({count} listed); please report this bug"
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::finish;
    use crate::exit::ExitCode;

    fn outcome(report: &Value) -> Option<ExitCode> {
        let report = report.as_object().unwrap();
        finish(report, "", false)
            .err()
            .map(|failure| failure.exit_code())
    }

    #[test]
    fn only_a_report_that_says_verified_passes() {
        assert_eq!(
            outcome(&json!({"verified": true, "devices": 5, "differences": []})),
            None
        );
        assert_eq!(
            outcome(&json!({"verified": false})),
            Some(ExitCode::Difference)
        );
        assert_eq!(outcome(&json!({"devices": 5})), Some(ExitCode::Difference));
        assert_eq!(
            outcome(&json!({"verified": false, "differences": [{"cell": "x", "counted": 1}]})),
            Some(ExitCode::Difference)
        );
    }
}
