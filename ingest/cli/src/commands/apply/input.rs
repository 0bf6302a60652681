//! Reads the documents for `muster apply` from a file, JSON or YAML, and tells the type of each.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::exit::Failure;
use crate::resources::Resource;

/// The largest file.
const FILE_BYTES_MAX: u64 = 64 << 20;

/// A document that can be sent.
#[derive(Debug)]
pub(super) struct Document {
    pub(super) resource: &'static Resource,
    pub(super) content: Map<String, Value>,
    /// Where it is, for messages.
    pub(super) place: String,
}

/// The documents in a file; `fallback` is the type of those that tell none.
pub(super) fn read(
    file: &Path,
    fallback: Option<&'static Resource>,
) -> Result<Vec<Document>, Failure> {
    let (name, text) = text_of(file)?;
    let values = values(&text).map_err(|problem| Failure::Usage(format!("{name}: {problem}")))?;
    let documents = documents(values, fallback);
    let documents = documents.map_err(|problem| Failure::Usage(format!("{name}, {problem}")))?;
    if documents.is_empty() {
        return Err(Failure::Usage(format!("{name} has no document")));
    }
    Ok(documents)
}

fn text_of(file: &Path) -> Result<(String, String), Failure> {
    let is_input = file == Path::new("-");
    let name = if is_input {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    };
    let mut text = String::new();
    let read = if is_input {
        let input = std::io::stdin().lock();
        input.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)
    } else {
        let opened = std::fs::File::open(file);
        opened.and_then(|opened| opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::File(format!("cannot read {name}: {error}")))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Failure::Usage(format!(
            "{name} is larger than {FILE_BYTES_MAX} bytes"
        )));
    }
    Ok((name, text))
}

/// The values in a text, one after the other.
fn values(text: &str) -> Result<Vec<Value>, String> {
    if text.trim_start().starts_with(['{', '[']) {
        let values = serde_json::Deserializer::from_str(text).into_iter();
        let values: Result<_, _> = values.collect();
        return values.map_err(|error: serde_json::Error| error.to_string());
    }
    // A name like `no` or `007` is a text.
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
    };
    let values = serde_saphyr::from_multiple_with_options(text, options);
    values.map_err(|error| error.to_string())
}

/// The documents of values: a list has one in each element, and so has the property `value` of a page.
fn documents(
    values: Vec<Value>,
    fallback: Option<&'static Resource>,
) -> Result<Vec<Document>, String> {
    let mut found = Vec::new();
    for value in values {
        match value {
            // An empty part of a YAML file.
            Value::Null => (),
            Value::Array(elements) => take(elements, fallback, &mut found)?,
            Value::Object(mut page) if page.get("value").is_some_and(Value::is_array) => {
                let of_page = of_context(&page).or(fallback);
                if let Some(Value::Array(elements)) = page.remove("value") {
                    take(elements, of_page, &mut found)?;
                }
            }
            other => take(vec![other], fallback, &mut found)?,
        }
    }
    Ok(found)
}

fn take(
    elements: Vec<Value>,
    fallback: Option<&'static Resource>,
    into: &mut Vec<Document>,
) -> Result<(), String> {
    for element in elements {
        let number = into.len() + 1;
        let Value::Object(content) = element else {
            return Err(format!("document {number}: it is not an object"));
        };
        let place = place(number, &content);
        let resource = resource_of(&content, fallback);
        let resource = resource.map_err(|problem| format!("{place}: {problem}"))?;
        into.push(Document {
            resource,
            content,
            place,
        });
    }
    Ok(())
}

fn place(number: usize, content: &Map<String, Value>) -> String {
    let name = content.get("displayName").and_then(Value::as_str);
    let name = name.map(|name| format!(" ({name})"));
    format!("document {number}{}", name.unwrap_or_default())
}

fn of_context(content: &Map<String, Value>) -> Option<&'static Resource> {
    Resource::of_context(content.get("@odata.context")?.as_str()?)
}

fn resource_of(
    content: &Map<String, Value>,
    fallback: Option<&'static Resource>,
) -> Result<&'static Resource, String> {
    let named = content.get("@odata.type").and_then(Value::as_str);
    if let Some(name) = named {
        return Resource::of_type(name).ok_or_else(|| format!("its type {name} is unknown"));
    }
    let found = of_context(content).or(fallback);
    found.ok_or_else(|| "its type is unknown: give it @odata.type, or use --type".to_owned())
}

#[cfg(test)]
mod tests {
    use super::{documents, values};

    fn types(text: &str) -> Result<Vec<&'static str>, String> {
        let found = documents(values(text)?, None)?;
        Ok(found
            .iter()
            .map(|document| document.resource.name)
            .collect())
    }

    #[test]
    fn documents_are_found_in_every_form() {
        let group = r##"{"@odata.type": "#microsoft.graph.group", "displayName": "a"}"##;
        let tag = r#"{"displayName": "t"}"#;
        let page = format!(
            r##"{{"@odata.context": "https://a:1/v1.0/$metadata#groups", "value": [{tag}]}}"##
        );
        for (text, expected) in [
            (group.to_owned(), vec!["groups"]),
            (format!("[{group},{group}]"), vec!["groups"; 2]),
            (format!("{group}\n{group}\n"), vec!["groups"; 2]),
            (page, vec!["groups"]),
            (
                "'@odata.type': '#microsoft.graph.iosCompliancePolicy'\ndisplayName: yes\n---\n\
                 - '@odata.type': microsoft.graph.roleScopeTag\n"
                    .to_owned(),
                vec!["policies", "scope-tags"],
            ),
            (String::new(), vec![]),
        ] {
            assert_eq!(types(&text), Ok(expected), "{text}");
        }
        for text in [
            tag,
            "[1]",
            "{",
            "a: [",
            "'@odata.type': '#microsoft.graph.user'",
        ] {
            assert!(types(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_word_of_yaml_is_no_truth_value() {
        let found = values("a: yes\nb: true\nc: 007\nd: 2.5\n").unwrap();
        let text = found[0].to_string();
        assert_eq!(text, r#"{"a":"yes","b":true,"c":"007","d":2.5}"#);
    }
}
