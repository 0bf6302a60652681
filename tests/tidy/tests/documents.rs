//! Documents: links have a target, each document has one title, commands exist.

use super::{CRATES, assert_none, files_below, read, root, shown};
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The documents at the root, below docs/, and beside each crate.
fn documents() -> Vec<PathBuf> {
    let here = std::fs::read_dir(root()).expect("the clone can be listed");
    let mut documents: Vec<PathBuf> = here
        .map(|entry| entry.expect("the clone can be listed").path())
        .filter(|path| path.extension().is_some_and(|own| own == "md"))
        .collect();
    documents.extend(files_below(&root().join("docs"), "md"));
    for name in CRATES {
        documents.extend(files_below(&root().join(name), "md"));
    }
    documents.sort();
    documents
}

/// The lines outside fenced blocks, each with its number.
fn prose(text: &str) -> Vec<(usize, &str)> {
    let mut fence: Option<&str> = None;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let start = line.trim_start();
        let marker = ["```", "~~~"]
            .into_iter()
            .find(|marker| start.starts_with(marker));
        match (fence, marker) {
            (None, Some(marker)) => fence = Some(marker),
            (Some(open), Some(marker)) if open == marker => fence = None,
            (None, None) => lines.push((index + 1, line)),
            _ => {}
        }
    }
    lines
}

/// The line without its `code spans`, in which nothing is a link.
fn without_code(line: &str) -> String {
    line.split('`')
        .enumerate()
        .map(|(index, part)| if index % 2 == 0 { part } else { "" })
        .collect()
}

/// The targets of `[text](target)` and `[label]: target`.
fn link_targets(line: &str) -> Vec<String> {
    let line = without_code(line);
    let mut targets: Vec<String> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
        .map(str::to_owned)
        .collect();
    if line.starts_with('[')
        && let Some((_, target)) = line.split_once("]: ")
    {
        targets.extend(target.split(' ').next().map(str::to_owned));
    }
    targets
}

/// The anchors of a document, made from its headings as GitHub makes them.
fn anchors(text: &str) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut anchors = Vec::new();
    for (_, line) in prose(text) {
        let title = line.trim_start_matches('#');
        let level = line.len() - title.len();
        if !(1..=6).contains(&level) || !title.starts_with(' ') {
            continue;
        }
        let slug: String = title
            .trim()
            .to_lowercase()
            .chars()
            .filter(|letter| letter.is_alphanumeric() || [' ', '-', '_'].contains(letter))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let count = seen.entry(slug.clone()).or_default();
        anchors.push(if *count == 0 {
            slug
        } else {
            format!("{slug}-{count}")
        });
        *count += 1;
    }
    anchors
}

/// The fault of a link, if it has one. Only links inside the clone are checked.
fn link_fault(document: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let file = match path {
        "" => document.to_owned(),
        path => document
            .parent()
            .expect("a file lies in a folder")
            .join(path),
    };
    if !file.exists() {
        return Some(format!("{target}: no such file"));
    }
    let in_document = file.extension().is_some_and(|own| own == "md");
    if !anchor.is_empty() && in_document && !anchors(&read(&file)).iter().any(|own| own == anchor) {
        return Some(format!("{target}: no such heading"));
    }
    None
}

