//! The network side of the server: QUIC endpoint, listener, sessions.
//!
//! Owner: the net runtime. Its tasks decode, route, wait for inbox capacity and acknowledge; they never block, and have
//! no access to device state or the store. A panic in the task of a connection ends only that connection. The bounds
//! are those of `quotas`, of `tickets` and of each session's window.

mod context;
mod endpoint;
mod handshake;
mod listener;
mod quotas;
mod registry;
mod session;
mod tenants;
mod tickets;

pub use context::ListenerContext;
pub(crate) use endpoint::{DEVICE_RECEIVE_WINDOW, INCOMING_BUFFER_TOTAL, SEND_WINDOW};
pub use endpoint::{EndpointError, bind, endpoint};
pub use listener::Listener;
pub use registry::{SessionInfo, SessionRegistry};
pub use session::{PendingSession, Principal, SessionCore, Take};
pub use tenants::{ServedTenant, ServedTenants};
pub use tickets::resumable;
