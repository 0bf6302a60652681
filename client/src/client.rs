//! The client handle: connect, send, watch progress, close.
//!
//! Owner: the caller. The connection belongs to a task (see `driver`), so the methods only wait for a channel or read
//! a number. Bounds: one frame in the channel and `window_frames` unacknowledged ones. What it does not do: assign
//! sequence numbers or timestamps; a device numbers its own check-ins, across restarts too.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use muster_wire::{
    CheckInRecord, DeviceId, FrameHeader, FrameKind, Inventory, Rejection, Role, encode_check_ins,
    encode_inventory,
    limits::{CHECK_IN_BYTES, CHECK_INS_PER_FRAME_MAX, HEADER_BYTES},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::timeout,
};

use crate::{
    config::ClientConfig,
    connection::Dialler,
    driver::Driver,
    endpoint::Endpoint,
    error::ClientError,
    progress::{Progress, Status},
    session::Outbox,
    stored_seqs::StoredSeqs,
    window::Window,
};

/// A connected device or gateway. Dropping it closes the connection at once and abandons unacknowledged frames; use
/// [`Client::close`] for a graceful end.
#[derive(Debug)]
pub struct Client {
    frames: mpsc::Sender<Bytes>,
    /// Frames that the channel has accepted.
    submitted: AtomicU64,
    stored_seqs: StoredSeqs,
    status: watch::Receiver<Status>,
    /// `None` once taken.
    rejections: Option<mpsc::Receiver<Rejection>>,
    driver: DriverTask,
    close_timeout: Duration,
}

/// The task of the driver, aborted on drop.
#[derive(Debug)]
struct DriverTask(JoinHandle<Result<(), ClientError>>);

impl Drop for DriverTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The records that the server rejected, in the order of its acks, and the stale ones that it lists with the stored
/// number ([`Rejection::is_stale`]); see [`Client::take_rejections`].
#[derive(Debug)]
pub struct Rejections(mpsc::Receiver<Rejection>);

impl Rejections {
    /// Waits for the next rejection; `None` once the client has ended and all rejections were received.
    pub async fn recv(&mut self) -> Option<Rejection> {
        self.0.recv().await
    }

    /// The next rejection if one has already arrived.
    pub fn try_recv(&mut self) -> Option<Rejection> {
        self.0.try_recv().ok()
    }
}

/// A view of a client's [`Progress`] for another task; see [`Client::watch`].
#[derive(Debug, Clone)]
pub struct ProgressWatch(watch::Receiver<Status>);

impl ProgressWatch {
    /// The current progress.
    pub fn progress(&self) -> Progress {
        self.0.borrow().progress
    }

    /// Waits for a change and returns the new progress; `None` once the client has ended.
    pub async fn changed(&mut self) -> Option<Progress> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().progress)
    }
}

