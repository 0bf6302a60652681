//! docs/reference/METRICS.md documents exactly the families of a scrape.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::fixture::Server;

fn reference() -> String {
    // Read at run time: a target directory shared by two clones would embed the path of one of them.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let path = Path::new(&folder).join("../docs/reference/METRICS.md");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The properties of a family that the document and a scrape share.
#[derive(Debug, Default, PartialEq, Eq)]
struct Family {
    kind: String,
    labels: BTreeSet<String>,
    help: String,
}

/// The families by the name of their series, without the suffixes of a histogram.
fn rendered(page: &str) -> BTreeMap<String, Family> {
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut name = String::new();
    for line in page.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (family, help) = rest.split_once(' ').unwrap();
            name = family.to_owned();
            families.entry(name.clone()).or_default().help = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            families.get_mut(&name).unwrap().kind = rest.split_once(' ').unwrap().1.to_owned();
        } else if !line.starts_with('#') {
            let family = families.get_mut(&name).unwrap();
            let (_, labels) = line.split_once('{').unwrap_or_default();
            let labels = labels.split_once('}').unwrap_or_default().0.split(',');
            let names = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let bucket = |name: &String| family.kind == "histogram" && name == "le";
            family
                .labels
                .extend(names.filter(|name| !bucket(name)).collect::<Vec<_>>());
        }
    }
    let with_suffix = |(name, family): (String, Family)| match family.kind.as_str() {
        "counter" => (format!("{name}_total"), family),
        "info" => (format!("{name}_info"), family),
        _ => (name, family),
    };
    families.into_iter().map(with_suffix).collect()
}

fn documented(text: &str) -> BTreeMap<String, Family> {
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `muster_"));
    rows.map(|row| {
        let cells: Vec<&str> = row.trim_end_matches(" |").split(" | ").collect();
        let [name, kind, labels, help, action] = cells[..] else {
            panic!("not five cells: {row}")
        };
        assert!(!action.is_empty(), "{name} has no action");
        let labels = labels
            .split(", ")
            .map(|label| label.trim_matches(['`', ' ']).to_owned());
        let labels = labels.filter(|label| !label.is_empty()).collect();
        let family = Family {
            kind: kind.to_owned(),
            labels,
            help: help.to_owned(),
        };
        (format!("muster_{}", name.trim_end_matches('`')), family)
    })
    .collect()
}

#[tokio::test]
async fn every_metric_is_documented_as_it_is_rendered() {
    let rendered = rendered(&Server::new().scrape().await);
    let documented = documented(&reference());
    assert!(rendered.len() > 40, "{}", rendered.len());
    let names = |families: &BTreeMap<String, Family>| families.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&rendered), names(&documented));
    for (name, family) in &rendered {
        assert_eq!(family, &documented[name], "{name}");
    }
}
