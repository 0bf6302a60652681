//! The handle a program holds: connect, send, see how far it came, close.
//!
//! Owner: the caller. The connection itself belongs to a task (see `driver`), so the methods only
//! wait for a channel or a number. Bounds: one frame waits in the channel, `window_frames` are on
//! their way. What it does not do: it makes neither sequence numbers nor times; a device counts its
//! own check-ins, also across restarts.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use bytes::Bytes;
use muster_wire::{
    CheckInRecord, FrameHeader, FrameKind, Inventory, Rejection, Role, encode_check_ins,
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
    connector::Connector,
    endpoint::Endpoint,
    error::ClientError,
    progress::{Progress, Status},
    session::Outbox,
    window::Window,
};

/// A connected device or gateway. Dropping it abandons what is not acknowledged; see
/// [`Client::close`].
#[derive(Debug)]
pub struct Client {
    /// `None` once closed.
    frames: mpsc::Sender<Bytes>,
    /// Frames the channel has taken.
    handed_over: AtomicU64,
    status: watch::Receiver<Status>,
    rejections: Option<mpsc::Receiver<Rejection>>,
    driver: Task,
    close_timeout: std::time::Duration,
}

/// The driver's task; it ends with its owner.
#[derive(Debug)]
struct Task(JoinHandle<Result<(), ClientError>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The records a server refused, in the order of its acks; from [`Client::take_rejections`].
#[derive(Debug)]
pub struct Rejections(mpsc::Receiver<Rejection>);

impl Rejections {
    /// The next one; `None` once the client has ended and all are taken.
    pub async fn next(&mut self) -> Option<Rejection> {
        self.0.recv().await
    }

    /// The next one that is already here.
    pub fn try_next(&mut self) -> Option<Rejection> {
        self.0.try_recv().ok()
    }
}

/// A view of a client's [`Progress`] for other tasks; from [`Client::watch`].
#[derive(Debug, Clone)]
pub struct ProgressWatch(watch::Receiver<Status>);

impl ProgressWatch {
    /// The numbers now.
    pub fn progress(&self) -> Progress {
        self.0.borrow().progress
    }

    /// Waits for a change and returns the numbers then; `None` once the client has ended.
    pub async fn changed(&mut self) -> Option<Progress> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().progress)
    }
}