impl Client {
    /// Reads the certificates, opens a UDP socket and connects. Retries temporary failures until `offline_timeout`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let endpoint = Endpoint::for_server(config.server)?;
        Self::connect_over(&endpoint, config).await
    }

    /// Like [`Client::connect`], over a socket that other clients may share.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_over(
        endpoint: &Endpoint,
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        let stored_seqs = StoredSeqs::default();
        Self::start(Dialler::new(endpoint, &config)?, &config, stored_seqs).await
    }

    pub(crate) async fn start(
        dialler: Dialler,
        config: &ClientConfig,
        stored_seqs: StoredSeqs,
    ) -> Result<Self, ClientError> {
        let (frames, frames_receiver) = mpsc::channel(1);
        let (rejections_sender, rejections) = mpsc::channel(config.rejections_max);
        let (status_sender, status) = watch::channel(Status::default());
        let outbox = Outbox {
            frames: frames_receiver,
            is_closing: false,
            window: Window::new(config.window_frames),
            status: status_sender,
            rejections: rejections_sender,
            stored_seqs: stored_seqs.clone(),
        };
        let mut driver = Driver::new(dialler, config, outbox);
        let connection = driver.connect_first().await?;
        Ok(Self {
            frames,
            submitted: AtomicU64::new(0),
            stored_seqs,
            status,
            rejections: Some(rejections),
            driver: DriverTask(tokio::spawn(driver.run(connection))),
            close_timeout: config.close_timeout,
        })
    }

    /// Sends check-ins in as few frames as the server allows, and waits while the window is full. The client owns the
    /// records when this returns; [`Client::flush`] waits until they are durable.
    ///
    /// # Errors
    /// Why the client has ended. Earlier frames of the same call may have been sent.
    pub async fn send(&self, records: &[CheckInRecord]) -> Result<(), ClientError> {
        for records in records.chunks(self.check_ins_per_frame_max()) {
            self.submit(check_ins_frame(records)?).await?;
        }
        Ok(())
    }

    /// Sends the inventory of a device.
    ///
    /// # Errors
    /// [`ClientError::InvalidInventory`], or why the client has ended.
    pub async fn send_inventory(&self, inventory: &Inventory) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        encode_inventory(&mut bytes, &inventory.to_bytes()?)
            .map_err(|_| ClientError::InvalidFrame("the inventory is too long"))?;
        self.submit(bytes.into()).await
    }

    /// Sends one encoded CheckIns or Inventory frame, header included, without copying it. Only the header is
    /// validated. Cancel safe: if the future is dropped before it completes, the frame was not submitted.
    ///
    /// # Errors
    /// [`ClientError::InvalidFrame`], or why the client has ended.
    pub async fn send_frame(&self, frame: Bytes) -> Result<(), ClientError> {
        check_frame(&frame, self.check_ins_per_frame_max()).map_err(ClientError::InvalidFrame)?;
        self.submit(frame).await
    }

    async fn submit(&self, frame: Bytes) -> Result<(), ClientError> {
        if self.frames.send(frame).await.is_err() {
            return Err(self.failure());
        }
        // Relaxed: read only by `flush` and `close` of the same handle, and nothing else is published with it.
        self.submitted.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until every frame sent before this call is acknowledged: each record is durable or rejected.
    ///
    /// # Errors
    /// Why the client ended before that.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let frames = self.submitted.load(Ordering::Relaxed);
        let mut status = self.status.clone();
        status
            .wait_for(|status| status.progress.frames_acked >= frames)
            .await
            .map(drop)
            .map_err(|_| self.failure())
    }

    /// Sends the remaining frames and a Goodbye, waits for the last acks and the server's Goodbye, and closes the
    /// connection. Takes at most `close_timeout`.
    ///
    /// # Errors
    /// [`ClientError::CloseTimeout`], or why the client had ended before.
    pub async fn close(self) -> Result<Progress, ClientError> {
        let Self {
            frames,
            submitted,
            status,
            mut driver,
            close_timeout,
            ..
        } = self;
        // A closed channel tells the driver to send the remaining frames and end.
        drop(frames);
        let ended = timeout(close_timeout, &mut driver.0).await;
        let progress = status.borrow().progress;
        match ended {
            Ok(Ok(result)) => result.map(|()| progress),
            Ok(Err(_)) => Err(ClientError::Stopped),
            Err(_) => {
                let submitted = submitted.load(Ordering::Relaxed);
                let unacknowledged = submitted.saturating_sub(progress.frames_acked);
                Err(ClientError::CloseTimeout { unacknowledged })
            }
        }
    }

    /// The current progress.
    pub fn progress(&self) -> Progress {
        self.status.borrow().progress
    }

    /// A view of the progress for another task. It stays valid after the client is dropped.
    pub fn watch(&self) -> ProgressWatch {
        ProgressWatch(self.status.clone())
    }

    /// The seq of the device's next check-in. `own` is the device's own choice: one more than its last seq. If an ack
    /// showed that the device is behind, the result is at least the stored seq + 1; if it showed that the device is too
    /// far ahead, the result is the stored seq + 1. The device stores the result as its last seq. Call it for a
    /// check-in that is read from the device now; never send an earlier one again under another seq.
    pub fn next_seq(&self, device_id: DeviceId, own: u64) -> u64 {
        self.stored_seqs.next(device_id, own)
    }

    /// The receiver of the rejected and the listed stale records; `None` if it was taken before. It buffers up to
    /// `rejections_max` rejections; further ones are dropped and counted in [`Progress::rejections_dropped`].
    pub fn take_rejections(&mut self) -> Option<Rejections> {
        self.rejections.take().map(Rejections)
    }

    fn check_ins_per_frame_max(&self) -> usize {
        let server = self.status.borrow().progress.check_ins_per_frame_max;
        usize::try_from(server)
            .unwrap_or(usize::MAX)
            .clamp(1, CHECK_INS_PER_FRAME_MAX)
    }

    /// Why the driver has ended.
    fn failure(&self) -> ClientError {
        self.status
            .borrow()
            .failure
            .clone()
            .unwrap_or(ClientError::Stopped)
    }
}

/// A CheckIns frame with these records.
pub(crate) fn check_ins_frame(records: &[CheckInRecord]) -> Result<Bytes, ClientError> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len() * CHECK_IN_BYTES);
    encode_check_ins(&mut bytes, records)
        .map_err(|_| ClientError::InvalidFrame("it has no check-ins, or too many for one frame"))?;
    Ok(bytes.into())
}

fn check_frame(frame: &Bytes, check_ins_max: usize) -> Result<(), &'static str> {
    let header = frame
        .first_chunk::<HEADER_BYTES>()
        .ok_or("it is shorter than a frame header")?;
    let header =
        FrameHeader::from_bytes(header).map_err(|_| "its header has an unknown kind or flag")?;
    if !matches!(header.kind, FrameKind::CheckIns | FrameKind::Inventory) {
        return Err("only CheckIns and Inventory frames can be sent");
    }
    if header.check(Role::Server).is_err() || usize::from(header.count) > check_ins_max {
        return Err("its count or length is not allowed");
    }
    if usize::try_from(header.length) != Ok(frame.len() - HEADER_BYTES) {
        return Err("its length differs from the length in its header");
    }
    Ok(())
}

// Tasks of a multi-threaded runtime may share a client.
const _: () = {
    const fn assert_send_and_sync<T: Send + Sync>() {}
    assert_send_and_sync::<Client>();
};

#[cfg(test)]
mod tests {
    use super::*;

    fn check_ins(count: usize) -> Vec<u8> {
        let header = muster_wire::encode_check_ins_header(count).unwrap();
        let mut bytes = header.to_vec();
        bytes.resize(HEADER_BYTES + count * CHECK_IN_BYTES, 7);
        bytes
    }

    #[test]
    fn frames_that_a_server_would_refuse_are_refused_before_they_are_sent() {
        assert!(check_frame(&check_ins(3).into(), 4096).is_ok());
        let mut goodbye = Vec::new();
        let code = muster_wire::CloseCode::Done;
        muster_wire::encode_goodbye(&mut goodbye, muster_wire::Goodbye::new(code, 0));
        let cut = check_ins(3)[..100].to_vec();
        let two = [check_ins(1), check_ins(1)].concat();
        for (frame, max) in [
            (Vec::new(), 4096),
            (vec![0; 8], 4096),
            (goodbye, 4096),
            (cut, 4096),
            (two, 4096),
            (check_ins(3), 2),
        ] {
            let result = check_frame(&frame.into(), max);
            assert!(result.is_err(), "{result:?}");
        }
    }
}
