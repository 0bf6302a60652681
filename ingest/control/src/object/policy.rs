//! A compliance policy (`deviceCompliancePolicy` and its subclasses, one for each platform).
//!
//! Two policies may have the same name, as in Graph. Actions and assignments have commands of their own: a document
//! that changes a policy may have them only as they are.

use muster_engine::Timestamp;
use serde_json::Value as Json;

use super::actions::{FOR_RULE, FOR_RULES, ScheduledActions};
use super::assignments::{ASSIGNMENTS, Assignments};
use super::requirements::Requirements;
use super::scope_tag::ScopeTags;
use super::subclass::Subclass;
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Properties, TYPE, full_type, properties};
use crate::fault::FaultKind;
use crate::id::ObjectId;
use crate::value::{Description, DisplayName, SecurityLevel};

/// The name of a required property.
const DISPLAY_NAME: &str = "displayName";

/// \[OWN\] The property that lists what is stored and not evaluated.
const NOT_EVALUATED: &str = "musterNotEvaluated";

properties! {
    /// What operators set on a compliance policy.
    PolicyProperties {
        /// Its name.
        display_name: DisplayName = "displayName", unnamed();
        /// Its description.
        description: Description = "description", Description::default();
        /// The scope tags.
        scope_tags: ScopeTags = "roleScopeTagIds", ScopeTags::default();
        /// Whether the threat level decides about compliance.
        threat_protection_enabled: bool = "deviceThreatProtectionEnabled", false;
        /// The highest threat level at which a device is compliant.
        required_security_level: SecurityLevel = "deviceThreatProtectionRequiredSecurityLevel",
            SecurityLevel::Unavailable;
    }
}

/// Replaces a missing name, which is a fault.
fn unnamed() -> DisplayName {
    DisplayName::new("unnamed").expect("its length is allowed")
}

/// A compliance policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CompliancePolicy {
    /// The platform, which never changes.
    pub subclass: Subclass,
    /// Begins at 1 and grows by one with each change.
    pub version: u32,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub modified_at: Timestamp,
    /// What every policy has.
    pub properties: PolicyProperties,
    /// What it requires besides the threat level.
    pub requirements: Requirements,
    /// What happens to devices that fail it. Graph has a separate action to replace them.
    pub actions: ScheduledActions,
    /// The devices it is assigned to. Graph has a separate action to replace them.
    pub assignments: Assignments,
}

impl CompliancePolicy {
    /// Creates a policy from a document, or replaces everything that operators have set on `base`; `None` with faults
    /// without which there is no policy, which are noted like every other.
    pub(super) fn written(
        base: Option<&Self>,
        document: &mut Document<'_>,
        at: Timestamp,
    ) -> Option<Self> {
        let subclass = match (document.type_name(), base) {
            (None, None) => {
                document.fault(FaultKind::Missing, TYPE, Subclass::allowed());
                None
            }
            (Some(name), None) => {
                let subclass = Subclass::from_name(name);
                if subclass.is_none() {
                    document.fault(FaultKind::Invalid, TYPE, Subclass::allowed());
                }
                subclass
            }
            (_, Some(base)) => {
                base.check_type(document);
                Some(base.subclass)
            }
        };
        document.require::<DisplayName>(DISPLAY_NAME);
        let properties = PolicyProperties::read(&PolicyProperties::default(), document);
        let actions = ScheduledActions::read(FOR_RULE, document);
        let assigned = base
            .map(|base| base.assignments.clone())
            .unwrap_or_default();
        let assignments = Assignments::read(&assigned, document);
        let Some(subclass) = subclass else {
            // Which other names are known depends on the type.
            document.ignore_unknown();
            return None;
        };
        let requirements = Requirements::read(subclass, &Requirements::default(), document);
        check_threat(subclass, &properties, base, document);
        Some(Self {
            subclass,
            version: base.map_or(1, |base| base.version.saturating_add(1)),
            created_at: base.map_or(at, |base| base.created_at),
            modified_at: at,
            properties,
            requirements,
            actions: actions?,
            assignments: assignments.unwrap_or_default(),
        })
    }

