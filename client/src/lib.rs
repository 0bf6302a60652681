//! The client SDK of Muster, embedded by device agents and gateways to send check-ins.
//!
//! A [`Client`] keeps one QUIC connection with mutual TLS to a server. It sends frames of check-ins and inventory
//! within a window and learns from the server's cumulative acks what is durable. A lost connection is reopened with
//! jittered backoff, and every unacknowledged frame is sent again unchanged; the server counts a check-in once, by
//! device and sequence number.
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
//! config.offline_timeout = Some(Duration::from_secs(300));
//! let mut client = Client::connect(config).await?;
//!
//! let check_in = CheckIn {
//!     device_id: "6f1c2b9e-58d4-4c6e-9a53-0d1f6f0c7b21".parse()?,
//!     seq: 1, // increments with every check-in and survives restarts of the device
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
//! client.flush().await?; // now durable, or rejected
//! if let Some(rejection) = client.take_rejections().and_then(|mut rejections| rejections.try_recv()) {
//!     eprintln!("{} was rejected: {:?}", rejection.device_id, rejection.reason());
//! }
//! let next_seconds = client.close().await?.next_check_in_seconds;
//! # let _ = next_seconds;
//! # Ok(())
//! # }
//! ```
//!
//! A device that checks in every few hours keeps a [`Connector`] instead and calls [`Connector::check_in_once`]. Every
//! call opens a short connection that resumes the TLS session of the previous one.
//!
//! # Guarantees
//! - When [`Client::flush`] returns, every frame sent before the call is durable on the server.
//! - Frames reach the server in the order in which they were sent, even across reconnects.
//! - The window bounds memory; [`Client::send`] waits while it is full.
//! - The client honours Busy and Goodbye from the server. An error that a retry cannot fix is returned as a
//!   [`ClientError`] that says what to do.
//!
//! # Sequence numbers
//! A device numbers its check-ins, and calls [`Client::next_seq`] (or [`Connector::next_seq`]) before it creates the
//! next one: if the server has reported that the seqs of the device are behind or too far ahead, the result continues
//! after the stored seq. Unsent check-ins of the device that would be refused are dropped. A check-in that was read
//! earlier must never be sent under a new seq, because it may no longer be the state of the device. A gateway that does
//! not number the check-ins itself reads the stored seq from [`muster_wire::Rejection::stored`] of its [`Rejections`],
//! and passes it to the device.
//!
//! # Limits
//! The client stores nothing: frames that are unacknowledged when the process ends are lost. A device that must not
//! lose them keeps them until [`Client::flush`] returns. The client does not evaluate check-ins.
#![forbid(unsafe_code)]

mod backoff;
mod client;
mod config;
mod connection;
mod connector;
mod driver;
mod endpoint;
mod error;
#[cfg(feature = "non-reading")]
mod non_reading;
#[cfg(feature = "null-server")]
mod null_server;
mod progress;
mod session;
mod stored_seqs;
#[cfg(feature = "testing")]
pub mod testing;
mod tls;
mod window;

pub use bytes::Bytes;
pub use client::{Client, ProgressWatch, Rejections};
pub use config::{ClientConfig, Pem};
pub use connector::Connector;
pub use endpoint::Endpoint;
pub use error::{ClientError, Disconnect};
#[cfg(feature = "non-reading")]
pub use non_reading::NonReadingClient;
#[cfg(feature = "null-server")]
pub use null_server::NullServer;
pub use progress::Progress;
pub use window::AckError;
