//! docs/reference/API.md documents exactly the routes of the endpoint.

use std::collections::BTreeSet;
use std::path::Path;

use super::fixture::Server;
use crate::routes;

fn reference() -> String {
    // Read at run time: a target directory shared by two clones would embed the path of one of them.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let path = Path::new(&folder).join("../../docs/reference/API.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn every_route_has_a_section_in_the_reference_that_names_its_parameters() {
    let text = reference();
    let sections: BTreeSet<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("## `")?.strip_suffix('`'))
        .map(without_values)
        .collect();
    let routes = routes().into_iter().map(|route| {
        let parameters = route.parameters.join("&");
        let parameters = match parameters.as_str() {
            "" => String::new(),
            some => format!("?{some}"),
        };
        format!("{} {}{parameters}", route.method, route.path)
    });
    assert_eq!(sections, routes.collect());
}

/// `GET /counts[?tenant=T]` as `GET /counts?tenant`: brackets are around what may be left out.
fn without_values(heading: &str) -> String {
    let (path, parameters) = heading.split_once('?').unwrap_or((heading, ""));
    let names: Vec<_> = parameters
        .split('&')
        .filter_map(|parameter| Some(parameter.split_once('=')?.0))
        .collect();
    let path = path.trim_end_matches('[');
    match names.join("&").as_str() {
        "" => path.to_owned(),
        names => format!("{path}?{names}"),
    }
}

#[tokio::test]
async fn the_examples_of_the_reference_have_the_shape_of_the_answers() {
    let server = Server::new();
    let text = reference();
    for (route, path) in [
        ("/ready", "/ready"),
        ("/counts", "/counts?tenant=demo"),
        ("/cells", "/cells?tenant=demo"),
        ("/policy", "/policy?tenant=demo"),
        ("/clock", "/clock"),
        ("/audit/verify", "/audit/verify"),
        (
            "/devices",
            "/devices/demo/00112233-4455-6677-8899-aabbccddeeff",
        ),
    ] {
        let section = text
            .split("\n## `")
            .find(|section| section.starts_with(&format!("GET {route}")));
        let example = section
            .unwrap()
            .split("```json\n")
            .nth(1)
            .unwrap()
            .split("```")
            .next()
            .unwrap();
        let example: serde_json::Value = serde_json::from_str(example).unwrap();
        assert_eq!(
            keys(&example),
            keys(&server.get(path).await.json()),
            "{route}"
        );
    }
}

/// The names of all members; of an array, those of its first element.
fn keys(value: &serde_json::Value) -> Vec<String> {
    use serde_json::Value;
    let named = |name: &str, value: &Value| -> Vec<String> {
        let inner = keys(value).into_iter().map(|key| format!("{name}.{key}"));
        std::iter::once(name.to_owned()).chain(inner).collect()
    };
    match value {
        Value::Object(object) => object
            .iter()
            .flat_map(|(name, value)| named(name, value))
            .collect(),
        Value::Array(list) => list.first().map(keys).unwrap_or_default(),
        _ => Vec::new(),
    }
}
