//! A user (`user`): a person by the principal name, as the inventories of devices name them.
//!
//! A user has an id that follows from the principal name, so that a user whom operators have made, and one whom a device
//! names, are one. The sender of a command derives it, because this crate has no hash functions; the name never changes,
//! except in its case. Muster signs nobody in: a password is neither kept nor checked.

use serde_json::{Value as Json, json};

use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties, properties};
use crate::fault::FaultKind;
use crate::limits::PRINCIPAL_NAME_MAX;
use crate::value::{DisplayName, Text, Value};

const PRINCIPAL_NAME: &str = "userPrincipalName";

/// What a document of a user may have that is not kept: clients of Graph must send a password.
pub(super) const COMPUTED_OF_USER: &[&str] = &[
    "id",
    "createdDateTime",
    "lastModifiedDateTime",
    "passwordProfile",
];

/// The properties that are null when they have no value.
const NULLABLE: &[&str] = &[
    "mailNickname",
    "mail",
    "givenName",
    "surname",
    "jobTitle",
    "department",
];

/// A user principal name: a name and a domain, with an @ between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrincipalName(Text<3, PRINCIPAL_NAME_MAX>);

impl PrincipalName {
    /// The name; `None` if its length or form is not allowed.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_allowed = |character: char| {
            !character.is_whitespace() && !character.is_control() && character != '/'
        };
        let (name, domain) = text.split_once('@')?;
        let has_form = !name.is_empty() && !domain.is_empty() && !domain.contains('@');
        let is_valid = has_form && text.chars().all(is_allowed);
        is_valid.then(|| Text::new(text).map(Self)).flatten()
    }

    /// The characters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether the two are the same, regardless of case.
    fn is_same(&self, other: &Self) -> bool {
        self.as_str().to_lowercase() == other.as_str().to_lowercase()
    }
}

impl Stored for PrincipalName {
    fn put(&self, into: &mut Vec<u8>) {
        put_text(self.as_str(), into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::new(from.text()?).ok_or(EntryError::Invalid("text"))
    }
}

impl Value for PrincipalName {
    fn allowed() -> String {
        format!("a name of at most {PRINCIPAL_NAME_MAX} characters, such as ada@example.org")
    }

    fn read(json: &Json) -> Option<Self> {
        Self::new(json.as_str()?)
    }

    fn show(&self) -> Json {
        self.0.show()
    }

    fn json_schema() -> Json {
        let pattern = r"^[^\s/@]+@[^\s/@]+$";
        json!({ "type": "string", "maxLength": PRINCIPAL_NAME_MAX, "pattern": pattern })
    }
}

properties! {
    /// A user.
    User {
        /// The name that people read.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// The principal name, which never changes except in its case.
        principal_name: PrincipalName = "userPrincipalName", PrincipalName::new("a@b").expect("it has the form");
        /// Whether the account is enabled. Stored.
        account_enabled: bool = "accountEnabled", true;
        /// The name in addresses. Stored.
        mail_nickname: Text<0, 64> = "mailNickname", Text::default();
        /// The address for mail. Stored.
        mail: Text<0, PRINCIPAL_NAME_MAX> = "mail", Text::default();
        /// The given name. Stored.
        given_name: Text<0, 64> = "givenName", Text::default();
        /// The surname. Stored.
        surname: Text<0, 64> = "surname", Text::default();
        /// The job title. Stored.
        job_title: Text<0, 128> = "jobTitle", Text::default();
        /// The department. Stored.
        department: Text<0, 64> = "department", Text::default();
    }
}

impl User {
    /// The user with the properties of a document, or a new one.
    pub(super) fn written(base: Option<&Self>, keeps: bool, document: &mut Document<'_>) -> Self {
        let user = match base {
            Some(base) if keeps => Self::read(base, document),
            _ => {
                document.require::<DisplayName>("displayName");
                document.require::<PrincipalName>(PRINCIPAL_NAME);
                Self::read(&Self::default(), document)
            }
        };
        if let Some(base) = base.filter(|base| !base.principal_name.is_same(&user.principal_name)) {
            let before = base.principal_name.as_str();
            document.fault(FaultKind::Unchangeable, PRINCIPAL_NAME, before);
        }
        user
    }

    pub(super) fn show_whole(&self, into: &mut Properties) {
        self.show(into);
        for name in NULLABLE {
            if let Some(value) = into.get_mut(*name).filter(|value| *value == "") {
                *value = Json::Null;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_principal_name_has_a_name_and_a_domain() {
        let longest = format!("{}@b", "x".repeat(PRINCIPAL_NAME_MAX - 2));
        for text in [
            "a@b",
            "ada.lovelace@example.org",
            "o'brien@b",
            "ü@b",
            &longest,
        ] {
            assert!(PrincipalName::new(text).is_some(), "{text}");
        }
        let too_long = format!("x{longest}");
        for text in [
            "", "a", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a/b@c", &too_long,
        ] {
            assert_eq!(PrincipalName::new(text), None, "{text}");
        }
    }
}
