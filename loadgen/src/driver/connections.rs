//! All connections of a fleet, through its phases: open, inventories, warm-up, measurement, close.
//!
//! Owner: the task that runs the fleet. Bounds: one task per connection, and [`CONNECTING_MAX`] concurrent handshakes.

use std::{sync::Arc, time::Duration};

use muster_client::{Client, ClientConfig, ClientError, Endpoint, Pem, Progress};
use muster_wire::Rejection;
use tokio::{task::JoinSet, time::Instant};

use super::{
    ConnectionSpec, LiveCounters, Load, Measurements, Target,
    fleet_connection::{FleetConnection, sum},
    pacer::Pacer,
    sampler::Sampler,
    sender::{SendResult, SendTimes, Sender},
    storm,
};
use muster_testkit::{clock, fleet::FleetPart};

use crate::{profile::Profile, striped_histograms::StripedHistograms};

/// The maximum number of UDP sockets; connections share them.
const ENDPOINTS_MAX: usize = 16;

/// The maximum number of concurrent handshakes. More would only queue.
const CONNECTING_MAX: usize = 64;

/// The maximum number of rejections in a report.
const REJECTIONS_SHOWN: usize = 20;

/// How long a connection may be lost before the run fails.
const OFFLINE_TIMEOUT: Duration = Duration::from_secs(15);

/// Keeps connections that wait for their turn from being closed as idle.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// All connections of a fleet.
#[derive(Debug)]
pub struct Connections {
    target: Target,
    connections: Vec<FleetConnection>,
    endpoints: Vec<Endpoint>,
    rejections: Vec<Rejection>,
}

impl Connections {
    /// Opens all connections.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn open(target: Target, specs: Vec<ConnectionSpec>) -> Result<Self, ClientError> {
        let endpoints = (0..specs.len().min(ENDPOINTS_MAX))
            .map(|_| Endpoint::for_server(target.server))
            .collect::<Result<Vec<_>, _>>()?;
        let numbered: Vec<_> = specs.into_iter().enumerate().collect();
        let connections = in_parallel(numbered, CONNECTING_MAX, |(number, spec)| {
            let endpoint = endpoints[number % endpoints.len()].clone();
            let config = config(&target, spec.identity);
            async move {
                let client = Client::connect_over(&endpoint, config.clone()).await?;
                Ok(FleetConnection {
                    client: Some(client),
                    config,
                    part: spec.part,
                    frame: spec.frame,
                    inventories: 0,
                    past: Progress::default(),
                })
            }
        })
        .await?;
        Ok(Self {
            target,
            connections,
            endpoints,
            rejections: Vec::new(),
        })
    }

    /// Sends the inventories of the devices that have one.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn send_inventories(&mut self) -> Result<(), ClientError> {
        let all = std::mem::take(&mut self.connections);
        self.connections = in_parallel(all, usize::MAX, send_inventories).await?;
        Ok(())
    }

    /// Runs the warm-up: every device checks in once, as fast as the server takes it. Returns the number of check-ins.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn warm_up(&mut self) -> Result<u64, ClientError> {
        let remaining: Vec<u64> = self
            .connections
            .iter()
            .map(|connection| connection.part.remaining())
            .collect();
        for connection in &mut self.connections {
            connection.part.start_warm_up();
        }
        let measured = self.measure(&Load::closed(), Arc::default()).await?;
        for (connection, remaining) in self.connections.iter_mut().zip(remaining) {
            connection.part.end_warm_up(remaining);
        }
        Ok(measured.acked)
    }

    /// Distributes `check_ins` check-ins over the connections in proportion to their devices.
    pub fn distribute(&mut self, check_ins: u64) {
        let devices: u64 = self
            .connections
            .iter()
            .map(|connection| connection.part.device_count())
            .sum();
        let mut before = 0_u64;
        let end = |number: u64| {
            let part = u128::from(check_ins) * u128::from(number) / u128::from(devices.max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        for connection in &mut self.connections {
            let count = connection.part.device_count();
            connection
                .part
                .set_remaining(end(before + count) - end(before));
            before += count;
        }
    }

    /// The sum of all connections' progress.
    pub fn progress(&self) -> Progress {
        sum(self.connections.iter().map(FleetConnection::progress))
    }

    /// Runs one measured phase, which sends the remaining check-ins of all parts.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn measure(
        &mut self,
        load: &Load,
        live: Arc<LiveCounters>,
    ) -> Result<Measurements, ClientError> {
        let histograms = Arc::new(StripedHistograms::new());
        let total: u64 = self
            .connections
            .iter()
            .map(|connection| connection.part.remaining())
            .sum();
        let count = self.connections.len();
        if load.reconnect_within.is_some() {
            self.disconnect().await?;
        }
        let started = clock::since_epoch();
        let start = Instant::now();
        let end = load.time_max.map(|time_max| start + time_max);
        let numbered: Vec<_> = std::mem::take(&mut self.connections)
            .into_iter()
            .enumerate()
            .collect();
        let senders = in_parallel(numbered, usize::MAX, |(number, mut connection)| {
            let phase = number as f64 / count as f64;
            let share = connection.part.remaining() as f64 / total as f64;
            let pacer = match &load.profile {
                Profile::Steps(steps) => {
                    Some(Pacer::new(start, steps, share, connection.frame, phase))
                }
                Profile::Closed | Profile::Schedule(_) => None,
            };
            let times = SendTimes { start, end, pacer };
            let sender = Sender::new(
                &connection,
                times,
                self.target.window,
                (number, &histograms),
                &live,
            );
            let reopen_at = load
                .reconnect_within
                .map(|within| start + within.mul_f64(phase));
            let endpoint = self.endpoints[number % self.endpoints.len()].clone();
            async move {
                match reopen_at {
                    Some(at) => storm::reconnect(sender, connection, &endpoint, at).await,
                    None => {
                        let result = sender.run(&mut connection).await?;
                        Ok((connection, result))
                    }
                }
            }
        });
        let mut sampler = Sampler::new(&self.target, load, start, &live, &histograms);
        let finished = sampler.sample_while(senders).await?;
        let mut measured = Measurements {
            started,
            ..Measurements::default()
        };
        let mut last_ack = start;
        for (mut connection, result) in finished {
            add_result(&mut measured, &result);
            last_ack = last_ack.max(result.last_ack);
            take_rejections(connection.client.as_mut(), &mut self.rejections);
            self.connections.push(connection);
        }
        measured.seconds = last_ack.duration_since(start).as_secs_f64();
        sampler.finish(&mut measured);
        Ok(measured)
    }

    /// Measures, and closes all connections. `warm_up_check_ins` is the number of check-ins sent before.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn finish(
        mut self,
        load: &Load,
        warm_up_check_ins: u64,
        live: Arc<LiveCounters>,
    ) -> Result<(Vec<FleetPart>, Measurements), ClientError> {
        let before = self.progress();
        let measured = self.measure(load, live).await?;
        let inventories = self
            .connections
            .iter()
            .map(|connection| connection.inventories)
            .sum();
        let (parts, progress, rejections) = self.close().await?;
        let measured = Measurements {
            warm_up_check_ins,
            before,
            inventories,
            progress,
            rejections,
            ..measured
        };
        Ok((parts, measured))
    }

    /// Drops all clients without closing their sessions, and waits until their connections are closed.
    async fn disconnect(&mut self) -> Result<(), ClientError> {
        for connection in &mut self.connections {
            connection.past = connection.progress();
            if let Some(client) = connection.client.take() {
                client.flush().await?;
            }
        }
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
        Ok(())
    }

    /// Closes all connections.
    ///
    /// # Errors
    /// The first permanent failure of a connection.
    pub async fn close(
        mut self,
    ) -> Result<(Vec<FleetPart>, Progress, Vec<Rejection>), ClientError> {
        let mut past = Vec::with_capacity(self.connections.len());
        let mut clients = Vec::with_capacity(self.connections.len());
        let mut parts = Vec::with_capacity(self.connections.len());
        for mut connection in self.connections {
            take_rejections(connection.client.as_mut(), &mut self.rejections);
            past.push(connection.past);
            clients.extend(connection.client);
            parts.push(connection.part);
        }
        let last = in_parallel(clients, usize::MAX, Client::close).await?;
        let progress = sum(past.into_iter().chain(last));
        Ok((parts, progress, self.rejections))
    }
}