impl Client {
    /// Reads the certificates, opens a socket and connects. Failures that may pass are tried again
    /// until `offline_max`.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(config: ClientConfig) -> Result<Self, ClientError> {
        let endpoint = Endpoint::for_server(config.server)?;
        Self::connect_over(&endpoint, config).await
    }

    /// Like [`Client::connect`], over a socket shared with other clients.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect_over(
        endpoint: &Endpoint,
        config: ClientConfig,
    ) -> Result<Self, ClientError> {
        Connector::new(endpoint, config)?.connect().await
    }

    pub(crate) async fn connect_with(connector: &Connector) -> Result<Self, ClientError> {
        let config = connector.config();
        let (frames, frames_receiver) = mpsc::channel(1);
        let (rejections_sender, rejections) = mpsc::channel(config.rejections_max);
        let (status_sender, status) = watch::channel(Status::default());
        let mut driver = connector.driver(Outbox {
            frames: frames_receiver,
            is_closing: false,
            window: Window::new(config.window_frames),
            status: status_sender,
            rejections: rejections_sender,
        });
        let connection = driver.connect_first().await?;
        Ok(Self {
            frames,
            handed_over: AtomicU64::new(0),
            status,
            rejections: Some(rejections),
            driver: Task(tokio::spawn(driver.run(connection))),
            close_timeout: config.close_timeout,
        })
    }

    /// Sends check-ins, in as few frames as the server allows. Waits while the window is full;
    /// returning means that the client has taken them over, not that they are durable: that is
    /// [`Client::flush`].
    ///
    /// # Errors
    /// The reason why the client has ended. Frames before the failing one have been taken over.
    pub async fn send(&self, records: &[CheckInRecord]) -> Result<(), ClientError> {
        for records in records.chunks(self.check_ins_per_frame_max()) {
            self.hand_over(check_in_frame(records)?).await?;
        }
        Ok(())
    }

    /// Sends what is known of a device beyond its check-ins.
    ///
    /// # Errors
    /// [`ClientError::InvalidInventory`], or the reason why the client has ended.
    pub async fn send_inventory(&self, inventory: &Inventory) -> Result<(), ClientError> {
        let mut bytes = Vec::new();
        encode_inventory(&mut bytes, &inventory.to_bytes()?)
            .map_err(|_| ClientError::InvalidFrame("its length"))?;
        self.hand_over(bytes.into()).await
    }

    /// Sends one encoded CheckIns or Inventory frame, header included, without copying it. Only the
    /// header is looked at. Cancel safe: a call that is dropped has not taken the frame over.
    ///
    /// # Errors
    /// [`ClientError::InvalidFrame`], or the reason why the client has ended.
    pub async fn send_frame(&self, frame: Bytes) -> Result<(), ClientError> {
        check_frame(&frame, self.check_ins_per_frame_max())?;
        self.hand_over(frame).await
    }

    async fn hand_over(&self, frame: Bytes) -> Result<(), ClientError> {
        if self.frames.send(frame).await.is_err() {
            return Err(self.failure());
        }
        // Read by `flush` of the same handle only; nothing else is published by it.
        self.handed_over.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// Waits until everything sent before is durable.
    ///
    /// # Errors
    /// The reason why the client has ended before that.
    pub async fn flush(&self) -> Result<(), ClientError> {
        let frames = self.handed_over.load(Ordering::Relaxed);
        let mut status = self.status.clone();
        status
            .wait_for(|status| status.progress.frames_acked >= frames)
            .await
            .map(drop)
            .map_err(|_| self.failure())
    }

    /// Says Goodbye: sends what is left, waits for its acks and for the server's answer, and closes.
    /// Waits `close_timeout` at most.
    ///
    /// # Errors
    /// [`ClientError::CloseTimeout`], or the reason why the client has ended before.
    pub async fn close(self) -> Result<Progress, ClientError> {
        let Self {
            frames,
            handed_over,
            status,
            mut driver,
            close_timeout,
            ..
        } = self;
        // The driver takes the end of the channel for the wish to close.
        drop(frames);
        let ended = timeout(close_timeout, &mut driver.0).await;
        let progress = status.borrow().progress;
        match ended {
            Ok(Ok(result)) => result.map(|()| progress),
            Ok(Err(_)) => Err(ClientError::Stopped),
            Err(_) => {
                let handed_over = handed_over.load(Ordering::Relaxed);
                let unacknowledged = handed_over.saturating_sub(progress.frames_acked);
                Err(ClientError::CloseTimeout { unacknowledged })
            }
        }
    }

    /// How far the client has come.
    pub fn progress(&self) -> Progress {
        self.status.borrow().progress
    }

    /// A view of the progress for another task, which outlives the handle.
    pub fn watch(&self) -> ProgressWatch {
        ProgressWatch(self.status.clone())
    }

    /// The details of refused records, once. If nobody takes them, they are dropped beyond
    /// `rejections_max`; the totals stay exact.
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

/// The frame of so many check-ins.
pub(crate) fn check_in_frame(records: &[CheckInRecord]) -> Result<Bytes, ClientError> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + records.len() * CHECK_IN_BYTES);
    encode_check_ins(&mut bytes, records)
        .map_err(|_| ClientError::InvalidFrame("its number of records"))?;
    Ok(bytes.into())
}

fn check_frame(frame: &Bytes, check_ins_max: usize) -> Result<(), ClientError> {
    let fault = |what| Err(ClientError::InvalidFrame(what));
    let Some(header) = frame.first_chunk::<HEADER_BYTES>() else {
        return fault("it is shorter than a header");
    };
    let Ok(header) = FrameHeader::from_bytes(header) else {
        return fault("its header");
    };
    if !matches!(header.kind, FrameKind::CheckIns | FrameKind::Inventory) {
        return fault("only CheckIns and Inventory are sent this way");
    }
    if header.check(Role::Server).is_err() || usize::from(header.count) > check_ins_max {
        return fault("its count or length");
    }
    if usize::try_from(header.length) != Ok(frame.len() - HEADER_BYTES) {
        return fault("its length is not that of the header");
    }
    Ok(())
}

// A client may be shared by tasks of a multi-threaded runtime.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Arc<Client>>();
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
            assert!(
                matches!(result, Err(ClientError::InvalidFrame(_))),
                "{result:?}"
            );
        }
    }
}
