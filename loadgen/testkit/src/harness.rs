//! What tests of whole servers share: an installation, a server process, its operators' view, and its clients.
//!
//! Every wait has a deadline, and nothing waits for a length of time: a test waits for a condition. Whatever cannot
//! be had ends the test with a panic.

mod cli;
mod fleet;
mod full_disk;
mod ops;
mod pki;
mod raw;
mod relay;
mod running;
mod sender;
mod settings;
mod victim;

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::time::Instant;

pub use crate::random::Random;
pub use crate::server::DEADLINE;
pub use cli::{CommandOutput, muster, text};
pub use fleet::{
    Oracle, device, frame, frame_of, inventory_frame, inventory_of, random_check_in,
    random_inventory,
};
pub use full_disk::{FRAME_RECORDS, Filled};
pub use ops::{Cells, Metrics, Ops};
pub use pki::{Credentials, Pki};
pub use raw::{Closed, Eager, Raw, Reply, Session, client_tls, hello};
pub use relay::Relay;
pub use running::Server;
pub use sender::Sender;
pub use settings::{Installation, Settings};
pub use victim::{CLOSED, HANDSHAKES, REJECTED, Victim, closed, known};

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
pub fn clone_folder() -> PathBuf {
    let package = std::env::var_os("CARGO_MANIFEST_DIR").expect("cargo runs this");
    let mut folders = Path::new(&package).ancestors();
    let clone = folders.find(|folder| folder.join("Cargo.lock").exists());
    clone.expect("a package lies in a workspace").to_owned()
}

/// Runs a client's work to its end.
#[track_caller]
pub fn wait<T>(work: impl Future<Output = T>) -> T {
    let bounded = async { tokio::time::timeout(DEADLINE, work).await };
    RUNTIME
        .block_on(bounded)
        .expect("it ends before the deadline")
}

/// Lets a client work beside the test.
pub fn spawn<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> tokio::task::JoinHandle<T> {
    RUNTIME.spawn(work)
}

/// Waits until `look` finds something.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Option<T>) -> T {
    before_deadline(look).unwrap_or_else(|| panic!("{what}: not before the deadline"))
}

/// Waits until `look` finds something; `None` if it does not before the deadline.
pub fn before_deadline<T>(mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if began.elapsed() >= DEADLINE {
            return None;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
}
