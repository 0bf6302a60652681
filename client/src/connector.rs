//! Certificates that are read once, for any number of short connections.
//!
//! Purpose: a device that connects for every check-in should not parse its certificate and verify the server's every
//! time. A connector keeps the TLS sessions of earlier connections, which shorten the next handshake. Owner: the
//! program; clones share their sessions. Bounds: a few sessions, each used once and for at most a day. They are secret
//! and never written to disk. What it does not do: keep a connection open.

use std::sync::Arc;

use muster_wire::{CheckInRecord, DeviceId};
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    client::{Client, check_ins_frame},
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

/// Connects as one identity to one server, any number of times.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    dialler: Dialler,
    stored_seqs: StoredSeqs,
}

impl Connector {
    /// Reads the certificates. Connections will run over the socket of `endpoint`.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] or [`ClientError::Credentials`].
    pub fn new(endpoint: &Endpoint, config: ClientConfig) -> Result<Self, ClientError> {
        Ok(Self {
            dialler: Dialler::new(endpoint, &config)?,
            config: Arc::new(config),
            stored_seqs: StoredSeqs::default(),
        })
    }

    /// Connects; see [`Client::connect`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(&self) -> Result<Client, ClientError> {
        let stored_seqs = self.stored_seqs.clone();
        Client::start(self.dialler.clone(), &self.config, stored_seqs).await
    }

    /// The seq of the device's next check-in; see [`Client::next_seq`]. It covers all connections of this connector and
    /// of its clones.
    pub fn next_seq(&self, device_id: DeviceId, own: u64) -> u64 {
        self.stored_seqs.next(device_id, own)
    }

    /// Connects, sends one frame of check-ins, waits until every record is durable or rejected, and closes the
    /// connection. Reconnects if the connection is lost, like a [`Client`]. The returned progress counts rejected
    /// records; use a [`Client`] to receive the reasons. If a check-in was stale, [`Connector::next_seq`] knows the
    /// stored seq, at the latest after the next call, which then uses no early data: a server does not list stale
    /// records in a session that began with early data.
    ///
    /// ```no_run
    /// use muster_client::{ClientConfig, ClientError, Connector, Endpoint, Pem};
    /// use muster_wire::CheckInRecord;
    ///
    /// # async fn check_in(record: CheckInRecord) -> Result<(), ClientError> {
    /// let server = ([127, 0, 0, 1], 4433).into();
    /// let config = ClientConfig::new(server, Pem::file("pki/ca.pem"), Pem::file("me.pem"));
    /// let connector = Connector::new(&Endpoint::for_server(server)?, config)?;
    /// let progress = connector.check_in_once(&[record]).await?;
    /// println!("check in again in {} s", progress.next_check_in_seconds);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`ClientError::InvalidFrame`] for no records or more than fit into a frame, [`ClientError::CloseTimeout`] if the
    /// frame is not acknowledged within `close_timeout` after the connection was opened, or why a [`Client`] would end.
    pub async fn check_in_once(&self, records: &[CheckInRecord]) -> Result<Progress, ClientError> {
        let mut window = Window::new(self.config.window_frames);
        window.push(check_ins_frame(records)?);
        // No more frames follow, and no receiver exists for the rejections.
        let (_, frames) = mpsc::channel(1);
        let (rejections, _) = mpsc::channel(1);
        let (status_sender, status) = watch::channel(Status::default());
        let outbox = Outbox {
            frames,
            is_closing: true,
            window,
            status: status_sender,
            rejections,
            stored_seqs: self.stored_seqs.clone(),
        };
        outbox.update(|progress| progress.frames_submitted = 1);
        let mut driver = Driver::new(self.dialler.clone(), &self.config, outbox);
        let connection = driver.connect_first().await?;
        let ended = timeout(self.config.close_timeout, driver.run(connection)).await;
        let progress = status.borrow().progress;
        match ended {
            Ok(result) => result.map(|()| progress),
            Err(_) => Err(ClientError::CloseTimeout {
                unacknowledged: 1 - progress.frames_acked,
            }),
        }
    }
}