    /// Notes another type than that of the policy.
    fn check_type(&self, document: &mut Document<'_>) {
        let sent = document.type_name().map(Subclass::from_name);
        if sent.is_some_and(|sent| sent != Some(self.subclass)) {
            let expected = full_type(self.subclass.name());
            document.fault(FaultKind::Unchangeable, TYPE, expected);
        }
    }

    /// The policy with the properties of a document. Those that the document does not have keep their values.
    pub(super) fn changed(&self, id: ObjectId, document: &mut Document<'_>, at: Timestamp) -> Self {
        self.check_type(document);
        let changed = Self {
            properties: PolicyProperties::read(&self.properties, document),
            requirements: Requirements::read(self.subclass, &self.requirements, document),
            ..self.next(at)
        };
        check_threat(self.subclass, &changed.properties, Some(self), document);
        self.check_separate(id, document);
        changed
    }

    /// The policy with the assignments of a command, which must have them.
    pub(super) fn assigned(&self, document: &mut Document<'_>, at: Timestamp) -> Self {
        if document.raw(ASSIGNMENTS).is_none() {
            document.fault(FaultKind::Missing, ASSIGNMENTS, "a list of assignments");
        }
        let assignments = Assignments::read(&self.assignments, document);
        Self {
            assignments: assignments.unwrap_or_default(),
            ..self.next(at)
        }
    }

    /// The policy with the actions of a command, which must have them; `None` if they have faults.
    pub(super) fn scheduled(&self, document: &mut Document<'_>, at: Timestamp) -> Option<Self> {
        Some(Self {
            actions: ScheduledActions::read(FOR_RULES, document)?,
            ..self.next(at)
        })
    }

    fn next(&self, at: Timestamp) -> Self {
        Self {
            version: self.version.saturating_add(1),
            modified_at: at,
            ..self.clone()
        }
    }

    /// Notes actions and assignments, because they have commands of their own, unless they are those of the policy as
    /// they were read.
    fn check_separate(&self, id: ObjectId, document: &mut Document<'_>) {
        let is_read = |rule: &Json| rule[0]["id"] == id.to_string();
        let is_same = || {
            document
                .probe(|copy| ScheduledActions::read(FOR_RULE, copy))
                .as_ref()
                == Some(&self.actions)
        };
        let sent = document.value(FOR_RULE);
        let actions = sent.is_some_and(|sent| !is_read(sent) || !is_same());
        let is_same = || document.probe(|copy| Assignments::read(&self.assignments, copy));
        let sent = document.value(ASSIGNMENTS).and_then(Json::as_array);
        let is_empty = sent.is_some_and(Vec::is_empty);
        let assignments = document.value(ASSIGNMENTS).is_some()
            && !is_empty
            && is_same().as_ref() != Some(&self.assignments);
        for (is_changed, name, action) in [
            (actions, FOR_RULE, "scheduleActionsForRules"),
            (assignments, ASSIGNMENTS, "assign"),
        ] {
            document.raw(name);
            if is_changed {
                let allowed = format!("changed by the action {action} only");
                document.fault(FaultKind::Unchangeable, name, allowed);
            }
        }
    }

