//! Certificates read once, for any number of connections that come and go.
//!
//! Purpose: a device that connects for each check-in must neither parse its certificate each time nor prove it
//! each time: TLS sessions of earlier connections live here and make the next handshake short. Owner: the program;
//! a clone is the same connector. Bounds: a few sessions, each used once, for a day at most; they are secrets and
//! are never written anywhere. What it does not do: hold a connection.

use std::sync::Arc;

use muster_wire::CheckInRecord;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};

use crate::{
    back_off::BackOff,
    client::{Client, check_in_frame},
    config::ClientConfig,
    connection::Dialler,
    driver::Driver,
    endpoint::Endpoint,
    error::ClientError,
    progress::{Progress, Status},
    session::Outbox,
    tls,
    window::Window,
};

/// What it takes to connect as one identity to one server, again and again.
#[derive(Debug, Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    dialler: Dialler,
}

impl Connector {
    /// Reads the certificates. Connections will run over the socket of `endpoint`.
    ///
    /// # Errors
    /// [`ClientError::Configuration`] or [`ClientError::Credentials`].
    pub fn new(endpoint: &Endpoint, config: ClientConfig) -> Result<Self, ClientError> {
        config.check()?;
        let dialler = Dialler {
            endpoint: endpoint.clone(),
            quic: tls::quic_config(&config)?,
            server: config.server,
            server_name: config.server_name.clone(),
            handshake_timeout: config.handshake_timeout,
        };
        Ok(Self {
            config: Arc::new(config),
            dialler,
        })
    }

    /// Connects; see [`Client::connect`].
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn connect(&self) -> Result<Client, ClientError> {
        Client::connect_with(self).await
    }

    /// Connects, sends one frame of check-ins, waits until it is durable or refused, says Goodbye and closes. A
    /// connection that is lost on the way is opened again, like that of a [`Client`]. Records that the server
    /// refused are counted in the answer; who wants their reasons uses a [`Client`].
    ///
    /// # Errors
    /// [`ClientError::InvalidFrame`] for no records or more than a frame takes,
    /// [`ClientError::CloseTimeout`] if the last acknowledgement does not come in `close_timeout` after the
    /// connection was opened, or what a [`Client`] ends with.
    pub async fn check_in_once(&self, records: &[CheckInRecord]) -> Result<Progress, ClientError> {
        let mut window = Window::new(self.config.window_frames);
        window.push(check_in_frame(records)?);
        // Nobody hands over more frames, and nobody reads details of refusals.
        let (_, frames) = mpsc::channel(1);
        let (rejections, _) = mpsc::channel(1);
        let (status_sender, status) = watch::channel(Status::default());
        let outbox = Outbox {
            frames,
            is_closing: true,
            window,
            status: status_sender,
            rejections,
        };
        outbox.update(|progress| progress.frames_taken = 1);
        let mut driver = self.driver(outbox);
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

    pub(crate) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(crate) fn driver(&self, outbox: Outbox) -> Driver {
        Driver {
            dialler: self.dialler.clone(),
            outbox,
            back_off: BackOff::new(self.config.back_off_min, self.config.back_off_max),
            offline_max: self.config.offline_max,
        }
    }
}
