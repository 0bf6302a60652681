//! What an object refers to must exist when it begins to refer to it. Changes nothing.
//!
//! A reference that the object already had is not checked again, so that it can be changed after a group was deleted.

use muster_engine::TenantIndex;

use crate::command::Refusal;
use crate::fault::{FaultKind, Faults};
use crate::id::{DEFENDER, ObjectId};
use crate::object::{ASSIGNMENTS, CompliancePolicy, Object};
use crate::state::ControlPlane;

impl ControlPlane {
    /// Notes every reference of `after` that `before` does not have and that leads nowhere.
    pub(super) fn check_references(
        &self,
        tenant: TenantIndex,
        before: Option<&Object>,
        after: &Object,
    ) -> Result<(), Refusal> {
        let mut faults = Faults::default();
        match (after, before) {
            (Object::Policy(policy), Some(Object::Policy(before))) => {
                self.check_policy(tenant, Some(before), policy, &mut faults);
            }
            (Object::Policy(policy), _) => self.check_policy(tenant, None, policy, &mut faults),
            _ => (),
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(Refusal::Invalid(faults))
        }
    }

    fn check_policy(
        &self,
        tenant: TenantIndex,
        before: Option<&CompliancePolicy>,
        policy: &CompliancePolicy,
        faults: &mut Faults,
    ) {
        let had = |group: &ObjectId| {
            before.is_some_and(|before| before.assignments.groups().any(|had| had == *group))
        };
        for group in policy.assignments.groups().filter(|group| !had(group)) {
            if self.target(tenant, group).is_none() {
                let allowed = format!("groups of the tenant, without {group}");
                faults.push(FaultKind::Invalid, ASSIGNMENTS, allowed);
            }
        }
        // R2 row 2.
        let had = before
            .map(CompliancePolicy::unevaluated_threat)
            .unwrap_or_default();
        let mut connectors = self.connectors(tenant);
        let has_mac = connectors.any(|(id, connector, _)| id == DEFENDER && connector.mac_enabled);
        for name in policy.unevaluated_threat() {
            if !has_mac && !had.contains(&name) {
                let allowed = "its default, because macEnabled of the connector is false";
                faults.push(FaultKind::Invalid, name, allowed);
            }
        }
    }
}
