//! A reconnect storm: connections that were cut come back all at once, each with what its devices have to say.
//!
//! Latencies count from when a connection was to come back, so handshakes and back-off are in them.

use muster_client::{Client, ClientError, Endpoint};
use tokio::time::{Instant, sleep_until};

use super::{
    connected::Connected,
    sender::{Sender, Sent},
};

/// Opens a cut connection again at this time, and sends.
pub(super) async fn come_back(
    mut sender: Sender,
    mut connected: Connected,
    endpoint: &Endpoint,
    at: Instant,
) -> Result<(Connected, Sent), ClientError> {
    sleep_until(at).await;
    sender.due_since(at);
    let client = Client::connect_over(endpoint, connected.config.clone()).await?;
    connected.client = Some(client);
    let sent = sender.run(&mut connected).await?;
    Ok((connected, sent))
}
