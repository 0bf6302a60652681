//! The control plane of the running server: what operators have set, and the only path to change it.
//!
//! A change is decided, appended to the control log together with the policy set that follows, published, and then put
//! in force by every shard; one change at a time, off the hot path. The devices of a new tenant are admitted after
//! that; those of a deleted one are refused before. Once it is in the log it is never undone: a shard that has not put
//! it in force when the process ends does so at the next start. The record of an access is appended beside that. Owned
//! by the ops runtime; what is published is shared. Bounded by the limits of `muster-control`.

mod access;
mod replay;

use std::sync::{Arc, PoisonError, RwLock};

use crossbeam::channel::Sender;
use muster_control::{
    Command, ControlPlane, Effect, Entry, History, Key, Object, Page, Refusal, Scope, compile,
};
use muster_engine::{PolicySet, Revision, TenantIndex, TenantPolicy};
use muster_store::{Store, WriteError};
use muster_wire::DeviceId;
use tokio::sync::{Mutex, OwnedMutexGuard, oneshot};
use tokio::task::spawn_blocking;

pub use self::replay::{ReplayError, objects, verify_log};
use crate::net::ServedTenants;
use crate::old_policy_sets;
use crate::phase::PhaseSwitch;
use crate::route::{RouteTable, ThreadMap};
use crate::shard::{Control, DeviceTargets};

/// Devices whose targets one message to a shard thread has at most.
const TARGETED_AT_ONCE: usize = 10_000;

/// Why a change failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChangeError {
    /// It is refused, and nothing has changed.
    #[error(transparent)]
    Refused(Refusal),
    /// The log cannot be written: the store is poisoned, or was before.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It is durable, but a shard has ended or cannot make it durable: the next start puts it in force.
    #[error("a shard has not put the change in force")]
    NotInForce,
    /// The shard has ended, or cannot make the action on the device durable.
    #[error("the shard has not carried out the action on the device")]
    NotDone,
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

/// The state to which the control log adds up.
#[derive(Clone, Debug, Default)]
pub(crate) struct ControlLog {
    /// The objects.
    pub(crate) plane: Arc<ControlPlane>,
    /// The revisions of its entries.
    history: History,
}

/// What readers see.
#[derive(Debug)]
struct Published {
    log: ControlLog,
    /// The policy set that every shard has put in force.
    in_force: Arc<PolicySet>,
}

/// The latest policy set that is durable. The holder of the lock may create the next one.
type Turn = Mutex<Arc<PolicySet>>;

/// What admits the devices of tenants, which come and go.
#[derive(Debug)]
pub(crate) struct Admission {
    /// The tenants whose devices are admitted.
    pub(crate) served: Arc<ServedTenants>,
    /// The inboxes, which tenants share.
    pub(crate) routes: Arc<RouteTable>,
    /// Wakes the sessions of a tenant that is deleted.
    pub(crate) phase: PhaseSwitch,
    /// How many tenants may exist.
    pub(crate) tenants_max: usize,
}

/// The control plane of a server.
#[derive(Debug)]
pub(crate) struct ControlService {
    store: Arc<Store>,
    admission: Admission,
    shards: Vec<Sender<Control>>,
    turn: Arc<Turn>,
    /// Held from the decision of an entry until it is durable and published.
    appending: Mutex<()>,
    published: RwLock<Published>,
}

/// The right to carry out the next change.
#[derive(Debug)]
pub(crate) struct NextChange(OwnedMutexGuard<Arc<PolicySet>>);

impl ControlLog {
    fn push(&mut self, entry: &Entry, plane: Arc<ControlPlane>) {
        self.history.push(entry);
        self.plane = plane;
    }
}

impl ControlService {
    /// A service over the shards of `shards`, all of which have put `policy` in force.
    pub(crate) fn new(
        store: Arc<Store>,
        shards: Vec<Sender<Control>>,
        log: ControlLog,
        policy: Arc<PolicySet>,
        admission: Admission,
    ) -> Self {
        let in_force = Arc::clone(&policy);
        Self {
            store,
            admission,
            shards,
            turn: Arc::new(Mutex::new(policy)),
            appending: Mutex::default(),
            published: RwLock::new(Published { log, in_force }),
        }
    }

    /// The policy set that every shard has put in force.
    pub(crate) fn policy(&self) -> Arc<PolicySet> {
        Arc::clone(&self.read().in_force)
    }

    /// The objects as of the last durable change.
    pub(crate) fn plane(&self) -> Arc<ControlPlane> {
        Arc::clone(&self.read().log.plane)
    }

