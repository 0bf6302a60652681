//! Which accesses get a record, so that no one can fill the audit log with them.
//!
//! Of each kind a principal has [`AT_ONCE`] records at once and one more a minute, and all principals of a tenant
//! together [`OF_TENANT_AT_ONCE`] and one more every ten minutes. Accesses without a record are counted in the next
//! one, which is due after a minute at the earliest, also if nothing more happens. Bounded: [`PRINCIPALS_MAX`]
//! principals and kinds. It reads no clock and writes nothing.

use std::collections::HashMap;
use std::mem::{Discriminant, discriminant};
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use muster_control::{Access, AccessRecord, Actor, ObjectId};
use muster_engine::TenantIndex;

/// Records of a kind that a principal has at once.
const AT_ONCE: u64 = 5;

/// Time after which a principal has one more, in milliseconds.
const EVERY_MS: u64 = 60_000;

/// Records that the principals of a tenant have at once.
const OF_TENANT_AT_ONCE: u64 = 100;

/// Time after which they have one more, in milliseconds: `ACCESSES_MAX` of them take two years.
const OF_TENANT_EVERY_MS: u64 = 600_000;

/// Principals and kinds whose accesses are counted at a time.
const PRINCIPALS_MAX: usize = 4_096;

/// An access of a principal.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) tenant: TenantIndex,
    /// The id of the principal.
    pub(super) principal: ObjectId,
    pub(super) actor: Actor,
    pub(super) address: Option<IpAddr>,
    pub(super) access: Access,
}

/// What to do about an access.
#[derive(Debug)]
pub(super) enum Verdict {
    /// Record it.
    Record(Box<(Seen, AccessRecord)>),
    /// A later record counts it. If none was waiting, the caller asks for it with [`Accesses::due`].
    Later {
        /// Whether none was waiting.
        is_first: bool,
    },
    /// It is in no record.
    Miss,
}

/// A number of records that refills with time.
#[derive(Clone, Copy, Debug, Default)]
struct Budget {
    /// When nothing of it is spent.
    full_at_ms: u64,
}

/// The accesses of one kind of a principal.
#[derive(Debug, Default)]
struct Own {
    budget: Budget,
    /// The last access without a record, and the number of those before it.
    waiting: Option<(Seen, u32)>,
}

#[derive(Debug, Default)]
struct State {
    principals: HashMap<(TenantIndex, ObjectId, Discriminant<Access>), Own>,
    tenants: HashMap<TenantIndex, Budget>,
    /// Whether the caller will ask for what is due.
    is_asked: bool,
}

/// The accesses of the last time.
#[derive(Debug, Default)]
pub(super) struct Accesses(Mutex<State>);

impl Budget {
    const fn has_one(self, now_ms: u64, at_once: u64, every_ms: u64) -> bool {
        self.full_at_ms.saturating_sub(now_ms) <= (at_once - 1) * every_ms
    }

    fn spend(&mut self, now_ms: u64, every_ms: u64) {
        self.full_at_ms = self.full_at_ms.max(now_ms) + every_ms;
    }
}

impl Own {
    /// Spends a record of the principal and of its tenant, if both have one.
    fn spend(&mut self, tenant: &mut Budget, now_ms: u64) -> bool {
        let may = self.budget.has_one(now_ms, AT_ONCE, EVERY_MS)
            && tenant.has_one(now_ms, OF_TENANT_AT_ONCE, OF_TENANT_EVERY_MS);
        if may {
            self.budget.spend(now_ms, EVERY_MS);
            tenant.spend(now_ms, OF_TENANT_EVERY_MS);
        }
        may
    }
}

impl State {
    /// Forgets principals that have nothing waiting and a full budget.
    fn forget(&mut self, now_ms: u64) {
        let is_spent = |budget: &Budget| budget.full_at_ms > now_ms;
        self.principals
            .retain(|_, own| own.waiting.is_some() || is_spent(&own.budget));
        self.tenants.retain(|_, budget| is_spent(budget));
    }
}

impl Accesses {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to do about an access now.
    pub(super) fn judge(&self, seen: Seen, now_ms: u64) -> Verdict {
        let mut state = self.state();
        let key = (seen.tenant, seen.principal, discriminant(&seen.access));
        if !state.principals.contains_key(&key) && state.principals.len() >= PRINCIPALS_MAX {
            state.forget(now_ms);
            if state.principals.len() >= PRINCIPALS_MAX {
                return Verdict::Miss;
            }
        }
        let State {
            principals,
            tenants,
            is_asked,
        } = &mut *state;
        let own = principals.entry(key).or_default();
        if own.spend(tenants.entry(seen.tenant).or_default(), now_ms) {
            let unrecorded = own.waiting.take().map_or(0, |(_, before)| before + 1);
            let access = seen.access.clone();
            let record = AccessRecord { access, unrecorded };
            return Verdict::Record(Box::new((seen, record)));
        }
        let before = own.waiting.take();
        let before = before.map_or(0, |(_, before)| before.saturating_add(1));
        // One less than the maximum, so that a record that counts the last one too does not overflow.
        own.waiting = Some((seen, before.min(u32::MAX - 1)));
        let is_first = !std::mem::replace(is_asked, true);
        Verdict::Later { is_first }
    }

