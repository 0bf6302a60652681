//! What the tests share: an installation, a server process, its operators' view, and its clients.
//!
//! Every wait has a deadline, and nothing waits for a length of time: a test waits for a condition.

mod behind;
mod cli;
mod fleet;
mod full_disk;
mod ops;
mod pki;
mod process;
mod raw;
mod relay;
mod sender;
mod settings;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use muster_ingest::clock;
use tokio::runtime::Runtime;

pub(crate) use behind::write_behind;
pub(crate) use cli::{Ended, muster, text};
pub(crate) use fleet::{Oracle, Random, device, frame, random_check_in, random_inventory};
pub(crate) use full_disk::{FRAME_RECORDS, Filled};
pub(crate) use pki::{Credentials, Pki};
pub(crate) use process::Server;
pub(crate) use raw::{Closed, Eager, Raw, Reply, Session, client_tls, hello};
pub(crate) use relay::Relay;
pub(crate) use sender::Sender;
pub(crate) use settings::{Installation, Settings};

/// Far beyond what anything here takes, also on a busy machine: only a hang gets there.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Drives the clients of all tests of the process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime starts")
});

/// The clone the tests run in; they may have been built in another that shares the target directory.
pub(crate) fn clone_folder() -> PathBuf {
    let ingest = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    Path::new(&ingest)
        .parent()
        .expect("ingest lies in the clone")
        .to_owned()
}

/// Runs a client's work to its end.
#[track_caller]
pub(crate) fn wait<T>(work: impl Future<Output = T>) -> T {
    let bounded = async { tokio::time::timeout(DEADLINE, work).await };
    RUNTIME
        .block_on(bounded)
        .expect("it ends before the deadline")
}

/// Lets a client work beside the test.
pub(crate) fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    RUNTIME.spawn(work)
}

/// Waits until `look` finds something.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    before_deadline(look).unwrap_or_else(|| panic!("{what}: not before the deadline"))
}

/// Waits until `look` finds something; `None` if it does not before the deadline.
pub(crate) fn before_deadline<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = clock::stamp();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if clock::stamp().since(began) >= DEADLINE {
            return None;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}
