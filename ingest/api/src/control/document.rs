//! The document of an object: that of `muster-control`, with the times and the ETag.

use muster_control::{ETag, Key, Object, Properties};
use muster_engine::Timestamp;
use serde_json::Value;

use crate::times;

/// The annotation with the ETag.
const ETAG: &str = "@odata.etag";

pub(super) fn of(object: &Object, key: Key, etag: ETag) -> Properties {
    let mut document = Properties::new();
    document.insert(ETAG.to_owned(), etag.to_string().into());
    document.extend(object.document(key));
    if let Object::Policy(policy) = object {
        let mut time = |name: &str, at: Timestamp| {
            let at = times::timestamp(at).map_or(Value::Null, Value::from);
            document.insert(name.to_owned(), at);
        };
        time("createdDateTime", policy.created_at);
        time("lastModifiedDateTime", policy.modified_at);
    }
    document
}
