//! One session: the authenticated state of one connection.
//!
//! Life cycle: identity from the certificate, one stream, Hello in both directions, then frames in and cumulative acks
//! out until a Goodbye, an error, or the server drains. Owner: one task of the net runtime. The protocol is in
//! [`SessionCore`], which has no IO; this module does the IO. Memory is bounded by the window (frames in flight) and
//! the connection's receive window.
//!
//! A frame is routed only once it has been read completely, so a stream that ends in the middle of a frame leaves
//! nothing half-applied. The session waits for bytes and for inbox capacity, and watches the server's phase in both
//! cases. Time spent waiting for capacity does not count against the client's timeouts. It never waits for its window:
//! a client that exceeds it is closed.

mod core;
mod decode;
mod delivery;
mod end;
mod open;
mod stale;

use std::sync::Arc;
use std::time::Duration;

use muster_store::kill_point;
use muster_wire::CloseCode;
use quinn::{Connection, RecvStream, SendStream};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::Instrument;

use super::context::ListenerContext;
use super::handshake::{self, Handshake, Stream};
use super::quotas::{Permit, Quotas};
use crate::phase::Phase;

use self::end::End;

pub use self::core::{PendingSession, Principal, SessionCore, Take};

/// Maximum size of a chunk read before the Hello.
const CHUNK_BYTES_MAX: usize = 4 << 10;

/// How long an inbox may be full before the client gets a Busy frame.
const BUSY_AFTER: Duration = Duration::from_millis(250);

/// The retry delay in a Busy frame.
const BUSY_RETRY_AFTER_MS: u32 = 500;

/// Timeout for the delivery of the last frames before the connection is closed.
const DELIVERY_MAX: Duration = Duration::from_secs(2);

/// The event that ended a wait.
enum Wake {
    /// The number of chunks read.
    Chunks(usize),
    EndOfStream,
    Progress,
    Phase,
    FrameTimeout,
}

/// The state of one session.
#[derive(Debug)]
struct Session {
    context: Arc<ListenerContext>,
    core: SessionCore,
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
    phase: watch::Receiver<Phase>,
    /// Buffer of chunks that were read and not decoded yet; its length is the maximum of one read.
    chunks: Box<[bytes::Bytes]>,
    /// The number of the incomplete frame, and when its first byte was read.
    frame_since: Option<(u64, Instant)>,
    /// How the session ended; `Gone` while it is open.
    end: End,
    /// The handshake of a session that began with early data, until the session waits for it.
    handshake: Option<Handshake>,
    /// Permits for the tenant's connection, and for a large window: of the tenant and of the total.
    _permits: (Permit, Option<(Permit, Permit)>),
}

/// Runs the session of a connection to its end; `early` is the stream if it came in early data.
pub(super) async fn run(
    connection: Connection,
    early: Option<(Stream, Handshake)>,
    deadline: Instant,
    quotas: &Quotas,
    context: Arc<ListenerContext>,
) {
    let mut account = Account {
        connection: connection.clone(),
        context: Arc::clone(&context),
        is_open: false,
        end: End::Gone,
    };
    // Boxed, like every future that is short or rare: the maximum size of the task is the cost of an idle connection.
    let (mut stream, mut handshake) = early.unzip();
    let is_early = stream.as_ref().is_some_and(|stream| stream.1.is_0rtt());
    let mut session;
    let opened = Session::open(connection, &mut stream, deadline, quotas, context);
    account.end = match Box::pin(opened).await {
        Ok((opened, rest)) => {
            session = opened;
            session.handshake = handshake.take();
            if is_early {
                session.core.list_no_stale_records();
            }
            account.is_open = true;
            account.context.metrics.sessions_opened.add(1);
            let (id, identity) = (session.core.entry.id, &session.core.entry.identity);
            let span = tracing::debug_span!("session", id, %identity);
            let end = session.serve(rest).instrument(span).await;
            session.end = ended(session.handshake.take(), end).await;
            session.end
        }
        Err(end) => ended(handshake, end).await,
    };
    // Before the stream is dropped: that would finish it, and the client would see that before the close code.
    drop(account);
}

