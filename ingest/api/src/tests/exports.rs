//! Export jobs from the request to the file, in every format.

use std::io::{Cursor, Read};

use axum::body::{Body, to_bytes};
use axum::http::{Method, Request, StatusCode};
use serde_json::{Value, json};

use super::names::Graph;

const JOBS: &str = "/beta/deviceManagement/reports/exportJobs";

/// Sends a request.
async fn send(graph: &Graph, method: Method, path: &str, body: &Value) -> (StatusCode, Vec<u8>) {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", "application/json")
        .header("authorization", format!("Bearer {}", graph.secret))
        .body(Body::from(body.to_string()));
    let response = graph.gate.answer(request.unwrap()).await;
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 24).await.unwrap();
    (status, body.to_vec())
}

/// The file of a job.
async fn export(graph: &Graph, order: Value) -> Vec<u8> {
    let (status, body) = send(graph, Method::POST, JOBS, &order).await;
    assert_eq!(status, StatusCode::CREATED);
    let job: Value = serde_json::from_slice(&body).unwrap();
    let path = format!("{JOBS}/{}", job["id"].as_str().unwrap());
    let url = loop {
        let (_, body) = send(graph, Method::GET, &path, &Value::Null).await;
        let job: Value = serde_json::from_slice(&body).unwrap();
        assert_ne!(job["status"], "failed");
        if job["status"] == "completed" {
            break job["url"].as_str().unwrap().to_owned();
        }
        tokio::task::yield_now().await;
    };
    let (_, path) = url.split_once(".test").unwrap();
    let (status, file) = send(graph, Method::GET, path, &Value::Null).await;
    assert_eq!(status, StatusCode::OK);
    let mut archive = zip::ZipArchive::new(Cursor::new(file)).unwrap();
    let mut content = Vec::new();
    archive
        .by_index(0)
        .unwrap()
        .read_to_end(&mut content)
        .unwrap();
    content
}

fn order(format: &str) -> Value {
    json!({ "reportName": "Devices", "format": format, "filter": "OS eq 'Windows'" })
}

/// A graph in which the name of a device has everything that formats escape.
fn graph() -> Graph {
    Graph::new(0, |fake| {
        for device in &mut fake.fleet {
            device.inventory.as_mut().unwrap().device_name = "a \"b\",\n=ü".to_owned();
        }
        fake.fleet[0].record.last_check_in = 0;
    })
}

#[tokio::test]
async fn csv_and_json_have_the_same_rows() {
    let graph = graph();
    let json: Value = serde_json::from_slice(&export(&graph, order("json")).await).unwrap();
    let rows = json["values"].as_array().unwrap();
    let file = export(&graph, order("csv")).await;
    let mut csv = csv::Reader::from_reader(&file[..]);
    let names = csv.headers().unwrap().clone();
    let records: Vec<_> = csv.records().map(Result::unwrap).collect();
    assert!(
        rows.len() > 100 && rows.len() == records.len(),
        "{}",
        rows.len()
    );
    for (row, record) in rows.iter().zip(&records) {
        assert_eq!(row.as_object().unwrap().len(), names.len());
        for (name, cell) in names.iter().zip(record) {
            match &row[name] {
                Value::Null => assert_eq!(cell, "", "{name}"),
                Value::String(text) => assert_eq!(cell, text, "{name}"),
                other => assert_eq!(cell.to_lowercase(), other.to_string(), "{name}"),
            }
        }
    }
}

#[cfg(not(feature = "parquet"))]
#[tokio::test]
async fn parquet_is_refused_without_the_feature() {
    let (status, body) = send(&graph(), Method::POST, JOBS, &order("parquet")).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let body = String::from_utf8(body).unwrap();
    assert!(body.contains("built without parquet"), "{body}");
}

#[cfg(feature = "parquet")]
mod parquet {
    use std::process::Command;

    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::Field;

    use super::*;

    #[tokio::test]
    async fn parquet_has_the_rows_of_json_with_their_types() {
        let graph = graph();
        let json: Value = serde_json::from_slice(&export(&graph, order("json")).await).unwrap();
        let expected = json["values"].as_array().unwrap();
        let file = export(&graph, order("parquet")).await;
        let reader = SerializedFileReader::new(axum::body::Bytes::from(file)).unwrap();
        let rows: Vec<_> = reader
            .get_row_iter(None)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(rows.len(), expected.len());
        for (row, expected) in rows.iter().zip(expected) {
            for (name, field) in row.get_column_iter() {
                let found = match field {
                    Field::Null => Value::Null,
                    Field::Bool(value) => (*value).into(),
                    Field::Long(value) => (*value).into(),
                    Field::Str(text) => text.as_str().into(),
                    Field::TimestampMillis(ms) => {
                        let seconds = u32::try_from(ms / 1_000).unwrap();
                        crate::times::seconds(seconds).into()
                    }
                    other => panic!("{name}: {other:?}"),
                };
                match &expected[name] {
                    Value::String(text) if text == "0001-01-01T00:00:00Z" => {
                        assert_eq!(found, Value::Null, "{name}");
                    }
                    value => assert_eq!(found, *value, "{name}"),
                }
            }
            let columns = row.get_column_iter().count();
            assert_eq!(columns, expected.as_object().unwrap().len());
        }
    }

    /// `MUSTER_PYTHON` is a Python that has duckdb and pandas from PyPI.
    #[tokio::test]
    #[ignore = "needs duckdb and pandas"]
    async fn duckdb_and_pandas_open_it() {
        let file = export(&graph(), order("parquet")).await;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("devices.parquet");
        std::fs::write(&path, file).unwrap();
        let script = "import duckdb, sys\n\
            rows = duckdb.sql(f\"select * from '{sys.argv[1]}'\")\n\
            frame = rows.df()\n\
            types = dict(zip(rows.columns, map(str, rows.types)))\n\
            assert types['LastContact'] == 'TIMESTAMP WITH TIME ZONE', types\n\
            assert types['IsEncrypted'] == 'BOOLEAN', types\n\
            assert types['DeviceName'] == 'VARCHAR', types\n\
            assert len(frame) > 100 and (frame.OS == 'Windows').all()\n\
            print(len(frame))";
        let python = std::env::var("MUSTER_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let output = Command::new(python)
            .arg("-c")
            .arg(script)
            .arg(&path)
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{error}");
    }
}
