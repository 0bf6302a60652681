//! A group of devices (`group`). Its members are kept separately, because there may be a million.
//!
//! Only security groups: the properties of Graph that say so have one allowed value each. The rule of a dynamic group
//! is not evaluated yet, so it has no members.

use muster_engine::Timestamp;
use serde_json::{Value as Json, json};

use super::filter::check_balanced;
use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties, properties};
use crate::fault::FaultKind;
use crate::limits::{MAIL_NICKNAME_MAX, RULE_CHARACTERS_MAX};
use crate::value::{Description, DisplayName, Text, Value, choices};

const DISPLAY_NAME: &str = "displayName";
const MAIL_ENABLED: &str = "mailEnabled";
const MAIL_NICKNAME: &str = "mailNickname";
const SECURITY_ENABLED: &str = "securityEnabled";
const MEMBERSHIP_RULE: &str = "membershipRule";
const PROCESSING_STATE: &str = "membershipRuleProcessingState";

/// The only type of a group.
const DYNAMIC: &str = "DynamicMembership";

/// The name of a group in addresses. Nothing is sent there, but clients of Graph require it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailNickname(Text<1, MAIL_NICKNAME_MAX>);

impl MailNickname {
    /// The name; `None` if its length or a character is not allowed.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_graphic() && !b"@()\\[]\";:.<>,".contains(&byte);
        let fits = text.bytes().all(is_allowed);
        fits.then(|| Text::new(text).map(Self)).flatten()
    }
}

impl Stored for MailNickname {
    fn put(&self, into: &mut Vec<u8>) {
        self.0.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::new(from.text()?).ok_or(EntryError::Invalid("text"))
    }
}

impl Value for MailNickname {
    fn allowed() -> String {
        format!("1 to {MAIL_NICKNAME_MAX} ASCII characters except blanks and @()\\[]\";:.<>,")
    }

    fn read(json: &Json) -> Option<Self> {
        Self::new(json.as_str()?)
    }

    fn show(&self) -> Json {
        self.0.show()
    }

    fn json_schema() -> Json {
        let pattern = r#"^[!#-'*+/-9=?A-Z^-~-]+$"#;
        json!({ "type": "string", "pattern": pattern, "maxLength": MAIL_NICKNAME_MAX })
    }
}