/// Waits for the handshake, before which no close code can be sent; returns how the session ends.
async fn ended(handshake: Option<Handshake>, end: End) -> End {
    let Some(handshake) = handshake else {
        return end;
    };
    match (handshake.end().await, end) {
        (false, End::Gone) => CloseCode::HelloTimeout.into(),
        _ => end,
    }
}

/// Records the end of a connection in the metrics when it is dropped, so also if the runtime shuts down first.
struct Account {
    connection: Connection,
    context: Arc<ListenerContext>,
    /// Whether its session has opened.
    is_open: bool,
    /// How it ended; `Gone` unless set.
    end: End,
}

impl Drop for Account {
    fn drop(&mut self) {
        // The task panicked. Dropped without a code, the connection would close with 0, which is `done`.
        if self.end == End::Gone && self.connection.close_reason().is_none() {
            self.end = CloseCode::Internal.into();
        }
        let metrics = &self.context.metrics;
        let code = self.end.code(&self.connection);
        if !self.is_open {
            metrics.closed_before_hello.add(code, 1);
        }
        match code {
            Some(code) => metrics.closed[code.index()].add(1),
            None => metrics.closed_otherwise.add(1),
        }
        if let End::Close(code) = self.end {
            if !matches!(code, CloseCode::Done | CloseCode::Draining) {
                let remote = self.connection.remote_address();
                self.context.log_cause(code.name(), &remote);
            }
            handshake::close(&self.connection, code);
        }
    }
}

impl Drop for Session {
    /// Counts the records that were received and not acknowledged, however the session ends.
    fn drop(&mut self) {
        let (code, unacknowledged) = (self.end.code(&self.connection), self.core.unacknowledged());
        let metrics = &self.context.metrics;
        metrics.unacknowledged.add(code, unacknowledged);
    }
}

impl Session {
    /// Serves until the session ends, beginning with the bytes that followed the Hello.
    async fn serve(&mut self, rest: bytes::Bytes) -> End {
        tracing::debug!(remote = %self.core.entry.remote, "session opened");
        let mut turn = self.take_chunk(&rest).await;
        loop {
            match turn {
                Ok(()) => turn = self.turn().await,
                Err(end) => {
                    tracing::debug!(?end, frames = self.core.totals().frames, "session ended");
                    return end;
                }
            }
        }
    }

    /// One iteration: acknowledges durable frames, ends if the session is over, waits for an event and handles it.
    async fn turn(&mut self) -> Result<(), End> {
        self.check_phase().await?;
        self.acknowledge().await?;
        if let Some(code) = self.core.is_over() {
            return Err(Box::pin(self.end_in_order(code)).await);
        }
        match self.wake().await? {
            Wake::Chunks(count) => self.take(count).await,
            Wake::EndOfStream => {
                self.core.end_of_stream()?;
                Ok(())
            }
            Wake::Progress | Wake::Phase => Ok(()),
            Wake::FrameTimeout => Err(CloseCode::FrameTimeout.into()),
        }
    }

    /// Waits for bytes, durability, or a change of phase, whichever comes first.
    async fn wake(&mut self) -> Result<Wake, End> {
        let reading = self.core.is_reading();
        let timeout = self.context.config.frame_timeout.get();
        let frame_deadline = self.frame_since.map(|(_, since)| since + timeout);
        let in_flight = self.core.in_flight() > 0;
        tokio::select! {
            read = self.receive.read_chunks(&mut self.chunks), if reading => match read {
                Ok(Some(count)) => {
                    self.core.note_read();
                    Ok(Wake::Chunks(count))
                }
                Ok(None) => Ok(Wake::EndOfStream),
                Err(error) => Err(error.into()),
            },
            () = self.core.window.progress(), if in_flight => Ok(Wake::Progress),
            changed = self.phase.changed() => match changed {
                Ok(()) => Ok(Wake::Phase),
                Err(_) => Err(CloseCode::Draining.into()),
            },
            () = until(frame_deadline), if reading => Ok(Wake::FrameTimeout),
            _ = self.connection.closed(), if !reading => Err(End::Gone),
        }
    }

    /// Checks phase and tenant in every iteration, so that no change is missed, whichever wait consumed its notification.
    async fn check_phase(&mut self) -> Result<(), End> {
        if self.core.tenant_is_gone() {
            return Err(CloseCode::UnknownTenant.into());
        }
        let phase = *self.phase.borrow_and_update();
        match phase {
            Phase::Starting | Phase::Serving => Ok(()),
            Phase::Poisoned => Err(CloseCode::StoreUnavailable.into()),
            Phase::Draining if self.core.drain() => self.write_out().await,
            Phase::Draining => Ok(()),
        }
    }