#[test]
fn links_lead_somewhere() {
    let mut faults = Vec::new();
    for document in documents() {
        for (number, line) in prose(&read(&document)) {
            for target in link_targets(line) {
                if let Some(fault) = link_fault(&document, &target) {
                    faults.push(format!("{}:{number}: {fault}", shown(&document)));
                }
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn each_document_has_one_title_and_opens_with_it() {
    let mut faults = Vec::new();
    for document in documents() {
        let text = read(&document);
        let titles = prose(&text)
            .iter()
            .filter(|(_, line)| line.starts_with("# "))
            .count();
        if titles != 1 || !text.starts_with("# ") {
            faults.push(format!(
                "{}: {titles} titles, or not at its top",
                shown(&document)
            ));
        }
    }
    assert_none(&faults);
}

#[test]
fn every_document_is_in_the_reading_order() {
    let order = read(&root().join("docs/README.md"));
    let faults: Vec<String> = files_below(&root().join("docs"), "md")
        .into_iter()
        .map(|path| {
            let below = path
                .strip_prefix(root().join("docs"))
                .expect("found below docs");
            below.display().to_string()
        })
        .filter(|name| name != "README.md" && !order.contains(&format!("({name})")))
        .map(|name| format!("docs/{name} is not linked from docs/README.md"))
        .collect();
    assert_none(&faults);
}

#[test]
fn commands_that_the_documents_name_exist() {
    let mut faults = Vec::new();
    for document in documents() {
        for (index, line) in read(&document).lines().enumerate() {
            let place = format!("{}:{}", shown(&document), index + 1);
            for command in ["scripts/", ".ci/"] {
                for rest in line.split(command).skip(1) {
                    let name: String = rest
                        .chars()
                        .take_while(|letter| letter.is_alphanumeric())
                        .collect();
                    let script = root().join(format!("{command}{name}"));
                    // A bare `scripts/` names the folder, `scripts/lib.sh` a file that is sourced.
                    if name.is_empty() || rest[name.len()..].starts_with(".sh") {
                        continue;
                    }
                    let mode = script.metadata().map(|file| file.permissions().mode());
                    if !mode.is_ok_and(|mode| mode & 0o111 != 0) {
                        faults.push(format!("{place}: {command}{name} cannot be run"));
                        continue;
                    }
                    for option in unknown_options(&read(&script), rest) {
                        faults.push(format!("{place}: {command}{name} has no option {option}"));
                    }
                }
            }
        }
    }
    assert_none(&faults);
}

/// The options of a documented call that the script does not mention.
fn unknown_options(script: &str, call: &str) -> Vec<String> {
    let call = call.split(['`', '#', '|', ';']).next().unwrap_or_default();
    call.split([' ', '[', ']'])
        .take_while(|word| *word != "--")
        .filter(|word| word.starts_with("--"))
        .filter(|option| !script.contains(option))
        .map(str::to_owned)
        .collect()
}

/// The texts after `docs/` in a source: a file, a folder, or the number of an ADR.
fn cited_documents(text: &str) -> Vec<&str> {
    text.split("docs/")
        .skip(1)
        .map(|rest| {
            let part = |letter: char| letter.is_ascii_alphanumeric() || "/-_.".contains(letter);
            let end = rest.find(|letter| !part(letter)).unwrap_or(rest.len());
            rest[..end].trim_end_matches('.')
        })
        .collect()
}

#[test]
fn documents_that_sources_cite_exist() {
    let below = root().join("docs");
    let known: Vec<String> = files_below(&below, "md")
        .iter()
        .filter_map(|path| Some(path.strip_prefix(&below).ok()?.display().to_string()))
        .collect();
    let mut faults = Vec::new();
    for path in CRATES
        .iter()
        .flat_map(|name| files_below(&root().join(name).join("src"), "rs"))
    {
        for cited in cited_documents(&read(&path)) {
            let is_adr = cited.starts_with("adr/") && !cited.ends_with(".md");
            let found = below.join(cited).exists()
                || (is_adr && known.iter().any(|known| known.starts_with(cited)));
            if !cited.is_empty() && !found {
                faults.push(format!("{}: docs/{cited}: no such file", shown(&path)));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn rules_that_sources_cite_are_in_the_domain() {
    let domain = read(&root().join("docs/reference/DOMAIN.md"));
    let words = |text: &str| -> Vec<String> {
        text.split(|letter: char| !letter.is_ascii_alphanumeric())
            .map(str::to_owned)
            .collect()
    };
    let known = words(&domain);
    let is_rule = |word: &String| {
        let number = word.strip_prefix('R').unwrap_or_default();
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut faults = Vec::new();
    for path in files_below(&root().join("ingest/engine/src"), "rs") {
        for rule in words(&read(&path)).into_iter().filter(is_rule) {
            if !known.contains(&rule) {
                faults.push(format!(
                    "{}: {rule} is not in docs/reference/DOMAIN.md",
                    shown(&path)
                ));
            }
        }
    }
    assert_none(&faults);
}

#[test]
fn headings_become_anchors_as_on_github() {
    let text = "# The `Ack` frame, kind 4\n## a\n```\n# no\n```\n## a\n";
    assert_eq!(anchors(text), ["the-ack-frame-kind-4", "a", "a-1"]);
}
