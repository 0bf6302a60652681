//! From a decoded record to the inbox of the thread that runs the shard of its device.
//!
//! [`Router`] belongs to one session and splits its frames into shard batches; [`Inbox`] is the bounded queue of a
//! shard thread; [`Window`] notifies the session when all shard batches of a frame are durable. [`BufferPool`] recycles
//! buffers, so nothing is allocated per check-in. All bounds are keys of [`crate::config::ShardsConfig`].

mod inbox;
mod pool;
mod router;
mod shard_batch;
mod thread_map;
mod window;

pub use inbox::{Inbox, InboxClosed, InboxReceiver, LANES_MAX, inbox};
pub use pool::BufferPool;
pub use router::{RouteTable, Router};
pub use shard_batch::{Payload, ReceivedInventory, ShardBatch};
pub use thread_map::ThreadMap;
pub use window::{Completion, FRAME_BYTES_MAX, Listed, Window, WindowCursor};