    /// The newest changes: see [`History::page`].
    pub(crate) fn page(&self, scope: Scope, before: Option<Revision>, limit: usize) -> Page {
        self.read().log.history.page(scope, before, limit)
    }

    /// Whether an object has ever been changed.
    pub(crate) fn has_history(&self, tenant: TenantIndex, key: Key) -> bool {
        self.read().log.history.has(tenant, key)
    }

    /// Waits until the earlier changes have ended.
    pub(crate) async fn next_change(&self) -> NextChange {
        NextChange(Arc::clone(&self.turn).lock_owned().await)
    }

    /// Carries out a change. Call it on a separate task, because it must not end half-way. `durable` resolves once the
    /// change is durable. Returns the number of devices whose state changed.
    pub(crate) async fn carry_out(
        &self,
        mut next: NextChange,
        command: Command,
        durable: oneshot::Sender<()>,
    ) -> Result<u64, ChangeError> {
        let appending = self.appending.lock().await;
        let before = self.plane();
        let entry = match before.decide(&command) {
            Ok(entry) => entry,
            Err(Refusal::Unchanged) => return Ok(0),
            Err(refusal) => return Err(ChangeError::Refused(refusal)),
        };
        self.check_tenants(&before, &entry)?;
        let mut plane = ControlPlane::clone(&before);
        plane
            .apply(&entry)
            .map_err(|error| ChangeError::Internal(error.to_string()))?;
        let compiled = compile(&plane, entry.tenant);
        let members = members_changed(&before, &entry);
        let policy = with(&next.0, &entry, compiled).map(Arc::new);
        self.append(entry.revision, plane.stored(&entry), policy.as_deref())
            .await?;
        let plane = Arc::new(plane);
        self.write().log.push(&entry, Arc::clone(&plane));
        drop(appending);
        // The receiver may be gone: its client did not wait.
        let _ = durable.send(());
        self.refuse_devices(&entry);
        let mut devices = 0;
        if let Some(policy) = policy {
            *next.0 = Arc::clone(&policy);
            devices += self.put_in_force(policy).await?;
        }
        if !members.is_empty() {
            devices += self.target(plane, entry.tenant, members).await?;
        }
        self.admit_devices(&entry);
        self.delete_old_policy_sets().await;
        tracing::info!(
            revision = entry.revision.0,
            tenant = entry.tenant.0,
            actor = entry.actor.name(),
            operation = entry.activity(),
            of = entry.key.type_name(),
            devices,
            "change in force"
        );
        Ok(devices)
    }

    /// Refuses one tenant more than may exist.
    fn check_tenants(&self, plane: &ControlPlane, entry: &Entry) -> Result<(), ChangeError> {
        let max = self.admission.tenants_max;
        let is_new = matches!(entry.after(), Some(Object::Tenant(_))) && entry.before().is_none();
        if is_new && plane.tenants().count() >= max {
            let what = "tenants at a time (shards.tenants_max)";
            return Err(ChangeError::Refused(Refusal::Limit { what, max }));
        }
        Ok(())
    }

    /// Refuses the devices of a tenant that is deleted, and closes their sessions.
    fn refuse_devices(&self, entry: &Entry) {
        if let Effect::Deleted {
            before: Object::Tenant(tenant),
        } = &entry.effect
        {
            self.admission.served.remove(tenant.name.as_str());
            self.admission.phase.wake();
        }
    }

    /// Admits the devices of a new tenant, which every shard knows by now, and divides the inboxes anew.
    fn admit_devices(&self, entry: &Entry) {
        if entry.key != Key::Tenant || matches!(entry.effect, Effect::Updated { .. }) {
            return;
        }
        let tenants: Vec<_> = self.plane().tenants().map(|(index, _)| index).collect();
        self.admission.routes.set_tenants(&tenants);
        if let Effect::Created {
            after: Object::Tenant(tenant),
        } = &entry.effect
        {
            let name = tenant.name.as_str();
            self.admission.served.add(name, entry.tenant);
        }
    }

    /// Makes an entry and its policy set durable, on a blocking thread, because it waits for the disk.
    async fn append(
        &self,
        revision: Revision,
        entry: Vec<u8>,
        policy: Option<&PolicySet>,
    ) -> Result<(), ChangeError> {
        let (store, policy) = (Arc::clone(&self.store), policy.map(PolicySet::encode));
        let append = move || store.append_control(revision, &entry, policy.as_deref());
        let appended = spawn_blocking(append).await;
        appended.map_err(|error| ChangeError::Internal(error.to_string()))??;
        Ok(())
    }

