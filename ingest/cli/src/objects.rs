//! Objects of the API as commands name them: by id, or by the name that people gave.

use serde_json::Value;

use crate::api_client::{ApiClient, ApiError, Reply};
use crate::exit::Failure;
use crate::resources::{Access, Resource};

/// The version of the API that commands use. Both have the same resources.
const VERSION: &str = "/v1.0";

/// Rows of a page, the most that the server sends.
const PAGE_ROWS: u64 = 1_000;

/// Objects with the same name that are read to tell that it is ambiguous.
const SAME_NAME_MAX: u64 = 50;

/// An object that was read.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) id: String,
    pub(crate) document: Value,
    /// Its revision, if the type has one.
    pub(crate) etag: Option<String>,
}

/// What a list is asked for.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct QueryArguments {
    /// List only what fulfils this condition of OData, like "complianceState eq 'noncompliant'".
    #[arg(long, value_name = "ODATA")]
    pub(crate) filter: Option<String>,
    /// List only what contains this text.
    #[arg(long, value_name = "TEXT")]
    pub(crate) search: Option<String>,
    /// The order, like "deviceName desc".
    #[arg(long, value_name = "PROPERTIES")]
    pub(crate) order_by: Option<String>,
    /// The properties to show, separated by commas.
    #[arg(long, value_name = "PROPERTIES", value_delimiter = ',')]
    pub(crate) select: Vec<String>,
    /// List at most this many.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) top: Option<u64>,
}

/// A text as a part of a path or query.
pub(crate) fn encoded(text: &str) -> String {
    let encoded: String = form_urlencoded::byte_serialize(text.as_bytes()).collect();
    // In a path, + is not a blank.
    encoded.replace('+', "%20")
}

/// The path of a resource.
pub(crate) fn path(below: &str) -> String {
    format!("{VERSION}/{below}")
}

/// The path of one object.
pub(crate) fn path_of(resource: &Resource, id: &str) -> String {
    match resource.access {
        Access::Single { .. } => path(resource.path),
        Access::ById | Access::InList => path(&format!("{}/{}", resource.path, encoded(id))),
    }
}

/// The path of a list. Only the properties of `columns` are asked for if it is not empty.
pub(crate) fn path_of_list(
    resource: &Resource,
    query: &QueryArguments,
    columns: &[String],
) -> String {
    let mut options = vec![(
        "$top",
        query.top.unwrap_or(PAGE_ROWS).min(PAGE_ROWS).to_string(),
    )];
    let mut add = |name, value: Option<&String>| {
        options.extend(value.map(|value| (name, value.clone())));
    };
    add("$filter", query.filter.as_ref());
    add("$search", query.search.as_ref());
    add("$orderby", query.order_by.as_ref());
    match columns {
        [] => options.extend(resource.expand.map(|names| ("$expand", names.to_owned()))),
        names => options.push(("$select", names.join(","))),
    }
    let options: Vec<_> = options
        .iter()
        .map(|(name, value)| format!("{name}={}", encoded(value)))
        .collect();
    path(&format!("{}?{}", resource.path, options.join("&")))
}

/// The object with an id or a name, whole.
pub(crate) fn find(
    client: &ApiClient,
    resource: &Resource,
    id_or_name: &str,
) -> Result<Found, Failure> {
    let found = by_id_or_name(client, resource, id_or_name)?;
    found.ok_or_else(|| Failure::Unknown(format!("there is no {} {id_or_name}", resource.singular)))
}

/// The only object of its type.
pub(crate) fn single(client: &ApiClient, resource: &Resource) -> Result<Found, Failure> {
    let reply = client.get(&path(resource.path))?;
    Ok(found(resource.name.to_owned(), reply))
}

fn by_id_or_name(
    client: &ApiClient,
    resource: &Resource,
    text: &str,
) -> Result<Option<Found>, Failure> {
    // A name is not asked for as an id, which costs a request.
    if (resource.label.is_none() || is_like_id(text))
        && let Some(found) = by_id(client, resource, text)?
    {
        return Ok(Some(found));
    }
    by_name(client, resource, text)
}