    /// The records that are due for what waits, and whether something still waits.
    pub(super) fn due(&self, now_ms: u64) -> (Vec<(Seen, AccessRecord)>, bool) {
        let mut state = self.state();
        state.forget(now_ms);
        let State {
            principals,
            tenants,
            is_asked,
        } = &mut *state;
        let mut due = Vec::new();
        for own in principals.values_mut() {
            let Some((seen, unrecorded)) = own.waiting.take() else {
                continue;
            };
            let tenant = tenants.entry(seen.tenant).or_default();
            if own.spend(tenant, now_ms) {
                let access = seen.access.clone();
                due.push((seen, AccessRecord { access, unrecorded }));
            } else {
                own.waiting = Some((seen, unrecorded));
            }
        }
        *is_asked = principals.values().any(|own| own.waiting.is_some());
        (due, *is_asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn seen(tenant: u16, principal: u32) -> Seen {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&principal.to_le_bytes());
        Seen {
            tenant: TenantIndex(tenant),
            principal: ObjectId::from_bytes(id),
            actor: Actor::Local,
            address: None,
            access: Access::SignedIn,
        }
    }

    /// What a record stands for; `None` if there is none yet.
    fn stands_for(verdict: &Verdict) -> Option<u64> {
        match verdict {
            Verdict::Record(record) => Some(u64::from(record.1.unrecorded) + 1),
            Verdict::Later { .. } => None,
            Verdict::Miss => panic!("it is in no record"),
        }
    }

    #[test]
    fn a_script_in_a_loop_has_few_records_which_stand_for_everything() {
        let accesses = Accesses::default();
        let (mut sent, mut records, mut stood) = (0, 0, 0);
        // Ten requests a second for a day; what waits is asked for every minute.
        for now in (0..24 * 60 * MINUTE).step_by(100) {
            sent += 1;
            let verdict = accesses.judge(seen(0, 1), now);
            records += u64::from(stands_for(&verdict).is_some());
            stood += stands_for(&verdict).unwrap_or(0);
            if now % MINUTE == 0 {
                let (due, _) = accesses.due(now);
                records += due.len() as u64;
                stood += due
                    .iter()
                    .map(|(_, one)| u64::from(one.unrecorded) + 1)
                    .sum::<u64>();
            }
        }
        let (due, waits) = accesses.due(25 * 60 * MINUTE);
        records += due.len() as u64;
        stood += due
            .iter()
            .map(|(_, one)| u64::from(one.unrecorded) + 1)
            .sum::<u64>();
        assert_eq!((sent, waits), (stood, false), "none is lost");
        let of_a_day = OF_TENANT_AT_ONCE + 24 * 60 * MINUTE / OF_TENANT_EVERY_MS + 7;
        assert!((100..=of_a_day).contains(&records), "{records}");
    }

    #[test]
    fn what_has_no_record_is_counted_a_minute_later_without_another_access() {
        let accesses = Accesses::default();
        for number in 1..=8 {
            let verdict = accesses.judge(seen(0, 1), 0);
            match number {
                1..=5 => assert_eq!(stands_for(&verdict), Some(1)),
                6 => assert!(matches!(verdict, Verdict::Later { is_first: true })),
                _ => assert!(matches!(verdict, Verdict::Later { is_first: false })),
            }
        }
        let (due, waits) = accesses.due(MINUTE - 1);
        assert_eq!((due.len(), waits), (0, true));
        let (due, waits) = accesses.due(MINUTE);
        assert_eq!((due.len(), waits), (1, false));
        assert_eq!(due[0].1.unrecorded, 2, "and the record itself is the third");
        let again = accesses.judge(seen(0, 1), MINUTE);
        assert!(matches!(again, Verdict::Later { is_first: true }));
    }

    #[test]
    fn many_principals_of_a_tenant_share_a_budget_that_others_do_not_touch() {
        let accesses = Accesses::default();
        let records = |tenant| {
            let verdicts = (0..1_000).map(|principal| accesses.judge(seen(tenant, principal), 0));
            verdicts
                .filter(|verdict| stands_for(verdict).is_some())
                .count()
        };
        assert_eq!(records(0), OF_TENANT_AT_ONCE as usize);
        assert_eq!(records(1), OF_TENANT_AT_ONCE as usize);
        let other = Seen {
            access: Access::Downloaded {
                job: Default::default(),
            },
            ..seen(0, 1)
        };
        assert_eq!(stands_for(&accesses.judge(other, 0)), None);
    }

    #[test]
    fn a_kind_does_not_hide_another() {
        let accesses = Accesses::default();
        for _ in 0..100 {
            accesses.judge(seen(0, 1), 0);
        }
        let other = Seen {
            access: Access::Downloaded {
                job: Default::default(),
            },
            ..seen(0, 1)
        };
        assert_eq!(stands_for(&accesses.judge(other, 0)), Some(1));
    }

    #[test]
    fn any_number_of_principals_takes_bounded_memory() {
        let accesses = Accesses::default();
        let mut missed = 0;
        for principal in 0..2 * PRINCIPALS_MAX as u32 {
            let verdict = accesses.judge(seen(0, principal), 0);
            missed += usize::from(matches!(verdict, Verdict::Miss));
        }
        assert_eq!(missed, PRINCIPALS_MAX);
        assert_eq!(accesses.state().principals.len(), PRINCIPALS_MAX);
        // Those that are not waiting are forgotten once they could begin anew.
        let idle = Accesses::default();
        for principal in 0..50 {
            idle.judge(seen(0, principal), 0);
        }
        idle.due(OF_TENANT_AT_ONCE * OF_TENANT_EVERY_MS);
        assert!(idle.state().principals.is_empty() && idle.state().tenants.is_empty());
    }
}
