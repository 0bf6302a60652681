//! A reconnect storm: closed connections are reopened, all at once or within a short time, with check-ins to send.
//!
//! Latencies are measured from the time at which a connection was to be reopened, so they include handshakes and
//! backoff.

use muster_client::{Client, ClientError, Endpoint};
use tokio::time::{Instant, sleep_until};

use super::{
    fleet_connection::FleetConnection,
    sender::{SendResult, Sender},
};

/// Reopens a closed connection at the given time, and sends.
pub(super) async fn reconnect(
    mut sender: Sender,
    mut connection: FleetConnection,
    endpoint: &Endpoint,
    at: Instant,
) -> Result<(FleetConnection, SendResult), ClientError> {
    sleep_until(at).await;
    sender.due_since(at);
    let client = Client::connect_over(endpoint, connection.config.clone()).await?;
    connection.client = Some(client);
    let result = sender.run(&mut connection).await?;
    Ok((connection, result))
}
