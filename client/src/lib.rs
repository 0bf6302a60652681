//! The SDK of Muster: what a device agent or a gateway embeds to check in.
//!
//! A [`Client`] keeps one QUIC connection with mutual TLS to a server, sends frames of check-ins
//! and inventory within a window, and knows from the server's cumulative acks what is durable. A
//! lost connection is opened again with jittered back-off, and everything that is not acknowledged
//! is sent again as it was; the server counts a check-in once, by device and sequence number.
//!
//! ```no_run
//! use std::time::{Duration, SystemTime, UNIX_EPOCH};
//!
//! use muster_client::{Client, ClientConfig, Pem};
//! use muster_wire::{CheckIn, Flags, ManagementAgent, Onboarding, PartnerThreatState, Platform, Risk};
//!
//! # async fn check_in() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config =
//!     ClientConfig::new("127.0.0.1:4433".parse()?, Pem::file("pki/ca.pem"), Pem::file("me.pem"));
//! config.offline_max = Some(Duration::from_secs(300));
//! let mut client = Client::connect(config).await?;
//!
//! let check_in = CheckIn {
//!     device_id: "6f1c2b9e-58d4-4c6e-9a53-0d1f6f0c7b21".parse()?,
//!     seq: 1, // one more for every check-in, kept across restarts
//!     sent_at_ms: u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis())?,
//!     boot_id: 7,
//!     payload: 0,
//!     flags: Flags::SENSOR_RUNNING | Flags::COMMAND_AND_CONTROL_OK | Flags::TELEMETRY_OK,
//!     risk: Risk::Low,
//!     partner_threat_state: PartnerThreatState::Unknown,
//!     onboarding: Onboarding::Onboarded,
//!     platform: Platform::Linux,
//!     management_agent: ManagementAgent::MsSense,
//! };
//! let record = check_in.to_record().expect("neither device_id nor seq is zero");
//! client.send(&[record]).await?;
//! client.flush().await?; // durable now, or refused
//! if let Some(rejection) = client.take_rejections().and_then(|mut all| all.try_next()) {
//!     eprintln!("{} refused: {:?}", rejection.device_id, rejection.reason());
//! }
//! let next_seconds = client.close().await?.next_check_in_seconds;
//! # let _ = next_seconds;
//! # Ok(())
//! # }
//! ```
//!
//! A device that checks in every some hours keeps a [`Connector`] instead and calls
//! [`Connector::check_in_once`]: each time a connection of its own, short because it resumes the TLS session of the
//! one before.
//!
//! # What a caller can rely on
//! - [`Client::flush`] returns when every frame sent before is on the server's disk.
//! - Frames reach the server in the order in which they were sent, also across reconnects.
//! - Memory is bounded by the window; [`Client::send`] waits when it is full.
//! - Busy and Goodbye of a server are honoured; a refusal that another attempt cannot change is a
//!   [`ClientError`] that says who must act.
//!
//! # What it does not do
//! It stores nothing: frames that are not acknowledged when the process ends are lost, and a device
//! that must not lose them keeps them until [`Client::flush`] returns. It judges no check-in.
#![forbid(unsafe_code)]

mod back_off;
mod client;
mod config;
mod connection;
mod connector;
#[cfg(feature = "deaf")]
mod deaf;
mod driver;
mod endpoint;
mod error;
mod progress;
mod session;
#[cfg(feature = "sink")]
mod sink;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod window;

pub use bytes::Bytes;
pub use client::{Client, ProgressWatch, Rejections};
pub use config::{ClientConfig, Pem};
pub use connector::Connector;
#[cfg(feature = "deaf")]
pub use deaf::DeafClient;
pub use endpoint::Endpoint;
pub use error::{ClientError, Disconnect};
pub use progress::Progress;
#[cfg(feature = "sink")]
pub use sink::Sink;
pub use window::AckFault;
