//! How a document makes or changes an object, and how an entry has one.

use muster_engine::Timestamp;

use super::{
    AssignmentFilter, COMPUTED_OF_DEVICE, CompliancePolicy, Connector, DeviceProperties, Group,
    Key, Object, RoleAssignment, RoleDefinition, ScopeTag, TenantObject, TenantSettings, User,
    user::COMPUTED_OF_USER,
};
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Handling, Properties, TYPE, full_type};
use crate::fault::{FaultKind, Faults};
use crate::id::DEFENDER;

/// What the server computes, or what is in the path: ignored in every document.
pub(crate) const COMPUTED: &[&str] = &[
    "id",
    "version",
    "createdDateTime",
    "lastModifiedDateTime",
    "partnerState",
    "lastHeartbeatDateTime",
    "isBuiltIn",
    "isBuiltInRoleDefinition",
    "musterNotEvaluated",
    // What a request expands.
    "deviceStatuses",
    "deviceStatusOverview",
    "userStatuses",
    "userStatusOverview",
    "deviceSettingStateSummaries",
    "payloads",
    "roleDefinition",
    "roleAssignments",
    "roleScopeTags",
];

/// The same for a filter, whose scope tags have the name that role assignments expand.
pub(super) const COMPUTED_OF_FILTER: &[&str] =
    &["id", "createdDateTime", "lastModifiedDateTime", "payloads"];

/// Which part of a policy has a command of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its assignments.
    Assignments,
    /// Its scheduled actions.
    Actions,
}

/// The object that was read, or the faults of its document.
fn finished<T>(object: Option<T>, document: Document<'_>) -> Result<T, Faults> {
    let faults = document.finish();
    match object {
        Some(object) if faults.is_empty() => Ok(object),
        _ => Err(faults),
    }
}

impl Key {
    /// The object that results if a document is applied to `current`, or to nothing, at this time. Properties that the
    /// document does not have keep their values if `keeps`, and get their defaults otherwise.
    pub(crate) fn object(
        self,
        current: Option<&Object>,
        keeps: bool,
        properties: &Properties,
        handling: Handling,
        at: Timestamp,
    ) -> Result<Object, Faults> {
        let computed = match self {
            Self::Filter(_) => COMPUTED_OF_FILTER,
            Self::Device(_) => COMPUTED_OF_DEVICE,
            Self::User(_) => COMPUTED_OF_USER,
            _ => COMPUTED,
        };
        let mut document = Document::new(properties, computed, handling);
        let object = self.read(current, keeps, &mut document, at);
        finished(object, document)
    }

    /// Reads the object; `None` if there is none without what a fault names, or for a token.
    fn read(
        self,
        current: Option<&Object>,
        keeps: bool,
        document: &mut Document<'_>,
        at: Timestamp,
    ) -> Option<Object> {
        if !matches!(self, Self::Policy(_)) {
            self.check_type(document);
        }
        /// What the key has, if anything.
        macro_rules! base {
            ($kind:ident) => {
                match current {
                    Some(Object::$kind(base)) => Some(base),
                    _ => None,
                }
            };
        }
        Some(match self {
            Self::Settings => {
                let base = base!(Settings).filter(|_| keeps).cloned();
                Object::Settings(TenantSettings::read(&base.unwrap_or_default(), document))
            }
            Self::Connector(id) => {
                if id != DEFENDER {
                    document.fault(FaultKind::Invalid, "id", DEFENDER.to_string());
                }
                let base = base!(Connector).filter(|_| keeps).cloned();
                Object::Connector(Connector::read(&base.unwrap_or_default(), document))
            }
            Self::Policy(id) => Object::Policy(match base!(Policy) {
                Some(base) if keeps => base.changed(id, document, at),
                base => CompliancePolicy::written(base, document, at)?,
            }),
            Self::Group(_) => Object::Group(match base!(Group) {
                Some(base) => base.changed(keeps, document),
                None => Group::created(document, at),
            }),
            Self::Tenant => Object::Tenant(match base!(Tenant) {
                Some(base) => base.changed(document),
                None => TenantObject::created(document, at)?,
            }),
            Self::Filter(_) => Object::Filter(AssignmentFilter::written(
                base!(Filter),
                keeps,
                document,
                at,
            )),
            Self::ScopeTag(_) => {
                Object::ScopeTag(ScopeTag::written(base!(ScopeTag), keeps, document))
            }
            Self::RoleDefinition(_) => Object::RoleDefinition(RoleDefinition::written(
                base!(RoleDefinition),
                keeps,
                document,
            )),
            Self::RoleAssignment(_) => Object::RoleAssignment(RoleAssignment::written(
                base!(RoleAssignment),
                keeps,
                document,
            )?),
            Self::Device(_) => {
                let base = base!(Device).filter(|_| keeps).cloned();
                Object::Device(DeviceProperties::read(&base.unwrap_or_default(), document))
            }
            Self::User(_) => Object::User(User::written(base!(User), keeps, document)),
            Self::Token(_) => return None,
        })
    }

    /// Notes a type that is not that of the key. A document may omit it.
    fn check_type(self, document: &mut Document<'_>) {
        let expected = self.type_name();
        // Graph has a base type for these.
        let base = match self {
            Self::RoleDefinition(_) => "roleDefinition",
            Self::RoleAssignment(_) => "roleAssignment",
            _ => expected,
        };
        if document
            .type_name()
            .is_some_and(|name| name != expected && name != base)
        {
            document.fault(FaultKind::Invalid, TYPE, full_type(expected));
        }
    }

    /// Reads the object that an entry has for this key.
    pub(crate) fn take_object(self, from: &mut Reader<'_>) -> Result<Object, EntryError> {
        Ok(match self {
            Self::Settings => Object::Settings(Stored::take(from)?),
            Self::Connector(_) => Object::Connector(Stored::take(from)?),
            Self::Policy(_) => Object::Policy(Stored::take(from)?),
            Self::Group(_) => Object::Group(Stored::take(from)?),
            Self::Device(_) => Object::Device(Stored::take(from)?),
            Self::Tenant => Object::Tenant(Stored::take(from)?),
            Self::Token(_) => Object::Token(Stored::take(from)?),
            Self::Filter(_) => Object::Filter(Stored::take(from)?),
            Self::ScopeTag(_) => Object::ScopeTag(Stored::take(from)?),
            Self::RoleDefinition(_) => Object::RoleDefinition(Stored::take(from)?),
            Self::RoleAssignment(_) => Object::RoleAssignment(Stored::take(from)?),
            Self::User(_) => Object::User(Stored::take(from)?),
        })
    }
}

impl ScopeTag {
    /// The tag with the assignments of a document.
    pub(crate) fn with(&self, properties: &Properties) -> Result<Self, Faults> {
        let mut document = Document::new(properties, &[], Handling::Strict);
        let tag = self.assigned(&mut document);
        finished(tag, document)
    }
}

impl CompliancePolicy {
    /// The policy with another part, which a document has.
    pub(crate) fn with(
        &self,
        part: Part,
        properties: &Properties,
        handling: Handling,
        at: Timestamp,
    ) -> Result<Self, Faults> {
        let mut document = Document::new(properties, &[], handling);
        let policy = match part {
            Part::Assignments => Some(self.assigned(&mut document, at)),
            Part::Actions => self.scheduled(&mut document, at),
        };
        finished(policy, document)
    }
}
