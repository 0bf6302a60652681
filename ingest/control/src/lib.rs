//! The control plane of Muster: what operators have set for each tenant, as a log of changes.
//!
//! [`ControlPlane::decide`] turns a [`Command`] into an [`Entry`] or a [`Refusal`]. The caller makes the entry durable
//! and then applies it ([`ControlPlane::apply`]). Applying all entries in order rebuilds the state, and [`compile`]
//! derives from it the policies by which shards evaluate. An entry is the audit record of its change, and the entries
//! of an object are its [`History`]. A hash [`Chain`] shows whether the log is what was written. Names of objects and
//! properties are those of Microsoft Graph.
//!
//! Bounds: [`limits`]. Deliberately absent: IO, clocks, threads, randomness, HTTP formats, and the state of devices.
#![forbid(unsafe_code)]

mod access;
mod actor;
mod authorization;
mod bytes;
mod chain;
mod command;
mod compile;
mod decide;
mod document;
mod entry;
mod fault;
mod history;
mod id;
pub mod limits;
mod log;
mod object;
mod reference;
mod rights;
mod role;
mod state;
mod value;

pub use access::{Access, AccessRecord, AccessText, Export};
pub use actor::Actor;
pub use bytes::EntryError;
pub use chain::{Chain, ChainHash, PinError, PinnedHead};
pub use command::{Change, Command, DeviceAction, Precondition, Refusal};
pub use compile::{compile, policy_alone};
pub use document::{Handling, Properties};
pub use entry::{Effect, Entry, ModifiedProperty};
pub use fault::{Fault, FaultKind, Faults};
pub use history::{History, Page, Scope};
pub use id::{ALL_DEVICES, ALL_USERS, DEFENDER, ETag, ETagError, ObjectId, ObjectIdError};
pub use log::{LogError, Verifier};
pub use object::{
    ActionName, ActionType, AssignmentFilter, Assignments, CollectionId, CompliancePolicy,
    Connector, Copies, DeviceProperties, DocumentType, FilterManagementType, FilterMode,
    FilterOperator, FilterPlatform, FilterProperties, FilterProperty, FilterRule, FilterText,
    Filtered, Group, GroupIds, GroupProperties, GroupTypes, Key, MailEnabled, MailNickname,
    MembershipRule, Object, OwnerType, PolicyProperties, PrincipalName, ProcessingState,
    Requirements, RoleAssignment, RoleAssignmentProperties, RoleDefinition, RolePermissions,
    RuleError, RuleProblem, ScheduledAction, ScheduledActions, ScopeTag, ScopeTagId,
    ScopeTagIdError, ScopeTagProperties, ScopeTags, ScopeType, SecretHash, SecurityEnabled,
    Subclass, Target, Template, TenantObject, TenantSettings, Token, User,
};
pub use reference::reference;
pub use rights::{GroupReach, Reach, Rights, Sight, TagReach, Verb};
pub use role::{Action, BuiltInRole};
pub use state::{Contradiction, ControlPlane};
pub use value::{
    Description, DisplayName, IssuerUrl, Number, SecurityLevel, Text, UserId, whole_number,
};
