//! The session protocol without IO: bytes in, shard batches to shards, bytes out.
//!
//! Decoder, router, window and acks of one session. Owner: the task of the session, or a simulation. Nothing here
//! waits: a full inbox is reported as [`Take::Blocked`] and retried with [`SessionCore::offer`]; bytes to send are in
//! [`SessionCore::out`]. Bounded by the window. Connection, timeouts and phase belong to the caller.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_engine::TenantIndex;
use muster_wire::limits::{CHECK_INS_PER_FRAME_MAX, INVENTORY_BYTES_MAX};
use muster_wire::{
    AckTotals, Busy, CloseCode, Decoder, DeviceId, Goodbye, Identity, Item, Role, ServerHello,
    Subject, encode_ack, encode_busy, encode_goodbye, encode_server_hello,
};

use super::delivery::Delivery;
use super::stale::StaleRecords;
use crate::clock::Stamp;
use crate::net::context::ListenerContext;
use crate::net::registry::SessionEntry;
use crate::net::tenants::ServedTenant;
use crate::route::{Inbox, Listed, Router, Window, WindowCursor};

/// The retry delay in the Goodbye of a draining server.
const DRAIN_RETRY_AFTER_MS: u32 = 1000;

/// The result of [`SessionCore::take`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Take {
    /// All bytes are consumed.
    NeedsMore,
    /// The inbox of a shard batch is full, see [`SessionCore::offer`]. Some bytes may not be consumed yet.
    Blocked,
}

/// The authenticated client of a session, from its certificate and the tenants that exist.
#[derive(Clone, Debug)]
pub struct Principal {
    /// The identity in the certificate.
    pub identity: Identity,
    /// Its tenant.
    pub tenant: Arc<ServedTenant>,
}

impl Principal {
    /// Authorizes an identity, or returns the close code.
    pub fn admit(identity: Identity, context: &ListenerContext) -> Result<Self, CloseCode> {
        match context.tenants.get(identity.tenant.as_str()) {
            Some(tenant) => Ok(Self { identity, tenant }),
            None => Err(CloseCode::UnknownTenant),
        }
    }
}

/// A session that waits for the client's Hello.
#[derive(Debug)]
pub struct PendingSession(Decoder);

impl Default for PendingSession {
    fn default() -> Self {
        Self(Decoder::new(Role::Server))
    }
}

impl PendingSession {
    /// Consumes bytes from the front of `rest` until the Hello is complete; returns the negotiated version then.
    pub fn take(&mut self, rest: &mut &[u8]) -> Result<Option<u16>, CloseCode> {
        match self.0.next(rest).map_err(|error| error.close_code())? {
            None => Ok(None),
            Some(Item::ClientHello(hello)) => {
                let version = hello.negotiate().map_err(|error| error.close_code())?;
                Ok(Some(version))
            }
            Some(_) => Err(CloseCode::UnexpectedFrame),
        }
    }

    /// The close code for a stream that ended before the Hello.
    pub(super) fn finish(&self) -> CloseCode {
        match self.0.finish() {
            Ok(()) => CloseCode::TruncatedFrame,
            Err(error) => error.close_code(),
        }
    }

    /// Opens the session; the server's Hello is in [`SessionCore::out`].
    pub fn open(
        self,
        version: u16,
        principal: Principal,
        remote: std::net::SocketAddr,
        context: Arc<ListenerContext>,
    ) -> SessionCore {
        let Principal { identity, tenant } = principal;
        let index = tenant.index;
        let (own_device, window_frames) = match &identity.subject {
            Subject::Device(device) => (Some(*device), context.config.window_frames_device),
            Subject::Gateway(_) => (None, context.config.window_frames_gateway),
        };
        let next_check_in_seconds = context.config.next_check_in.get().as_secs() as u32;
        let mut out = Vec::with_capacity(256);
        let hello = ServerHello {
            version,
            window_frames,
            check_ins_per_frame_max: CHECK_INS_PER_FRAME_MAX as u32,
            inventory_bytes_max: INVENTORY_BYTES_MAX as u32,
            server_time_ms: context.clock.now().time.as_millis(),
            next_check_in_seconds,
        };
        encode_server_hello(&mut out, &hello);
        let now = context.clock.now().time;
        SessionCore {
            entry: context.registry.enter(identity, remote, now),
            own_device,
            decoder: self.0,
            router: Router::new(Arc::clone(&context.routes), index, context.clock.clone()),
            tenant,
            window: Window::open(window_frames),
            totals: AckTotals {
                next_check_in_seconds,
                ..AckTotals::default()
            },
            out,
            read_at: context.clock.stamp(),
            frames_read: 0,
            frame_records: 0,
            frame_is_open: false,
            delivery: None,
            stale_records: Some(StaleRecords::default()),
            client_is_done: false,
            draining: false,
            context,
        }
    }
}

/// The state of one session, apart from its connection.
#[derive(Debug)]
pub struct SessionCore {
    pub(super) context: Arc<ListenerContext>,
    pub(super) entry: SessionEntry,
    /// The tenant of the client.
    tenant: Arc<ServedTenant>,
    /// The only device that a device certificate may send for; `None` for a gateway.
    pub(super) own_device: Option<DeviceId>,
    pub(super) decoder: Decoder,
    pub(super) router: Router,
    pub(super) window: WindowCursor,
    totals: AckTotals,
    /// Encoded frames to send; reused.
    out: Vec<u8>,
    /// When the current chunks were read.
    pub(super) read_at: Stamp,
    /// Frames read to their end.
    pub(super) frames_read: u64,
    /// Records in the frame that is being read.
    pub(super) frame_records: u64,
    /// Whether the window has an open frame that has not been read to its end.
    pub(super) frame_is_open: bool,
    /// The shard batch that waits for inbox capacity.
    pub(super) delivery: Option<Delivery>,
    /// The stale records that acks have listed; `None` if they list none.
    stale_records: Option<StaleRecords>,
    /// Whether the client has sent Goodbye or finished its stream.
    pub(super) client_is_done: bool,
    /// Whether the server has sent Goodbye because it drains.
    draining: bool,
}

