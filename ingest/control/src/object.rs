//! The objects of a tenant, and how a document makes or changes one.
//!
//! An object is what operators have set, with what follows from its history (its version and times). Its id is in its
//! key. Names of properties are those of Graph; properties that only Muster has are marked \[OWN\].

mod actions;
mod assignments;
mod connector;
mod group;
mod policy;
mod requirements;
mod scope_tag;
mod settings;
mod subclass;
mod tenant;
mod token;

use muster_engine::Timestamp;
use muster_wire::DeviceId;

pub use self::actions::{ActionType, Copies, ScheduledAction, ScheduledActions, Template};
pub(crate) use self::assignments::ASSIGNMENTS;
pub use self::assignments::{Assignments, CollectionId, FilterMode, Filtered, Target};
pub use self::connector::Connector;
pub use self::group::{
    Group, GroupProperties, GroupTypes, MailEnabled, MailNickname, MembershipRule, SecurityEnabled,
};
pub use self::policy::{CompliancePolicy, PolicyProperties};
pub use self::requirements::Requirements;
pub use self::scope_tag::{ScopeTag, ScopeTagId, ScopeTagIdError, ScopeTags};
pub use self::settings::TenantSettings;
pub use self::subclass::Subclass;
pub use self::tenant::TenantObject;
pub use self::token::{SecretHash, Token};

use self::policy::NOT_EVALUATED;
use crate::bytes::{EntryError, Reader, Stored};
use crate::document::{Document, Handling, Properties, TYPE, full_type};
use crate::fault::{FaultKind, Faults};
use crate::id::{DEFENDER, ObjectId};

/// Which object of a tenant; or which device, for the record of what was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// The settings of the tenant, which always exist.
    Settings,
    /// A connector to a partner.
    Connector(ObjectId),
    /// A compliance policy.
    Policy(ObjectId),
    /// A group of devices.
    Group(ObjectId),
    /// A device, which is no object of the control plane.
    Device(DeviceId),
    /// The tenant itself.
    Tenant,
    /// An API token.
    Token(ObjectId),
}

/// An object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Object {
    /// The settings of the tenant.
    Settings(TenantSettings),
    /// A connector to a partner.
    Connector(Connector),
    /// A compliance policy.
    Policy(CompliancePolicy),
    /// A group, without its members.
    Group(Group),
    /// The tenant itself.
    Tenant(TenantObject),
    /// An API token.
    Token(Token),
}

impl Key {
    /// The name of the type in Graph; for a policy, that of its base type.
    #[must_use]
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Settings => "deviceManagementSettings",
            Self::Connector(_) => "mobileThreatDefenseConnector",
            Self::Policy(_) => "deviceCompliancePolicy",
            Self::Group(_) => "group",
            Self::Device(_) => "managedDevice",
            Self::Tenant => "tenant",
            Self::Token(_) => "token",
        }
    }

    /// The id; `None` for the tenant itself and its settings.
    #[must_use]
    pub const fn id(self) -> Option<ObjectId> {
        match self {
            Self::Settings | Self::Tenant => None,
            Self::Connector(id) | Self::Policy(id) | Self::Group(id) | Self::Token(id) => Some(id),
            Self::Device(id) => Some(ObjectId::from_bytes(*id.as_bytes())),
        }
    }

    /// The code of the type in the bytes of an entry.
    const fn code(self) -> u8 {
        match self {
            Self::Settings => 0,
            Self::Connector(_) => 1,
            Self::Policy(_) => 2,
            Self::Group(_) => 3,
            Self::Device(_) => 4,
            Self::Tenant => 5,
            Self::Token(_) => 6,
        }
    }

    /// Reads the object that an entry has for this key.
    pub(crate) fn take_object(self, from: &mut Reader<'_>) -> Result<Object, EntryError> {
        Ok(match self {
            Self::Settings => Object::Settings(Stored::take(from)?),
            Self::Connector(_) => Object::Connector(Stored::take(from)?),
            Self::Policy(_) => Object::Policy(Stored::take(from)?),
            Self::Group(_) => Object::Group(Stored::take(from)?),
            Self::Device(_) => return Err(EntryError::Invalid("type of object")),
            Self::Tenant => Object::Tenant(Stored::take(from)?),
            Self::Token(_) => Object::Token(Stored::take(from)?),
        })
    }

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
        let mut document = Document::new(properties, COMPUTED, handling);
        let object = self.read(current, keeps, &mut document, at);
        finished(object, document)
    }

    /// Reads the object; `None` if its type is not known, a tenant has no name, or it is a device or token.
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
        Some(match (self, current) {
            (Self::Settings, Some(Object::Settings(base))) if keeps => {
                Object::Settings(TenantSettings::read(base, document))
            }
            (Self::Settings, _) => {
                Object::Settings(TenantSettings::read(&TenantSettings::default(), document))
            }
            (Self::Connector(id), current) => {
                if id != DEFENDER {
                    document.fault(FaultKind::Invalid, "id", DEFENDER.to_string());
                }
                let base = match current {
                    Some(Object::Connector(base)) if keeps => base.clone(),
                    _ => Connector::default(),
                };
                Object::Connector(Connector::read(&base, document))
            }
            (Self::Policy(id), Some(Object::Policy(base))) if keeps => {
                Object::Policy(base.changed(id, document, at))
            }
            (Self::Policy(_), Some(Object::Policy(base))) => {
                Object::Policy(CompliancePolicy::written(Some(base), document, at)?)
            }
            (Self::Policy(_), _) => Object::Policy(CompliancePolicy::written(None, document, at)?),
            (Self::Group(_), Some(Object::Group(base))) => {
                Object::Group(base.changed(keeps, document))
            }
            (Self::Group(_), _) => Object::Group(Group::created(document, at)),
            (Self::Device(_) | Self::Token(_), _) => return None,
            (Self::Tenant, Some(Object::Tenant(base))) => Object::Tenant(base.changed(document)),
            (Self::Tenant, _) => Object::Tenant(TenantObject::created(document, at)?),
        })
    }

    /// Notes a type that is not that of the key. A document may omit it.
    fn check_type(self, document: &mut Document<'_>) {
        let expected = self.type_name();
        if document.type_name().is_some_and(|name| name != expected) {
            document.fault(FaultKind::Invalid, TYPE, full_type(expected));
        }
    }
}

