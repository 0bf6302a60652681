//! From a decoded record to the inbox of the shard that owns its device.
//!
//! [`Router`] belongs to one session and cuts its frames into shard batches; [`Inbox`] is a shard's bounded
//! input; [`Window`] tells the session when everything of a frame is durable. Buffers travel in a
//! circle through [`BufferPool`], so nothing is allocated per check-in. All bounds are numbers of
//! [`crate::config::ShardsConfig`].

mod inbox;
mod pool;
mod router;
mod shard_batch;
mod window;

pub use inbox::{Inbox, InboxClosed, InboxReceiver, inbox};
pub use pool::BufferPool;
pub use router::{RouteTable, Router};
pub use shard_batch::{Payload, ReceivedInventory, ShardBatch};
pub use window::{Completion, FRAME_BYTES_MAX, Window, WindowCursor};