    /// The parts of the threat setting that are set and not evaluated.
    pub(crate) fn unevaluated_threat(&self) -> Vec<&'static str> {
        unevaluated_threat(self.subclass, &self.properties)
    }

    /// The names of what is stored and not evaluated; those of assignments begin with `assignments/`.
    #[must_use]
    pub fn not_evaluated(&self) -> Vec<String> {
        let threat = self.unevaluated_threat().into_iter();
        let required = threat.chain(self.requirements.not_evaluated(self.subclass));
        let required = required.map(str::to_owned);
        required.chain(self.assignments.not_evaluated()).collect()
    }

    /// The collection `scheduledActionsForRule` of the policy with this id.
    #[must_use]
    pub fn scheduled_actions_document(&self, id: ObjectId) -> Json {
        self.actions.show(id)
    }

    /// The collection `assignments` of the policy with this id.
    #[must_use]
    pub fn assignments_document(&self, id: ObjectId) -> Json {
        self.assignments.show(id)
    }

    /// Whether operators have set the same in both.
    pub(super) fn is_set_as(&self, other: &Self) -> bool {
        let next = Self {
            version: other.version,
            created_at: other.created_at,
            modified_at: other.modified_at,
            ..self.clone()
        };
        next == *other
    }

    /// The action that makes `after` of the policy. A document changes neither actions nor assignments alone.
    pub(super) fn action_to(&self, after: &Self) -> Option<&'static str> {
        let is_only = |changed: Self| changed.is_set_as(after);
        let (assignments, actions) = (after.assignments.clone(), after.actions.clone());
        if is_only(Self {
            assignments,
            ..self.clone()
        }) {
            return Some("assign");
        }
        is_only(Self {
            actions,
            ..self.clone()
        })
        .then_some("scheduleActionsForRules")
    }

    /// Adds the properties without actions and assignments, which Graph shows only if a request expands them.
    pub(super) fn show(&self, into: &mut Properties) {
        into.insert("version".to_owned(), self.version.into());
        self.properties.show(into);
        self.requirements.show(self.subclass, into);
        let not_evaluated = self.not_evaluated();
        if !not_evaluated.is_empty() {
            into.insert(NOT_EVALUATED.to_owned(), not_evaluated.into());
        }
    }

    /// Adds what [`CompliancePolicy::show`] does not.
    pub(super) fn show_separate(&self, id: ObjectId, into: &mut Properties) {
        into.insert(FOR_RULE.to_owned(), self.actions.show(id));
        into.insert(ASSIGNMENTS.to_owned(), self.assignments.show(id));
    }
}

/// R2 row 2: a threat level that is required of macOS is not evaluated yet.
fn unevaluated_threat(subclass: Subclass, properties: &PolicyProperties) -> Vec<&'static str> {
    let has_level = !matches!(
        properties.required_security_level,
        SecurityLevel::Unavailable | SecurityLevel::NotSet
    );
    let both = [
        (
            "deviceThreatProtectionEnabled",
            properties.threat_protection_enabled,
        ),
        ("deviceThreatProtectionRequiredSecurityLevel", has_level),
    ];
    let is_of_mac = subclass == Subclass::MacOs;
    let required = both
        .into_iter()
        .filter(|(_, requires)| is_of_mac && *requires);
    required.map(|(name, _)| name).collect()
}

/// Notes a threat setting that is not evaluated, and that the policy did not have before.
fn check_threat(
    subclass: Subclass,
    properties: &PolicyProperties,
    before: Option<&CompliancePolicy>,
    document: &mut Document<'_>,
) {
    let had = before
        .map(CompliancePolicy::unevaluated_threat)
        .unwrap_or_default();
    let names = unevaluated_threat(subclass, properties).into_iter();
    for name in names.filter(|name| !had.contains(name)) {
        document.not_evaluated(name, "its default");
    }
}

impl Stored for CompliancePolicy {
    fn put(&self, into: &mut Vec<u8>) {
        self.subclass.put(into);
        self.version.put(into);
        self.created_at.put(into);
        self.modified_at.put(into);
        self.properties.put(into);
        self.requirements.put(into);
        self.actions.put(into);
        self.assignments.put(into);
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        let subclass = Stored::take(from)?;
        Ok(Self {
            subclass,
            version: Stored::take(from)?,
            created_at: Stored::take(from)?,
            modified_at: Stored::take(from)?,
            properties: Stored::take(from)?,
            requirements: Requirements::take(subclass, from)?,
            actions: Stored::take(from)?,
            assignments: Stored::take(from)?,
        })
    }
}