    /// Decodes the chunks that were read.
    async fn take(&mut self, count: usize) -> Result<(), End> {
        for index in 0..count {
            let chunk = std::mem::take(&mut self.chunks[index]);
            self.take_chunk(&chunk).await?;
        }
        Ok(())
    }

    /// Decodes a whole chunk, and waits for inbox capacity where needed.
    async fn take_chunk(&mut self, chunk: &[u8]) -> Result<(), End> {
        let mut rest = chunk;
        while self.core.take(&mut rest)? == Take::Blocked {
            Box::pin(self.wait_for_room()).await?;
        }
        // One clock read per chunk, and only if a frame is incomplete. A client that sends continuously has an
        // incomplete frame at the end of every chunk: the timeout is for that frame.
        self.frame_since = self.core.frame_being_read().map(|frame| {
            let same = self.frame_since.filter(|(number, _)| *number == frame);
            same.unwrap_or_else(|| (frame, Instant::now()))
        });
        Ok(())
    }

    /// Waits until an inbox has accepted the blocked shard batch; sends Busy if that takes long.
    async fn wait_for_room(&mut self) -> Result<(), End> {
        let mut busy_at = Instant::now() + BUSY_AFTER;
        while let Some((inbox, tenant)) = self.core.blocked_on() {
            if self.core.tenant_is_gone() {
                return Err(CloseCode::UnknownTenant.into());
            }
            let in_flight = self.core.in_flight() > 1;
            let full_for_long = tokio::select! {
                () = inbox.room(tenant) => false,
                // Earlier frames are acknowledged in the meantime; the blocked one is still open.
                () = self.core.window.progress(), if in_flight => false,
                () = tokio::time::sleep_until(busy_at) => true,
                end = poisoned(&mut self.phase) => return Err(end),
            };
            self.acknowledge().await?;
            if full_for_long {
                self.core.say_busy(BUSY_RETRY_AFTER_MS);
                self.write_out().await?;
                busy_at = Instant::now() + BUSY_AFTER;
            }
            self.core.offer()?;
        }
        Ok(())
    }

    /// Writes one cumulative ack for what has become durable since the last one.
    async fn acknowledge(&mut self) -> Result<(), End> {
        if self.core.acknowledge() {
            kill_point("ingest.ack.before_write");
            self.write_out().await?;
            kill_point("ingest.ack.after_write");
        }
        Ok(())
    }

    /// Ends a session in order: waits for its handshake, so that the client has a ticket for its next connection, sends
    /// the last frame, and waits until it is delivered.
    async fn end_in_order(&mut self, code: CloseCode) -> End {
        if let Some(handshake) = self.handshake.take()
            && tokio::time::timeout(DELIVERY_MAX, handshake.end()).await == Ok(false)
        {
            return CloseCode::HelloTimeout.into();
        }
        if let Err(end) = self.write_out().await {
            return end;
        }
        // Fails only if the stream is already finished or reset.
        let _ = self.send.finish();
        // On timeout the connection is closed anyway.
        let _ = tokio::time::timeout(DELIVERY_MAX, self.send.stopped()).await;
        End::Close(code)
    }

    /// Writes and clears `out`. A client that does not read its acks has the timeout of a frame.
    async fn write_out(&mut self) -> Result<(), End> {
        let timeout = self.context.config.frame_timeout.get();
        let written = tokio::time::timeout(timeout, self.send.write_all(self.core.out())).await;
        self.core.out().clear();
        match written {
            Ok(written) => Ok(written?),
            Err(_) => Err(CloseCode::FrameTimeout.into()),
        }
    }
}

/// Resolves when the store is poisoned. A drain does not end the wait: frames that were read are completed.
async fn poisoned(phase: &mut watch::Receiver<Phase>) -> End {
    match phase.wait_for(|phase| *phase == Phase::Poisoned).await {
        Ok(_) => CloseCode::StoreUnavailable.into(),
        Err(_) => CloseCode::Draining.into(),
    }
}

/// Sleeps until a deadline, or forever.
async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
