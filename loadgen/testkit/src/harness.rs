//! Shared by tests of whole servers: an installation, a server process, its operations endpoint, and its clients.
//!
//! Tests wait for conditions, never for a fixed time, and every wait has a deadline. A resource that cannot be acquired
//! fails the test with a panic.

mod cli;
mod fleet;
mod full_disk;
mod graph;
mod ops;
mod pki;
mod raw;
mod relay;
mod running;
mod sender;
mod settings;
mod test_clock;
mod victim;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

pub use crate::objects::{medium, no_creation};
pub use crate::random::Random;
pub use crate::server::DEADLINE;
pub use cli::{CommandOutput, muster, text};
pub use fleet::{
    Oracle, device, frame, frame_of, healthy, inventory_frame, inventory_of, random_check_in,
    random_inventory, record,
};
pub use full_disk::{FRAME_RECORDS, FilledDisk};
pub use graph::{Graph, GraphReply};
pub use ops::{Cells, Changed, Metrics, Ops};
pub use pki::{Credentials, Pki};
pub use raw::{Closed, EarlyDataClient, Raw, Reply, Session, client_tls, hello};
pub use relay::Relay;
pub use running::Server;
pub use sender::Sender;
pub use settings::{Installation, Settings};
pub use test_clock::{Clocks, TestClock};
pub use victim::{CLOSED, HANDSHAKES, REJECTED, Victim, closed, known};

/// Interval at which conditions are polled.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Runs the clients of all tests in the process.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime can be started")
});

/// The root of the repository that the test runs in. It is found at run time, because the binary may have been built in
/// another clone that shares the target directory.
pub fn repository_root() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let mut directories = Path::new(&package).ancestors();
    let root = directories.find(|directory| directory.join("Cargo.lock").exists());
    root.expect("the package is in a workspace").to_owned()
}

/// Blocks until a future completes, at most until the deadline.
#[track_caller]
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    let bounded = async { tokio::time::timeout(DEADLINE, work).await };
    RUNTIME
        .block_on(bounded)
        .expect("it completes before the deadline")
}

/// Spawns a future on the runtime of the clients.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    RUNTIME.spawn(work)
}

/// Polls `condition` until it returns a value.
#[track_caller]
pub fn eventually<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    before_deadline(condition).unwrap_or_else(|| panic!("{what}: not before the deadline"))
}

/// Polls `condition` until it returns a value; `None` if the deadline passes first.
pub fn before_deadline<T>(mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let started = Instant::now();
    loop {
        if let Some(found) = condition() {
            return Some(found);
        }
        if started.elapsed() >= DEADLINE {
            return None;
        }
        std::thread::park_timeout(POLL_INTERVAL);
    }
}
