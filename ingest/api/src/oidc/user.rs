//! The user of a token: who it is, and which roles or groups the issuer says it has. Pure.

use serde_json::Value;

use muster_control::{DisplayName, IssuerUrl, UserId};

use super::claims::{Claims, texts};
use super::issuer::IssuerSettings;
use super::refusal::TokenRefusal;

/// Claims with a name, if there is none in the configured one.
const NAMES: [&str; 3] = ["upn", "email", "sub"];

/// A user whose token is valid.
#[derive(Debug)]
pub(crate) struct User<'a> {
    /// Its issuer.
    pub(crate) settings: &'a IssuerSettings,
    /// The URL of its issuer.
    pub(crate) issuer: IssuerUrl,
    /// Its id at the issuer, which never changes.
    pub(crate) id: UserId,
    /// Its name, for people. It may change.
    pub(crate) name: DisplayName,
    /// Its roles or groups, as the issuer names them.
    pub(crate) values: Vec<String>,
}

impl<'a> User<'a> {
    pub(super) fn read(
        settings: &'a IssuerSettings,
        claims: &Claims,
    ) -> Result<Self, TokenRefusal> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let id = text("sub").and_then(UserId::new);
        let names = std::iter::once(settings.name_claim.as_str()).chain(NAMES);
        let name = names.filter_map(text).find_map(DisplayName::new);
        let (Some(issuer), Some(id), Some(name)) = (IssuerUrl::new(&settings.issuer), id, name)
        else {
            return Err(TokenRefusal::Malformed);
        };
        Ok(Self {
            settings,
            issuer,
            id,
            name,
            values: texts(claim(claims, &settings.claim)),
        })
    }
}

/// A claim by its name, or by a path of names with dots, like `realm_access.roles`.
fn claim<'a>(claims: &'a Claims, path: &str) -> Option<&'a Value> {
    if let Some(found) = claims.get(path) {
        return Some(found);
    }
    let mut names = path.split('.');
    let first = claims.get(names.next()?)?;
    names.try_fold(first, |value, name| value.get(name))
}
