//! An assignment filter (`deviceAndAppManagementAssignmentFilter`): a rule that assignments narrow their devices by.
//!
//! Its platform never changes, and it cannot be deleted while an assignment uses it. Not evaluated yet.

mod rule;

use muster_engine::Timestamp;
use serde_json::{Value as Json, json};

pub(super) use self::rule::check_balanced;
pub use self::rule::{FilterOperator, FilterProperty, FilterRule, RuleError, RuleProblem};
use super::scope_tag::ScopeTags;
use super::subclass::Subclass;
use crate::bytes::{EntryError, Reader, Stored, put_text};
use crate::document::{Document, Properties, properties};
use crate::fault::FaultKind;
use crate::limits::RULE_CHARACTERS_MAX;
use crate::value::{Description, DisplayName, Value, choice_values, choices};

const DISPLAY_NAME: &str = "displayName";
const PLATFORM: &str = "platform";
const RULE: &str = "rule";

choices! {
    /// `devicePlatformType`, as far as there are policies.
    FilterPlatform {
        /// Android, managed by device administrator.
        Android = 0 "android",
        /// Android Enterprise.
        AndroidForWork = 1 "androidForWork",
        /// iOS and iPadOS.
        Ios = 2 "iOS",
        /// macOS.
        MacOs = 3 "macOS",
        /// Windows 10 and later.
        Windows10 = 6 "windows10AndLater",
    }
}

choices! {
    /// `assignmentFilterManagementType`: filters of apps do not exist.
    FilterManagementType {
        /// Devices.
        Devices = 0 "devices",
    }
}

choice_values!(FilterPlatform, FilterManagementType);

impl FilterPlatform {
    /// The platform of the filters for the assignments of a policy.
    #[must_use]
    pub const fn of(subclass: Subclass) -> Self {
        match subclass {
            Subclass::Windows10 => Self::Windows10,
            Subclass::Ios => Self::Ios,
            Subclass::Android => Self::Android,
            Subclass::AndroidWorkProfile | Subclass::AndroidDeviceOwner => Self::AndroidForWork,
            Subclass::MacOs => Self::MacOs,
        }
    }
}

/// A rule with its text, which is what is stored and shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterText {
    text: Box<str>,
    rule: FilterRule,
}

impl FilterText {
    /// The rule with this text.
    ///
    /// # Errors
    /// The text is not a rule.
    pub fn new(text: &str) -> Result<Self, RuleError> {
        let rule = FilterRule::parse(text)?;
        let text = text.into();
        Ok(Self { text, rule })
    }

    /// The rule.
    #[must_use]
    pub const fn rule(&self) -> &FilterRule {
        &self.rule
    }
}

impl Stored for FilterText {
    fn put(&self, into: &mut Vec<u8>) {
        put_text(&self.text, into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Self::new(from.text()?).map_err(|_| EntryError::Invalid("rule"))
    }
}

impl Value for FilterText {
    fn allowed() -> String {
        "a rule, such as (device.manufacturer -eq \"Dell\")".to_owned()
    }

    fn read(json: &Json) -> Option<Self> {
        Self::new(json.as_str()?).ok()
    }

    fn fault(json: &Json) -> String {
        let error = json.as_str().and_then(|text| Self::new(text).err());
        error.map_or_else(Self::allowed, |error| {
            format!("{}; {error}", Self::allowed())
        })
    }

    fn show(&self) -> Json {
        (*self.text).into()
    }

    fn json_schema() -> Json {
        json!({ "type": "string", "minLength": 1, "maxLength": RULE_CHARACTERS_MAX })
    }
}

properties! {
    /// What operators set on a filter.
    FilterProperties {
        /// Its name.
        display_name: DisplayName = "displayName", DisplayName::new("unnamed").expect("its length is allowed");
        /// Its description.
        description: Description = "description", Description::default();
        /// The platform of its devices, which never changes.
        platform: FilterPlatform = "platform", FilterPlatform::Windows10;
        /// The rule.
        rule: FilterText = "rule", FilterText::new("device.model -eq \"\"").expect("it is a rule");
        /// The scope tags, which have another name here than elsewhere.
        scope_tags: ScopeTags = "roleScopeTags", ScopeTags::default();
        /// What the rule is about.
        management_type: FilterManagementType = "assignmentFilterManagementType", FilterManagementType::Devices;
    }
}

/// An assignment filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssignmentFilter {
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// What operators set on it.
    pub properties: FilterProperties,
}

impl AssignmentFilter {
    /// The filter with the properties of a document, or a new one.
    pub(super) fn written(
        base: Option<&Self>,
        keeps: bool,
        document: &mut Document<'_>,
        at: Timestamp,
    ) -> Self {
        let properties = match base {
            Some(base) if keeps => FilterProperties::read(&base.properties, document),
            _ => {
                document.require::<DisplayName>(DISPLAY_NAME);
                document.require::<FilterPlatform>(PLATFORM);
                document.require::<FilterText>(RULE);
                FilterProperties::read(&FilterProperties::default(), document)
            }
        };
        if let Some(base) = base.filter(|base| base.properties.platform != properties.platform) {
            document.fault(
                FaultKind::Unchangeable,
                PLATFORM,
                base.properties.platform.name(),
            );
        }
        Self {
            created_at: base.map_or(at, |base| base.created_at),
            modified_at: at,
            properties,
        }
    }

    pub(super) fn show(&self, into: &mut Properties) {
        self.properties.show(into);
    }
}

impl Stored for AssignmentFilter {
    fn put(&self, into: &mut Vec<u8>) {
        self.created_at.put(into);
        self.modified_at.put(into);
        self.properties.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(Self {
            created_at: Stored::take(from)?,
            modified_at: Stored::take(from)?,
            properties: Stored::take(from)?,
        })
    }
}
