//! What operators can make grow has a limit. Changes nothing.

use crate::access::Access;
use crate::command::{Command, Refusal};
use crate::entry::Effect;
use crate::limits::{
    ACCESSES_MAX, DEVICE_ACTIONS_MAX, ENTRIES_MAX, EXPORTS_RECORDED_MAX, FILTERS_MAX, GROUPS_MAX,
    MEMBERS_MAX, POLICIES_MAX, PRINCIPAL_MEMBERS_MAX, ROLE_ASSIGNMENTS_MAX, ROLE_DEFINITIONS_MAX,
    SCOPE_TAGS_MAX, TENANTS_CREATED_MAX, TOKENS_MAX, USERS_MAX,
};
use crate::object::Key;
use crate::state::{ControlPlane, Tenant};

impl ControlPlane {
    pub(super) fn check_limits(&self, command: &Command, effect: &Effect) -> Result<(), Refusal> {
        let key = command.change.key();
        let tenant = self.tenant(command.tenant);
        let count = || tenant.map_or(0, |tenant| tenant.count(key));
        let members = || tenant.map_or(0, |tenant| tenant.members_count);
        let limit = match (effect, key) {
            (Effect::Created { .. }, Key::Policy(_)) => Some(("compliance policies", POLICIES_MAX)),
            (Effect::Created { .. }, Key::Group(_)) => Some(("groups", GROUPS_MAX)),
            (Effect::Created { .. }, Key::Token(_)) => Some(("tokens", TOKENS_MAX)),
            (Effect::Created { .. }, Key::Filter(_)) => Some(("assignment filters", FILTERS_MAX)),
            (Effect::Created { .. }, Key::User(_)) => Some(("users", USERS_MAX)),
            (Effect::Created { .. }, Key::ScopeTag(_)) => Some(("scope tags", SCOPE_TAGS_MAX)),
            (Effect::Created { .. }, Key::RoleDefinition(_)) => {
                Some(("role definitions", ROLE_DEFINITIONS_MAX))
            }
            (Effect::Created { .. }, Key::RoleAssignment(_)) => {
                Some(("role assignments", ROLE_ASSIGNMENTS_MAX))
            }
            _ => None,
        };
        let limits = match effect {
            Effect::MembersAdded(added) => {
                Some(("members of groups", MEMBERS_MAX, members() + added.len()))
            }
            Effect::PrincipalAdded(_) => {
                let count = tenant.map_or(0, Tenant::principals_count);
                Some(("principals in groups", PRINCIPAL_MEMBERS_MAX, count + 1))
            }
            _ => limit.map(|(what, max)| (what, max, count() + 1)),
        };
        // A tenant can be deleted also if it has used up its changes.
        let is_change = matches!(effect, Effect::Updated { .. });
        let is_access = matches!(effect, Effect::Access(_));
        if key == Key::Tenant && !is_change && !is_access {
            let number = usize::from(self.next_tenant().0) + 1;
            let (what, max) = ("tenants that were ever created", TENANTS_CREATED_MAX);
            return match effect {
                Effect::Created { .. } if number > max => Err(Refusal::Limit { what, max }),
                _ => Ok(()),
            };
        }
        let actions = tenant.map_or(0, |tenant| tenant.device_actions) as usize;
        let recorded = |count: u32| count as usize + 1;
        let entries = match effect {
            Effect::Access(record) => match record.access {
                Access::Exported(_) => (
                    "recorded exports",
                    EXPORTS_RECORDED_MAX as usize,
                    recorded(tenant.map_or(0, |tenant| tenant.exports)),
                ),
                _ => (
                    "recorded accesses",
                    ACCESSES_MAX as usize,
                    recorded(tenant.map_or(0, |tenant| tenant.accesses)),
                ),
            },
            Effect::Device(_) => (
                "actions on devices",
                DEVICE_ACTIONS_MAX as usize,
                actions + 1,
            ),
            _ => {
                let entries = self.entries(command.tenant) as usize;
                ("changes", ENTRIES_MAX as usize, entries + 1)
            }
        };
        for (what, max, number) in limits.into_iter().chain([entries]) {
            if number > max {
                return Err(Refusal::Limit { what, max });
            }
        }
        Ok(())
    }
}
