//! The reference in docs/reference/CONFIGURATION.md equals the declarations of the keys, and those equal the structs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::{MINIMAL, parse};
use crate::config::{KeyRow, keys};

const BEGIN: &str = "<!-- reference: begin (generated, see below) -->\n";
const END: &str = "<!-- reference: end -->\n";

/// Set to write the reference instead of comparing it.
const UPDATE: &str = "MUSTER_UPDATE_DOCS";

fn document() -> PathBuf {
    // Read at run time: a target directory shared by two clones would embed the path of one of them.
    let folder = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    Path::new(&folder).join("../docs/reference/CONFIGURATION.md")
}

fn reference() -> String {
    let mut text = String::new();
    let mut section = "";
    for row in keys() {
        let (own, name) = row.path.split_once('.').unwrap();
        if own != section {
            section = own;
            text.push_str(&format!("\n### `[{own}]`\n\n| key | type | default | allowed | meaning |\n|---|---|---|---|---|\n"));
        }
        text.push_str(&line(name, &row));
    }
    text.push('\n');
    text
}

fn line(name: &str, row: &KeyRow) -> String {
    let default = row
        .default
        .as_ref()
        .map_or("required".to_owned(), |text| format!("`{text}`"));
    format!(
        "| `{name}` | {} | {default} | {} | {} |\n",
        row.kind, row.allowed, row.meaning
    )
}

/// The names of all keys in a table, with dots; the elements of a list count as one.
fn names(prefix: &str, table: &toml::Table, into: &mut BTreeSet<String>) {
    for (name, value) in table {
        let name = format!("{prefix}{name}");
        let is_key = keys().iter().any(|row| row.path == name);
        match value {
            // The names in it are not keys of the configuration.
            toml::Value::Table(_) if is_key => assert!(into.insert(name)),
            toml::Value::Table(inner) => names(&format!("{name}."), inner, into),
            toml::Value::Array(elements) => {
                for element in elements {
                    names(&format!("{name}."), element.as_table().unwrap(), into);
                }
            }
            _ => assert!(into.insert(name.clone()), "{name} occurs twice"),
        }
    }
}

#[test]
fn every_field_of_the_configuration_is_in_the_reference_with_its_default() {
    // An unset key is not printed.
    let set = "[api]\ncertificate = \"api.pem\"\nkey = \"api.key\"\n[[api.issuers]]\nissuer = \"https://login.example.test\"\naudience = \"api://muster\"\n\
        tenant = \"contoso\"\nca = \"issuer.pem\"\nroles = { \"Muster.Admin\" = \"Administrator\" }\n[store]\nbackup_directory = \"backups\"";
    let text = MINIMAL.replace("[store]", set);
    let printed: toml::Table = parse(&text).unwrap().to_toml().parse().unwrap();
    let mut fields = BTreeSet::new();
    names("", &printed, &mut fields);
    let listed: BTreeSet<String> = keys().iter().map(|row| row.path.to_owned()).collect();
    assert_eq!(fields, listed);
    assert_eq!(keys().len(), listed.len(), "a key is listed twice");

    for row in keys() {
        let Some(default) = row.default.as_ref().filter(|&text| text != "unset") else {
            continue;
        };
        let mut value = &toml::Value::Table(printed.clone());
        for part in row.path.split('.') {
            value = &value[part];
            if let toml::Value::Array(elements) = value {
                value = &elements[0];
            }
        }
        assert_eq!(&value.to_string(), default, "{}", row.path);
    }
}

#[test]
fn the_document_has_the_reference_of_the_code() {
    let path = document();
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text
        .split_once(BEGIN)
        .expect("the mark where the reference begins");
    let (found, after) = rest
        .split_once(END)
        .expect("the mark where the reference ends");
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, format!("{before}{BEGIN}{}{END}{after}", reference())).unwrap();
        return;
    }
    assert!(
        found == reference(),
        "docs/reference/CONFIGURATION.md differs from the code; run this test with {UPDATE}=1"
    );
}

#[test]
fn every_example_in_the_document_is_valid() {
    let text = fs::read_to_string(document()).unwrap();
    let examples: Vec<&str> = text
        .split("```toml\n")
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect();
    assert!(!examples.is_empty());
    for example in examples {
        if let Err(faults) = parse(example) {
            panic!("{faults}\nin\n{example}");
        }
    }
}
