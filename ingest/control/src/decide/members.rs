//! The members that a command adds to a group or removes from it. Changes nothing.

use muster_wire::DeviceId;

use crate::command::{Command, Refusal};
use crate::document::Properties;
use crate::entry::Effect;
use crate::fault::{FaultKind, Faults};
use crate::id::ObjectId;
use crate::limits::MEMBERS_PER_COMMAND_MAX;
use crate::object::{Key, Object};
use crate::reference::{self, MEMBERS};
use crate::state::ControlPlane;

/// The members that a command lists.
pub(super) struct Listed {
    /// The property in their faults.
    property: &'static str,
    /// Each with its place in the list.
    members: Vec<(DeviceId, usize)>,
    /// The faults found so far.
    faults: Faults,
}

impl Listed {
    /// Those of a command that has only members.
    pub(super) fn new(members: &[DeviceId]) -> Self {
        let mut faults = Faults::default();
        let has_valid_length = (1..=MEMBERS_PER_COMMAND_MAX).contains(&members.len());
        if !has_valid_length {
            let allowed = format!("1 to {MEMBERS_PER_COMMAND_MAX} devices");
            faults.push(FaultKind::Invalid, "members", allowed);
        }
        let members = members.iter().copied().zip(0..);
        Self {
            property: "members",
            members: members.filter(|_| has_valid_length).collect(),
            faults,
        }
    }

    /// Those of a document.
    pub(super) fn bound(properties: &Properties) -> Self {
        let (members, faults) = reference::members(properties);
        Self {
            property: MEMBERS,
            members,
            faults,
        }
    }
}

impl ControlPlane {
    /// The principal that a command adds to a group or removes from it.
    pub(super) fn principal(
        &self,
        command: &Command,
        group: Option<Object>,
        token: ObjectId,
        is_member: bool,
    ) -> Result<Effect, Refusal> {
        let (tenant, key) = (command.tenant, command.change.key());
        let (Key::Group(id), Some(Object::Group(group))) = (key, group) else {
            return Err(Refusal::Unknown { key });
        };
        let token_key = Key::Token(token);
        if self.object(tenant, token_key).is_none() {
            return Err(Refusal::Unknown { key: token_key });
        }
        let allowed = match self.has_principal(tenant, id, token) {
            _ if group.properties.group_types.is_dynamic => "members of a group without a rule",
            true if !is_member => "a principal that is not a member",
            false if is_member => "a principal that is a member",
            _ if is_member => return Ok(Effect::PrincipalRemoved(token)),
            _ => return Ok(Effect::PrincipalAdded(token)),
        };
        let mut faults = Faults::default();
        faults.push(FaultKind::Invalid, "members", allowed);
        Err(Refusal::Invalid(faults))
    }

    /// The members in ascending order, if the command may add or remove all of them.
    pub(super) fn checked_members(
        &self,
        command: &Command,
        group: ObjectId,
        listed: Listed,
        are_members: bool,
    ) -> Result<Vec<DeviceId>, Refusal> {
        let Listed {
            property,
            mut members,
            mut faults,
        } = listed;
        let tenant = self.tenant(command.tenant);
        if let Some((Object::Group(found), _)) = self.object(command.tenant, Key::Group(group))
            && found.properties.group_types.is_dynamic
        {
            let allowed = "members of a group without a rule";
            faults.push(FaultKind::Invalid, property, allowed);
        }
        let is_member = |member| tenant.is_some_and(|tenant| tenant.has_member(group, member));
        members.sort_unstable();
        let mut previous = None;
        for (member, index) in &members {
            let allowed = match is_member(member) {
                _ if member.is_zero() => "the id of a device",
                _ if previous == Some(member) => "each device once",
                true if !are_members => "a device that is not a member",
                false if are_members => "a device that is a member",
                _ => "",
            };
            if !allowed.is_empty() {
                faults.push(FaultKind::Invalid, format!("{property}[{index}]"), allowed);
            }
            previous = Some(member);
        }
        if faults.is_empty() {
            Ok(members.into_iter().map(|(member, _)| member).collect())
        } else {
            Err(Refusal::Invalid(faults))
        }
    }
}