/// What the server computes, or what is in the path: ignored in every document.
pub(crate) const COMPUTED: &[&str] = &[
    NOT_EVALUATED,
    "deviceStatuses",
    "deviceStatusOverview",
    "userStatuses",
    "userStatusOverview",
    "deviceSettingStateSummaries",
    "id",
    "version",
    "createdDateTime",
    "lastModifiedDateTime",
    "partnerState",
    "lastHeartbeatDateTime",
];

/// The object that was read, or the faults of its document.
fn finished<T>(object: Option<T>, document: Document<'_>) -> Result<T, Faults> {
    let faults = document.finish();
    match object {
        Some(object) if faults.is_empty() => Ok(object),
        _ => Err(faults),
    }
}

/// Which part of a policy has a command of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Its assignments.
    Assignments,
    /// Its scheduled actions.
    Actions,
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

impl Object {
    /// Whether the object is of the type of this key.
    #[must_use]
    pub const fn is_of(&self, key: Key) -> bool {
        matches!(
            (self, key),
            (Self::Settings(_), Key::Settings)
                | (Self::Connector(_), Key::Connector(_))
                | (Self::Policy(_), Key::Policy(_))
                | (Self::Group(_), Key::Group(_))
                | (Self::Tenant(_), Key::Tenant)
                | (Self::Token(_), Key::Token(_))
        )
    }

    /// Whether operators have set the same values in both.
    pub(crate) fn has_same_properties(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Policy(one), Self::Policy(other)) => one.is_set_as(other),
            (Self::Group(one), Self::Group(other)) => one.properties == other.properties,
            (one, other) => one == other,
        }
    }

    /// The name of the action that makes `after` of the object; `None` for a change by a document.
    pub(crate) fn action_to(&self, after: &Self) -> Option<&'static str> {
        match (self, after) {
            (Self::Policy(before), Self::Policy(after)) => before.action_to(after),
            _ => None,
        }
    }

    /// The object as a Graph document, without its times, which the API formats.
    #[must_use]
    pub fn document(&self, key: Key) -> Properties {
        let type_name = match self {
            Self::Policy(policy) => policy.subclass.name(),
            _ => key.type_name(),
        };
        let mut document = Properties::new();
        document.insert(TYPE.to_owned(), full_type(type_name).into());
        if let Some(id) = key.id() {
            document.insert("id".to_owned(), id.to_string().into());
        }
        match self {
            Self::Settings(settings) => settings.show(&mut document),
            Self::Connector(connector) => connector.show(&mut document),
            Self::Policy(policy) => policy.show(&mut document),
            Self::Group(group) => group.show(&mut document),
            Self::Tenant(tenant) => tenant.show(&mut document),
            Self::Token(token) => token.show(&mut document),
        }
        document
    }

    /// The document with what Graph shows only if a request expands it, for the audit.
    pub(crate) fn whole_document(&self, key: Key) -> Properties {
        let mut document = self.document(key);
        if let (Self::Policy(policy), Some(id)) = (self, key.id()) {
            policy.show_separate(id, &mut document);
        }
        document
    }

    /// Appends the bytes that [`Key::take_object`] reads.
    pub(crate) fn put(&self, into: &mut Vec<u8>) {
        match self {
            Self::Settings(settings) => settings.put(into),
            Self::Connector(connector) => connector.put(into),
            Self::Policy(policy) => policy.put(into),
            Self::Group(group) => group.put(into),
            Self::Tenant(tenant) => tenant.put(into),
            Self::Token(token) => token.put(into),
        }
    }
}

impl Stored for Key {
    fn put(&self, into: &mut Vec<u8>) {
        self.code().put(into);
        if let Some(id) = self.id() {
            id.put(into);
        }
    }

    fn take(from: &mut Reader<'_>) -> Result<Self, EntryError> {
        Ok(match u8::take(from)? {
            0 => Self::Settings,
            1 => Self::Connector(ObjectId::take(from)?),
            2 => Self::Policy(ObjectId::take(from)?),
            3 => Self::Group(ObjectId::take(from)?),
            4 => Self::Device(DeviceId::take(from)?),
            5 => Self::Tenant,
            6 => Self::Token(ObjectId::take(from)?),
            _ => return Err(EntryError::Invalid("type of object")),
        })
    }
}