/// Whether a text has the form of an id: a UUID, or the number of a scope tag.
fn is_like_id(text: &str) -> bool {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let of_uuid = |byte: u8| byte.is_ascii_hexdigit() || byte == b'-';
    is_number || (text.len() == 36 && text.bytes().all(of_uuid))
}

/// The object with an id.
pub(crate) fn by_id(
    client: &ApiClient,
    resource: &Resource,
    id: &str,
) -> Result<Option<Found>, Failure> {
    if resource.access == Access::InList {
        let condition = format!("id eq '{}'", quoted(id));
        return Ok(matching(client, resource, condition)?.pop());
    }
    let expand = resource.expand.map(|names| format!("?$expand={names}"));
    let path = path_of(resource, id) + &expand.unwrap_or_default();
    match client.get(&path) {
        Ok(reply) => Ok(Some(found(id.to_owned(), reply))),
        Err(ApiError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The only object with a name.
pub(crate) fn by_name(
    client: &ApiClient,
    resource: &Resource,
    name: &str,
) -> Result<Option<Found>, Failure> {
    let Some(label) = resource.label else {
        return Ok(None);
    };
    let condition = format!("{label} eq '{}'", quoted(name));
    let mut all = matching(client, resource, condition)?;
    if all.len() > 1 {
        // A condition ignores case; who writes the same case means that one.
        let is_same = |found: &Found| found.document[label] == *name;
        if all.iter().filter(|found| is_same(found)).count() != 1 {
            return Err(Failure::Usage(format!(
                "{} {} have the name {name}: use the id",
                all.len(),
                resource.name
            )));
        }
        all.retain(is_same);
    }
    let Some(listed) = all.pop() else {
        return Ok(None);
    };
    match resource.access {
        // A list has no ETags.
        Access::ById => by_id(client, resource, &listed.id),
        Access::InList | Access::Single { .. } => Ok(Some(listed)),
    }
}

/// A text within quotes of OData.
fn quoted(text: &str) -> String {
    text.replace('\'', "''")
}

fn matching(
    client: &ApiClient,
    resource: &Resource,
    condition: String,
) -> Result<Vec<Found>, Failure> {
    let query = QueryArguments {
        filter: Some(condition),
        top: Some(SAME_NAME_MAX),
        ..QueryArguments::default()
    };
    let path = path_of_list(resource, &query, &[]);
    let rows = client.pages(path).next().transpose()?.unwrap_or_default();
    let all = rows.into_iter().filter_map(|document| {
        let id = document.get("id")?.as_str()?.to_owned();
        Some(Found {
            id,
            document,
            etag: None,
        })
    });
    Ok(all.collect())
}

fn found(id: String, reply: Reply) -> Found {
    let own = reply.value.get("id").and_then(Value::as_str);
    Found {
        id: own.map_or(id, str::to_owned),
        etag: reply.etag,
        document: reply.value,
    }
}

#[cfg(test)]
mod tests {
    use super::{QueryArguments, encoded, is_like_id, path_of_list};
    use crate::resources::DEVICES;

    #[test]
    fn what_a_list_is_asked_for_is_encoded() {
        let query = QueryArguments {
            filter: Some("deviceName eq 'a&b +1'".to_owned()),
            top: Some(5_000),
            ..QueryArguments::default()
        };
        assert_eq!(
            path_of_list(
                &DEVICES,
                &query,
                &["id".to_owned(), "deviceName".to_owned()]
            ),
            "/v1.0/deviceManagement/managedDevices?$top=1000&$filter=deviceName%20eq%20%27a%26b%20%2B1%27\
             &$select=id%2CdeviceName"
        );
        assert_eq!(encoded("../a b?"), "..%2Fa%20b%3F");
    }

    #[test]
    fn an_id_is_told_from_a_name() {
        for id in ["0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c01", "12"] {
            assert!(is_like_id(id), "{id}");
        }
        for name in [
            "",
            "Windows risk",
            "1a",
            "0fd1a9f4-7e0c-4a86-b1a4-6f1c4d2c9c0x",
        ] {
            assert!(!is_like_id(name), "{name}");
        }
    }
}