impl SessionCore {
    /// Records the time at which bytes were read.
    pub fn note_read(&mut self) {
        self.read_at = self.context.clock.stamp();
    }

    /// Lists no stale records: the session began with early data, whose sender the handshake has not confirmed.
    pub fn list_no_stale_records(&mut self) {
        self.stale_records = None;
    }

    /// Collects durable frames in order and encodes one cumulative ack for them into `out`. Returns whether there was
    /// any.
    pub fn acknowledge(&mut self) -> bool {
        let before = self.totals;
        let metrics = &self.context.metrics;
        let now = self.context.clock.stamp();
        let mut listed = Listed::default(); // no allocation while it stays empty
        while let Some(frame) = self.window.collect(&mut listed) {
            self.totals.frames += 1;
            self.totals.accepted += u64::from(frame.outcome.accepted);
            self.totals.duplicate += u64::from(frame.outcome.duplicate);
            self.totals.stale += u64::from(frame.outcome.stale);
            self.totals.rejected += u64::from(frame.outcome.rejected);
            if frame.durable_at != Stamp::default() {
                metrics.record_durable_to_ack(self.entry.id, now.nanos_since(frame.durable_at));
            }
        }
        let totals = self.totals;
        if totals.frames == before.frames {
            return false;
        }
        metrics.accepted.add(totals.accepted - before.accepted);
        metrics.duplicate.add(totals.duplicate - before.duplicate);
        metrics.stale.add(totals.stale - before.stale);
        metrics
            .acknowledged_rejected
            .add(totals.rejected - before.rejected);
        metrics.acks.add(1);
        self.entry
            .records_acknowledged
            .store(answered(&totals), Ordering::Relaxed);
        self.entry
            .frames_in_flight
            .store(self.window.in_flight() as u64, Ordering::Relaxed);
        let mut rejections = listed.rejections;
        // Once per reason and ack: the log's lock is shared, and a client may have every record rejected.
        for (index, rejection) in rejections.iter().enumerate() {
            let reason = rejection.reason();
            let is_known = rejections[..index].iter().any(|one| one.reason() == reason);
            if let Some(reason) = reason.filter(|_| !is_known) {
                self.context.log_cause(reason.name(), &self.entry.identity);
            }
        }
        if let Some(records) = &mut self.stale_records {
            records.list(&listed.stale, &mut rejections);
        }
        encode_ack(&mut self.out, &totals, &rejections);
        true
    }

    /// Encodes a Busy frame: the client should send no new frame for `retry_after_ms`.
    pub fn say_busy(&mut self, retry_after_ms: u32) {
        self.context.metrics.busy.add(1);
        encode_busy(&mut self.out, Busy { retry_after_ms });
    }

    /// Encodes the Goodbye of a draining server, once. Returns whether there is something to send.
    pub fn drain(&mut self) -> bool {
        if self.draining {
            return false;
        }
        self.draining = true;
        let goodbye = Goodbye::new(CloseCode::Draining, DRAIN_RETRY_AFTER_MS);
        encode_goodbye(&mut self.out, goodbye);
        true
    }

    /// Handles the end of the client's stream.
    pub fn end_of_stream(&mut self) -> Result<(), CloseCode> {
        self.decoder.finish().map_err(|error| error.close_code())?;
        self.client_is_done = true;
        Ok(())
    }

    /// Returns the close code if the session is over; its last frame is in `out` then.
    pub fn is_over(&mut self) -> Option<CloseCode> {
        // A draining server stops reading: the incomplete frame has sent nothing to a shard.
        if self.window.in_flight() != usize::from(self.frame_is_open) {
            return None;
        }
        if self.client_is_done {
            // Goodbye is the last frame of either side: a draining server has already sent it.
            if !self.draining {
                encode_goodbye(&mut self.out, Goodbye::new(CloseCode::Done, 0));
            }
            return Some(CloseCode::Done);
        }
        self.draining.then_some(CloseCode::Draining)
    }

    /// Whether the tenant of the client has been deleted.
    pub fn tenant_is_gone(&self) -> bool {
        self.tenant.is_gone()
    }

    /// Whether the session still reads from the client.
    pub fn is_reading(&self) -> bool {
        !self.client_is_done && !self.draining
    }

    /// Frames not acknowledged yet, including the one being read.
    pub fn in_flight(&self) -> usize {
        self.window.in_flight()
    }

    /// The bytes to send; the caller clears it.
    pub fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// The inbox and tenant of the blocked shard batch, if there is one.
    pub fn blocked_on(&self) -> Option<(&Inbox, TenantIndex)> {
        let delivery = self.delivery.as_ref()?;
        Some((self.router.inbox(delivery.thread()), delivery.tenant()))
    }

    /// Records of completely read frames that no ack covers.
    pub fn unacknowledged(&self) -> u64 {
        self.entry.records_received.load(Ordering::Relaxed) - answered(&self.totals)
    }

    /// The cumulative totals of all acks so far.
    pub fn totals(&self) -> &AckTotals {
        &self.totals
    }
}

/// Number of records that acks have covered.
fn answered(totals: &AckTotals) -> u64 {
    totals.accepted + totals.duplicate + totals.stale + totals.rejected
}
