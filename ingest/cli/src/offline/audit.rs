//! The verification of the audit log of a data directory, or of a backup, that no server uses. It is only read.

use std::path::Path;

use muster_api::AuditVerification;
use muster_control::PinnedHead;
use muster_ingest::server::verify_log;
use muster_store::OpenError;

use super::open_read_only;

/// Compares the log with its hash chain and a pin.
///
/// # Errors
/// The directory cannot be opened.
pub fn verify(directory: &Path, pin: Option<PinnedHead>) -> Result<AuditVerification, OpenError> {
    let store = open_read_only(directory)?;
    Ok(verify_log(&store.view(), pin))
}
