//! What an operator does before the load: creates the tenants, and sometimes changes their rules.
//!
//! A tenant that was created, or deleted, with a response must be there, or not, on every later server. One more tenant
//! without devices comes and goes with the changes. The audit log of a later server must have every head that an
//! earlier one has shown.

use muster_testkit::objects::{create_tenant, delete_tenant, put_in_force};
use muster_testkit::ops::{Ops, OpsError};

use super::Directory;
use crate::check::Finding;
use crate::environment::TENANTS;
use crate::observe;
use crate::policy;

/// The tenant that comes and goes.
const TRANSIENT: &str = "transient";

/// What responses said about tenants.
#[derive(Debug, Default)]
pub(super) struct KnownTenants {
    /// How many of [`TENANTS`] were created.
    created: usize,
    /// Whether [`TRANSIENT`] exists; `None` if a request about it had no response.
    transient: Option<bool>,
    /// The head of the audit log that a server showed last, which every later log must have.
    head: Option<String>,
}

impl Directory {
    /// Compares the tenants of a server that has just become ready with what earlier responses said, and creates those
    /// that are missing.
    pub(super) async fn create_tenants(&mut self, ops: &str) -> Result<(), Finding> {
        let (known, wanted) = (self.known_tenants.created, self.tenants);
        let transient = self.known_tenants.transient;
        self.verify_audit(ops).await?;
        let order = move |ops: &Ops| {
            let lost = TENANTS[..known].iter().map(|name| (*name, true));
            for (name, exists) in lost.chain(transient.map(|exists| (TRANSIENT, exists))) {
                if has_tenant(ops, name)? != exists {
                    return Ok(Some(name));
                }
            }
            for name in &TENANTS[known..wanted] {
                create_tenant(ops, name)?;
            }
            Ok(None)
        };
        match ordered(ops, order).await? {
            Some(name) => Err(Finding::Behavior(format!(
                "the creation or deletion of the tenant {name} had a response and is lost"
            ))),
            None => {
                self.known_tenants.created = wanted;
                self.verify_audit(ops).await
            }
        }
    }

    /// Lets the server verify its audit log with the head that was shown last, and notes the present one.
    async fn verify_audit(&mut self, ops: &str) -> Result<(), Finding> {
        let pin = self.known_tenants.head.take();
        let head = ordered(ops, move |ops| verified_head(ops, pin.as_deref())).await?;
        self.known_tenants.head = Some(head);
        Ok(())
    }

    /// Changes the rules of all tenants, and creates or deletes one.
    pub(super) async fn change_rules(&mut self, ops: &str) -> Result<(), Finding> {
        self.are_rules_settled = false;
        let exists = self.known_tenants.transient.take();
        let toggle = move |ops: &Ops| {
            // Unknown before the first change, and after a request without a response.
            let exists = exists.map_or_else(|| has_tenant(ops, TRANSIENT), Ok)?;
            if exists {
                delete_tenant(ops, TRANSIENT)?;
            } else {
                create_tenant(ops, TRANSIENT)?;
            }
            Ok(!exists)
        };
        self.known_tenants.transient = Some(ordered(ops, toggle).await?);
        for name in TENANTS.iter().take(self.tenants) {
            let rules = policy::sample(&mut self.random);
            ordered(ops, move |ops| put_in_force(ops, name, &rules)).await?;
        }
        self.verify_audit(ops).await?;
        self.is_change_due = false;
        self.are_rules_settled = true;
        Ok(())
    }
}

/// Sends requests on a separate thread, because they block.
async fn ordered<T: Send + 'static>(
    ops: &str,
    order: impl FnOnce(&Ops) -> Result<T, OpsError> + Send + 'static,
) -> Result<T, Finding> {
    let ops = Ops::with_timeout(ops, observe::ANSWER_TIMEOUT);
    let done = tokio::task::spawn_blocking(move || order(&ops)).await;
    let done = done.map_err(|error| Finding::Behavior(error.to_string()))?;
    done.map_err(|error| Finding::Behavior(format!("an operator's request failed: {error}")))
}

fn has_tenant(ops: &Ops, name: &str) -> Result<bool, OpsError> {
    let path = format!("/tenants/{name}");
    let (status, text) = ops.get(&path)?;
    match status {
        200 => Ok(true),
        404 => Ok(false),
        _ => Err(OpsError::Refused {
            url: path,
            status,
            text,
        }),
    }
}

/// The head of an audit log that is what was written, and that has the pinned one.
fn verified_head(ops: &Ops, pin: Option<&str>) -> Result<String, OpsError> {
    let url = match pin {
        Some(pin) => format!("/audit/verify?pin={pin}"),
        None => "/audit/verify".to_owned(),
    };
    let (status, text) = ops.get(&url)?;
    let report: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    match (report["verified"].as_bool(), report["head"].as_str()) {
        (Some(true), Some(head)) => Ok(head.to_owned()),
        _ => Err(OpsError::Refused { url, status, text }),
    }
}
