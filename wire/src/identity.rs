//! The identity of a client: the URI in its certificate.
//!
//! Purpose: parses `muster://<tenant>/device/<uuid>` or `muster://<tenant>/gateway/<name>` once, into types that are
//! always valid. Deny by default: a certificate with no such URI, or with two, has no identity.
//!
//! Bounds: names of 1 to 63 characters. What it does not do: X.509; the caller passes the URIs of a certificate whose
//! chain was verified, and knows which tenants exist.

use std::{borrow::Borrow, fmt, str::FromStr};

use crate::{
    close::CloseCode,
    device_id::DeviceId,
    limits::{IDENTITY_URI_BYTES_MAX, NAME_BYTES_MAX},
};

const SCHEME: &str = "muster://";

/// The text is not a valid tenant or gateway name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a name has 1 to 63 characters of a-z, 0-9 and hyphen, and no hyphen at its start or end")]
pub struct NameError;

fn check_name(text: &str) -> Result<&str, NameError> {
    let legal = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let valid = !text.is_empty()
        && text.len() <= NAME_BYTES_MAX
        && text.bytes().all(legal)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if valid { Ok(text) } else { Err(NameError) }
}

macro_rules! name_type {
    ($(#[$attribute:meta])* $name:ident) => {
        $(#[$attribute])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text).map(|name| Self(name.into()))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, out)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type! {
    /// The name of a tenant: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
    TenantName
}

name_type! {
    /// The name of a gateway within its tenant: `[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?`.
    GatewayName
}

/// The device or gateway that a certificate was issued to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A device, which reports for itself only.
    Device(DeviceId),
    /// A gateway, which reports for any device of its tenant.
    Gateway(GatewayName),
}

/// The identity in a certificate: a tenant, and a device or gateway of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity {
    /// The tenant, to which every record of the connection belongs.
    pub tenant: TenantName,
    /// The device or gateway.
    pub subject: Subject,
}

/// Why the URIs of a certificate are not an identity. The issuer of the certificate must act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentityError {
    /// No URI of the scheme `muster`: issue a certificate with one.
    #[error("the certificate has no muster:// URI")]
    Missing,
    /// Several URIs of the scheme `muster`: issue one certificate for each identity.
    #[error("the certificate has more than one muster:// URI")]
    MoreThanOne,
    /// The URI has neither of the two valid forms.
    #[error(
        "the URI is neither muster://<tenant>/device/<uuid> nor muster://<tenant>/gateway/<name>"
    )]
    Malformed,
    /// The tenant is not a valid name.
    #[error("the tenant in the URI is not a valid name")]
    TenantName(#[source] NameError),
    /// The gateway is not a valid name.
    #[error("the gateway in the URI is not a valid name")]
    GatewayName(#[source] NameError),
    /// The device is not a UUID.
    #[error("the device in the URI is not a UUID")]
    DeviceId,
    /// The device id is all zero.
    #[error("the device id in the URI is all zero")]
    DeviceIdZero,
}

impl IdentityError {
    /// The code to close the connection with.
    #[must_use]
    pub const fn close_code(self) -> CloseCode {
        match self {
            Self::Missing => CloseCode::IdentityMissing,
            _ => CloseCode::IdentityInvalid,
        }
    }
}

impl Identity {
    /// The identity among the URIs (subject alternative names) of a verified certificate. Exactly one URI of the scheme
    /// `muster` (in upper or lower case, so that none is overlooked) must be present, and it must be valid. URIs of
    /// other schemes are ignored.
    ///
    /// # Errors
    /// See [`IdentityError`].
    pub fn from_uris<'a>(uris: impl IntoIterator<Item = &'a str>) -> Result<Self, IdentityError> {
        let is_ours = |uri: &&str| {
            uri.split_once(':')
                .is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("muster"))
        };
        let mut ours = uris.into_iter().filter(is_ours);
        let uri = ours.next().ok_or(IdentityError::Missing)?;
        if ours.next().is_some() {
            return Err(IdentityError::MoreThanOne);
        }
        uri.parse()
    }
}

impl FromStr for Identity {
    type Err = IdentityError;

