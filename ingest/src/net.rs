//! The QUIC front door: endpoint, listener, sessions.
//!
//! Everything here runs on the net runtime. A task of this module never touches device state or the
//! store, and never blocks; it decodes, routes, waits for inbox capacity, and acknowledges. A panic in a
//! connection's task ends that connection only.

mod context;
mod endpoint;
mod handshake;
mod listener;
mod quotas;
mod registry;
mod session;
mod tickets;

pub use context::ListenerContext;
pub(crate) use endpoint::{DEVICE_RECEIVE_WINDOW, INCOMING_BUFFER_TOTAL, SEND_WINDOW};
pub use endpoint::{EndpointError, bind, endpoint};
pub use listener::Listener;
pub use registry::{SessionInfo, SessionRegistry};
pub use session::{PendingSession, Principal, SessionCore, Take};
pub use tickets::resumable;