fn add_result(measured: &mut Measurements, result: &SendResult) {
    measured.offered += result.offered;
    measured.sent += result.sent;
    measured.held_back += result.held_back;
    measured.acked += result.acked;
    measured.late.add(&result.late);
    measured.waiting_seconds += result.waiting.as_secs_f64();
}

/// Runs a future for each item, at most `limit` at a time. Returns the results in the order of the items. The first
/// error cancels all other futures.
async fn in_parallel<I, T, F>(
    items: Vec<I>,
    limit: usize,
    mut start: impl FnMut(I) -> F,
) -> Result<Vec<T>, ClientError>
where
    F: Future<Output = Result<T, ClientError>> + Send + 'static,
    T: Send + 'static,
{
    let mut results: Vec<Option<T>> = items.iter().map(|_| None).collect();
    let mut waiting = items.into_iter().enumerate();
    let mut running = JoinSet::new();
    loop {
        while running.len() < limit
            && let Some((index, item)) = waiting.next()
        {
            let future = start(item);
            running.spawn(async move { (index, future.await) });
        }
        match running.join_next().await {
            None => return Ok(results.into_iter().flatten().collect()),
            Some(Ok((index, result))) => results[index] = Some(result?),
            Some(Err(_)) => return Err(ClientError::Stopped),
        }
    }
}

fn config(target: &Target, identity: Pem) -> ClientConfig {
    let mut config = ClientConfig::new(target.server, target.ca.clone(), identity);
    config.window_frames = target.window;
    config.offline_timeout = Some(OFFLINE_TIMEOUT);
    config.keep_alive_interval = Some(KEEP_ALIVE);
    config.rejections_max = REJECTIONS_SHOWN;
    // At the end of a run all connections close at the same time.
    config.close_timeout = Duration::from_secs(60);
    config
}

async fn send_inventories(mut connection: FleetConnection) -> Result<FleetConnection, ClientError> {
    let Some(client) = &connection.client else {
        return Ok(connection);
    };
    for inventory in connection.part.inventories() {
        client.send_inventory(&inventory).await?;
        connection.inventories += 1;
    }
    client.flush().await?;
    Ok(connection)
}

fn take_rejections(client: Option<&mut Client>, into: &mut Vec<Rejection>) {
    let Some(mut rejections) = client.and_then(Client::take_rejections) else {
        return;
    };
    while into.len() < REJECTIONS_SHOWN
        && let Some(rejection) = rejections.try_recv()
    {
        // Stale records are no rejections: a fleet that sends in disorder has many.
        into.extend((!rejection.is_stale()).then_some(rejection));
    }
}