    fn from_str(uri: &str) -> Result<Self, IdentityError> {
        if uri.len() > IDENTITY_URI_BYTES_MAX {
            return Err(IdentityError::Malformed);
        }
        let path = uri.strip_prefix(SCHEME).ok_or(IdentityError::Malformed)?;
        let mut parts = path.split('/');
        let (Some(tenant), Some(kind), Some(name), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(IdentityError::Malformed);
        };
        let tenant = tenant.parse().map_err(IdentityError::TenantName)?;
        let subject = match kind {
            "device" => {
                let device_id: DeviceId = name.parse().map_err(|_| IdentityError::DeviceId)?;
                if device_id.is_zero() {
                    return Err(IdentityError::DeviceIdZero);
                }
                Subject::Device(device_id)
            }
            "gateway" => Subject::Gateway(name.parse().map_err(IdentityError::GatewayName)?),
            _ => return Err(IdentityError::Malformed),
        };
        Ok(Self { tenant, subject })
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{SCHEME}{}/", self.tenant)?;
        match &self.subject {
            Subject::Device(device_id) => write!(out, "device/{device_id}"),
            Subject::Gateway(name) => write!(out, "gateway/{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEVICE: &str = "muster://contoso/device/00112233-4455-6677-8899-aabbccddeeff";
    const GATEWAY: &str = "muster://contoso/gateway/gw-1";

    #[test]
    fn devices_and_gateways_round_trip() {
        for uri in [DEVICE, GATEWAY] {
            assert_eq!(uri.parse::<Identity>().unwrap().to_string(), uri);
        }
    }

    #[test]
    fn the_longest_identity_fits_its_bound() {
        let name = "a".repeat(NAME_BYTES_MAX);
        let uri = format!("muster://{name}/gateway/{name}");
        assert_eq!(uri.len(), IDENTITY_URI_BYTES_MAX);
        assert_eq!(uri.parse::<Identity>().unwrap().to_string(), uri);
    }

    #[test]
    fn a_certificate_needs_exactly_one_muster_uri() {
        let other = "spiffe://example.org/workload";
        assert_eq!(Identity::from_uris([other, GATEWAY]), GATEWAY.parse());
        assert_eq!(Identity::from_uris([other]), Err(IdentityError::Missing));
        assert_eq!(
            Identity::from_uris([GATEWAY, DEVICE]),
            Err(IdentityError::MoreThanOne)
        );
        assert_eq!(
            Identity::from_uris([GATEWAY, GATEWAY]),
            Err(IdentityError::MoreThanOne)
        );
        assert_eq!(
            Identity::from_uris(["Muster:x", DEVICE]),
            Err(IdentityError::MoreThanOne)
        );
        assert_eq!(
            IdentityError::Missing.close_code(),
            CloseCode::IdentityMissing
        );
        assert_eq!(
            IdentityError::MoreThanOne.close_code(),
            CloseCode::IdentityInvalid
        );
    }

    #[test]
    fn malformed_uris_are_rejected_with_their_fault() {
        use IdentityError as E;
        let cases = [
            ("muster:", E::Malformed),
            ("MUSTER://contoso/gateway/gw-1", E::Malformed),
            ("muster://contoso", E::Malformed),
            ("muster://contoso/gateway", E::Malformed),
            ("muster://contoso/gateway/a/b", E::Malformed),
            ("muster://contoso/user/a", E::Malformed),
            ("muster:///gateway/a", E::TenantName(NameError)),
            ("muster://Contoso/gateway/a", E::TenantName(NameError)),
            ("muster://-a/gateway/a", E::TenantName(NameError)),
            ("muster://a@b/gateway/a", E::TenantName(NameError)),
            ("muster://contoso/gateway/a-", E::GatewayName(NameError)),
            ("muster://contoso/gateway/", E::GatewayName(NameError)),
            ("muster://contoso/device/1", E::DeviceId),
            (
                "muster://contoso/device/00000000-0000-0000-0000-000000000000",
                E::DeviceIdZero,
            ),
        ];
        for (uri, fault) in cases {
            assert_eq!(uri.parse::<Identity>(), Err(fault), "{uri}");
        }
        let long = format!("muster://contoso/gateway/{}", "a".repeat(64));
        assert_eq!(long.parse::<Identity>(), Err(E::GatewayName(NameError)));
    }
}