    /// Deletes the policy sets that no shard needs. If that fails, a later change does it.
    async fn delete_old_policy_sets(&self) {
        let store = Arc::clone(&self.store);
        match spawn_blocking(move || old_policy_sets::delete(&store)).await {
            Ok(Ok(_)) => (),
            Ok(Err(error)) => tracing::warn!(%error, "old policy sets are not deleted"),
            Err(error) => tracing::warn!(%error, "old policy sets are not deleted"),
        }
    }

    /// Makes every shard evaluate its devices by a policy set, and waits until the result is durable.
    async fn put_in_force(&self, policy: Arc<PolicySet>) -> Result<u64, ChangeError> {
        let (shards, ordered) = (self.shards.clone(), Arc::clone(&policy));
        // On a blocking thread: the channel of a shard may be full of queries.
        let order = move || shards.iter().map(|shard| order(shard, &ordered)).collect();
        let replies: Vec<_> = spawn_blocking(order)
            .await
            .map_err(|error| ChangeError::Internal(error.to_string()))?;
        let mut devices = 0;
        for reply in replies {
            let changed = reply.await.map_err(|_| ChangeError::NotInForce)?;
            devices += u64::from(changed);
        }
        self.write().in_force = policy;
        Ok(devices)
    }

    /// Gives the shards the targets of devices, and waits until the result is durable.
    async fn target(
        &self,
        plane: Arc<ControlPlane>,
        tenant: TenantIndex,
        members: Vec<DeviceId>,
    ) -> Result<u64, ChangeError> {
        let (shards, routes) = (self.shards.clone(), Arc::clone(&self.admission.routes));
        // On a blocking thread: a group may have a million members, and the channel of a shard may be full.
        let order = move || {
            let mut replies = Vec::new();
            for members in members.chunks(TARGETED_AT_ONCE) {
                let targets = members.iter().map(|device| {
                    let targets = plane.targets_of(tenant, device);
                    (tenant, *device, targets)
                });
                replies.extend(send_targets(&shards, &routes.map, targets, false));
            }
            replies
        };
        let replies = spawn_blocking(order).await;
        let replies = replies.map_err(|error| ChangeError::Internal(error.to_string()))?;
        let mut devices = 0;
        for reply in replies {
            devices += u64::from(reply.await.map_err(|_| ChangeError::NotInForce)?);
        }
        Ok(devices)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Published> {
        // No statement leaves it half changed, so it is valid after a panic too.
        self.published
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Published> {
        self.published
            .write()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The devices whose targets an entry changes.
fn members_changed(before: &ControlPlane, entry: &Entry) -> Vec<DeviceId> {
    match (&entry.effect, entry.key) {
        (Effect::MembersAdded(members) | Effect::MembersRemoved(members), _) => members.clone(),
        (Effect::Deleted { .. }, Key::Group(group)) => {
            before.members(entry.tenant, group, None).collect()
        }
        _ => Vec::new(),
    }
}

/// Sends each shard thread the targets of its devices. The reply of one that has ended fails.
pub(crate) fn send_targets(
    shards: &[Sender<Control>],
    map: &ThreadMap,
    targets: impl Iterator<Item = DeviceTargets>,
    is_complete: bool,
) -> Vec<oneshot::Receiver<u32>> {
    let mut by_thread = vec![Vec::new(); shards.len()];
    for (tenant, device, targets) in targets {
        by_thread[map.thread_of(&device)].push((tenant, device, targets));
    }
    let mut replies = Vec::new();
    for (shard, devices) in shards.iter().zip(by_thread) {
        if devices.is_empty() && !is_complete {
            continue;
        }
        let (reply, changed) = oneshot::channel();
        // A thread that has ended drops the message, and with it the reply.
        let _ = shard.send(Control::Targets {
            devices,
            is_complete,
            reply,
        });
        replies.push(changed);
    }
    replies
}

/// Orders one shard to put a policy set in force. The reply fails if the shard has ended.
fn order(shard: &Sender<Control>, policy: &Arc<PolicySet>) -> oneshot::Receiver<u32> {
    let (reply, changed) = oneshot::channel();
    let policy = Arc::clone(policy);
    let reply = Some(reply);
    // A shard that has ended drops the order, and with it the reply.
    let _ = shard.send(Control::Policy { policy, reply });
    changed
}

/// The policy set in which the tenant of an entry has these rules; `None` if it has them already. A new tenant has the
/// next index.
fn with(latest: &PolicySet, entry: &Entry, rules: TenantPolicy) -> Option<PolicySet> {
    let mut tenants = latest.tenants().to_vec();
    match tenants.get_mut(usize::from(entry.tenant)) {
        Some(own) if *own == rules => return None,
        Some(own) => *own = rules,
        None => tenants.push(rules),
    }
    Some(PolicySet::new(entry.revision, tenants))
}
