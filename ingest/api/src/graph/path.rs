//! The path of a request in one form: lower case, keys as segments, without names of namespaces.
//!
//! Graph matches segments without regard to case, and writes a key as `/x/{id}` or `/x('{id}')`. Pure. Bounded by the
//! length of a request head.

/// The prefix of qualified names: `/microsoft.graph.assign` is `/assign`, and a cast of members is a segment.
const NAMESPACE: &str = "microsoft.graph.";

/// A version of the API. Those of Graph have the same resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// `/v1.0`.
    V1,
    /// `/beta`.
    Beta,
    /// `/api`: the API of Defender, which has its own resources.
    Defender,
}

impl Version {
    /// Its segment.
    pub(super) const fn segment(self) -> &'static str {
        match self {
            Self::V1 => "v1.0",
            Self::Beta => "beta",
            Self::Defender => "api",
        }
    }
}

/// The version and the path in one form, percent-encoded where a segment needs it; `None` if no resource can have it.
pub(super) fn normalized(path: &str) -> Option<(Version, String)> {
    let mut segments = path.trim_matches('/').split('/');
    let version = match segments.next()?.to_ascii_lowercase().as_str() {
        "v1.0" => Version::V1,
        "beta" => Version::Beta,
        "api" => Version::Defender,
        _ => return None,
    };
    let mut normal = String::with_capacity(path.len());
    for segment in segments {
        let segment = decoded(segment)?.to_lowercase();
        let segment = segment.strip_prefix(NAMESPACE).unwrap_or(&segment);
        let (name, key) = split_key(segment)?;
        for part in [Some(name), key].into_iter().flatten() {
            normal.push('/');
            push_encoded(part, &mut normal);
        }
    }
    if normal.is_empty() {
        normal.push('/');
    }
    Some((version, normal))
}

/// A segment and the key in its parentheses: `x('a''b')` is `x` and `a'b`.
fn split_key(segment: &str) -> Option<(&str, Option<&str>)> {
    let Some((name, rest)) = segment.split_once('(') else {
        return Some((segment, None));
    };
    let key = rest.strip_suffix(')')?;
    if key.is_empty() {
        // A function without parameters.
        return Some((name, None));
    }
    let unquoted = key
        .strip_prefix('\'')
        .and_then(|key| key.strip_suffix('\''));
    let key = unquoted.unwrap_or(key);
    let is_plain = !key.is_empty() && !key.contains(['\'', '(', ')', '/']);
    (is_plain && !name.is_empty()).then_some((name, Some(key)))
}

/// Percent-decodes a segment; `None` if that is not UTF-8, or has a slash or a control character.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next())?, digit(rest.next())?);
                u8::try_from(high << 4 | low).ok()?
            }
            byte => byte,
        };
        if byte == b'/' || byte.is_ascii_control() {
            return None;
        }
        bytes.push(byte);
    }
    String::from_utf8(bytes)
        .ok()
        .filter(|text| !text.is_empty())
}

fn push_encoded(segment: &str, into: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~$".contains(&byte) {
            into.push(char::from(byte));
        } else {
            into.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_path_is_one() {
        let one = "/devicemanagement/manageddevices/3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11";
        for path in [
            "/beta/deviceManagement/managedDevices/3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11",
            "/beta/deviceManagement/managedDevices/3F1C2A90-6B7E-4D57-9D06-2A4F0F3A9B11/",
            "/Beta/DeviceManagement/manageddevices('3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11')",
            "/beta/deviceManagement/managedDevices(3f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11)",
            "/beta/deviceManagement/managedDevices(%273f1c2a90-6b7e-4d57-9d06-2a4f0f3a9b11%27)",
        ] {
            let expected = Some((Version::Beta, one.to_owned()));
            assert_eq!(normalized(path), expected, "{path}");
        }
    }

    #[test]
    fn qualified_names_and_functions_are_segments() {
        for (path, expected) in [
            ("/v1.0/a/b/microsoft.graph.assign", "/a/b/assign"),
            ("/v1.0/a/microsoft.graph.delta()", "/a/delta"),
            ("/v1.0/groups/1/members/$ref", "/groups/1/members/$ref"),
            ("/v1.0/a/%24count", "/a/$count"),
            ("/v1.0", "/"),
            ("/v1.0/", "/"),
            ("/v1.0/%24batch", "/$batch"),
            ("/v1.0/a/x%20y", "/a/x%20y"),
        ] {
            let expected = Some((Version::V1, expected.to_owned()));
            assert_eq!(normalized(path), expected, "{path}");
        }
        let machines = Some((Version::Defender, "/machines".to_owned()));
        assert_eq!(normalized("/API/Machines"), machines);
    }

    #[test]
    fn other_paths_are_of_no_resource() {
        for path in [
            "",
            "/",
            "/v2/a",
            "/v1.0/a%2fb",
            "/v1.0/a%0ab",
            "/v1.0/a%ff",
            "/v1.0/a%2",
            "/v1.0/a//b",
            "/v1.0/a('b'",
            "/v1.0/a('b')(c)",
            "/v1.0/('b')",
        ] {
            assert_eq!(normalized(path), None, "{path}");
        }
    }
}