/// Declares properties with one allowed value, which is shown and not stored.
macro_rules! fixed {
    ($($(#[$meta:meta])* $name:ident = $value:tt;)+) => {
        $($(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct $name;

        impl Stored for $name {
            fn put(&self, _: &mut Vec<u8>) {}

            fn take(_: &mut Reader<'_>) -> Result<Self, EntryError> {
                Ok(Self)
            }
        }

        impl Value for $name {
            fn allowed() -> String {
                Self.show().to_string()
            }

            fn read(json: &Json) -> Option<Self> {
                (*json == Self.show()).then_some(Self)
            }

            fn show(&self) -> Json {
                json!($value)
            }

            fn json_schema() -> Json {
                json!({ "const": $value })
            }
        })+
    };
}

fixed! {
    /// A group has no mailbox.
    MailEnabled = false;
    /// A group is a security group.
    SecurityEnabled = true;
}

/// `groupTypes`: whether the members follow from a rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupTypes {
    /// They follow from a rule, and cannot be added.
    pub is_dynamic: bool,
}

impl Value for GroupTypes {
    fn allowed() -> String {
        format!("[] or [\"{DYNAMIC}\"]")
    }

    fn read(json: &Json) -> Option<Self> {
        let is_dynamic = match json.as_array()?.as_slice() {
            [] => false,
            [one] if one.as_str()?.eq_ignore_ascii_case(DYNAMIC) => true,
            _ => return None,
        };
        Some(Self { is_dynamic })
    }

    fn show(&self) -> Json {
        if self.is_dynamic {
            json!([DYNAMIC])
        } else {
            json!([])
        }
    }

    fn json_schema() -> Json {
        json!({ "type": "array", "items": { "const": DYNAMIC }, "maxItems": 1 })
    }
}

impl Stored for GroupTypes {
    fn put(&self, into: &mut Vec<u8>) {
        self.is_dynamic.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let is_dynamic = Stored::take(from)?;
        Ok(Self { is_dynamic })
    }
}

/// The rule of a dynamic group, if it is one. Stored, with balanced parentheses; not evaluated yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipRule(Option<Box<str>>);

impl MembershipRule {
    /// The rule.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        self.0.as_deref()
    }

    fn parse(json: &Json) -> Result<Self, String> {
        match json {
            Json::Null => Ok(Self(None)),
            Json::String(text) if text.is_empty() => Ok(Self(None)),
            Json::String(text) => match check_balanced(text) {
                Ok(()) => Ok(Self(Some(text.as_str().into()))),
                Err(error) => Err(format!("a rule, or null; {error}")),
            },
            _ => Err(Self::allowed()),
        }
    }
}

impl Value for MembershipRule {
    fn allowed() -> String {
        "a rule, or null".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        Self::parse(json).ok()
    }

    fn fault(json: &Json) -> String {
        Self::parse(json).err().unwrap_or_else(Self::allowed)
    }

    fn show(&self) -> Json {
        self.as_str().into()
    }

    fn json_schema() -> Json {
        json!({ "type": ["string", "null"], "maxLength": RULE_CHARACTERS_MAX })
    }
}

impl Stored for MembershipRule {
    fn put(&self, into: &mut Vec<u8>) {
        put_text(self.as_str().unwrap_or_default(), into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::parse(&from.text()?.into()).map_err(|_| EntryError::Invalid("rule"))
    }
}

choices! {
    /// `membershipRuleProcessingState`, or that the group is not dynamic.
    ProcessingState {
        /// The group has no rule: null.
        None = 0 "",
        /// The rule decides.
        On = 1 "On",
        /// The members stay as they are.
        Paused = 2 "Paused",
    }
}

impl Value for ProcessingState {
    fn allowed() -> String {
        "On or Paused with a rule, null without".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        match json {
            Json::Null => Some(Self::None),
            json => Self::from_name(json.as_str()?),
        }
    }

    fn show(&self) -> Json {
        match self {
            Self::None => Json::Null,
            state => state.name().into(),
        }
    }

    fn json_schema() -> Json {
        json!({ "enum": [null, "", Self::On.name(), Self::Paused.name()] })
    }
}

properties! {
    /// What operators set on a group.
    GroupProperties {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
        /// Always false.
        mail_enabled: MailEnabled = "mailEnabled", MailEnabled;
        /// Its name in addresses.
        mail_nickname: MailNickname = "mailNickname", MailNickname::new("unnamed").expect("its characters are allowed");
        /// Always true.
        security_enabled: SecurityEnabled = "securityEnabled", SecurityEnabled;
        /// Whether it is dynamic.
        group_types: GroupTypes = "groupTypes", GroupTypes::default();
        /// The rule of a dynamic group.
        membership_rule: MembershipRule = "membershipRule", MembershipRule::default();
        /// Whether the rule is processed. Stored.
        processing_state: ProcessingState = "membershipRuleProcessingState", ProcessingState::None;
    }
}

/// A group of devices, without its members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// When it was created; `None` for a built-in group.
    pub created_at: Option<Timestamp>,
    /// What operators set on it.
    pub properties: GroupProperties,
}

impl Group {
    /// Creates a group from a document, which must have the properties that Graph requires.
    pub(super) fn created(document: &mut Document<'_>, at: Timestamp) -> Self {
        let properties = Self::whole(document);
        check_rule(&properties, document);
        Self {
            created_at: Some(at),
            properties,
        }
    }

    /// The group with the properties of a document. Those that the document does not have keep their values if
    /// `keeps`, and get their defaults otherwise.
    pub(super) fn changed(&self, keeps: bool, document: &mut Document<'_>) -> Self {
        let properties = if keeps {
            GroupProperties::read(&self.properties, document)
        } else {
            Self::whole(document)
        };
        check_rule(&properties, document);
        Self {
            created_at: self.created_at,
            properties,
        }
    }

    fn whole(document: &mut Document<'_>) -> GroupProperties {
        document.require::<DisplayName>(DISPLAY_NAME);
        document.require::<MailEnabled>(MAIL_ENABLED);
        document.require::<MailNickname>(MAIL_NICKNAME);
        document.require::<SecurityEnabled>(SECURITY_ENABLED);
        GroupProperties::read(&GroupProperties::default(), document)
    }

    /// The built-in group of all devices.
    pub(crate) fn all_devices() -> Self {
        let properties = GroupProperties {
            display_name: DisplayName::new("All devices").expect("its length is allowed"),
            mail_nickname: MailNickname::new("all-devices").expect("its characters are allowed"),
            ..GroupProperties::default()
        };
        Self {
            created_at: None,
            properties,
        }
    }

    pub(super) fn show(&self, into: &mut Properties) {
        self.properties.show(into);
    }
}

/// Notes a rule of a group that is not dynamic, and one that a dynamic group lacks.
fn check_rule(properties: &GroupProperties, document: &mut Document<'_>) {
    let is_dynamic = properties.group_types.is_dynamic;
    if properties.membership_rule.0.is_some() != is_dynamic {
        let allowed = format!("a rule with the group type {DYNAMIC}, null without");
        document.fault(FaultKind::Invalid, MEMBERSHIP_RULE, allowed);
    }
    if properties.processing_state != ProcessingState::None && !is_dynamic {
        document.fault(
            FaultKind::Invalid,
            PROCESSING_STATE,
            ProcessingState::allowed(),
        );
    }
}

/// Only groups that an operator has created are stored.
impl Stored for Group {
    fn put(&self, into: &mut Vec<u8>) {
        self.created_at.unwrap_or_default().put(into);
        self.properties.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            created_at: Some(Stored::take(from)?),
            properties: Stored::take(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_nickname_has_the_characters_that_graph_allows() {
        let longest = "x".repeat(MAIL_NICKNAME_MAX);
        for text in ["ring1", "!#$%&'*+-/=?^_`{|}~", &longest] {
            assert!(MailNickname::new(text).is_some(), "{text}");
        }
        for character in "@()\\[]\";:.<>, \tü".chars() {
            let text = format!("ring{character}");
            assert_eq!(MailNickname::new(&text), None, "{text}");
        }
        assert_eq!(MailNickname::new(""), None);
        assert_eq!(MailNickname::new(&format!("{longest}x")), None);
    }

    #[test]
    fn a_fixed_property_has_one_value() {
        assert_eq!(MailEnabled::read(&json!(false)), Some(MailEnabled));
        assert_eq!(MailEnabled::read(&json!(true)), None);
        assert_eq!(SecurityEnabled::read(&json!(false)), None);
        assert_eq!(GroupTypes::read(&json!(["Unified"])), None);
        assert_eq!(GroupTypes::allowed(), "[] or [\"DynamicMembership\"]");
        assert_eq!(MembershipRule::read(&json!("(a")), None);
        assert_eq!(
            MembershipRule::fault(&json!("(a")),
            "a rule, or null; character 2: expected \")\""
        );
    }
}
