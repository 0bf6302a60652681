//! All connections of a fleet, through its phases: open, inventories, settled, measured, closed.
//!
//! Owner: the task that runs the fleet. Bounds: a task for each connection, [`CONNECTING_MAX`] handshakes at a time.

use std::{sync::Arc, time::Duration};

use muster_client::{Client, ClientConfig, ClientError, Endpoint, Pem, Progress};
use muster_wire::Rejection;
use tokio::{task::JoinSet, time::Instant};

use super::{
    Live, Load, Measured, Member, Plan,
    connected::{Connected, sum},
    pace::Pace,
    sampler::Sampler,
    sender::{Sender, Sent, Times},
    storm,
};
use muster_testkit::{clock, fleet::Part};

use crate::{latency_lanes::LatencyLanes, profile::Profile};

/// UDP sockets that connections share, at most.
const ENDPOINTS_MAX: usize = 16;

/// Handshakes at a time, at most: a fleet that opens all at once would only wait in its own queue.
const CONNECTING_MAX: usize = 64;

/// Rejections that are shown, at most.
const REJECTIONS_SHOWN: usize = 20;

/// How long a connection may be lost before the run is given up.
const OFFLINE_TIMEOUT: Duration = Duration::from_secs(15);

/// Connections that wait for their turn must not be closed for silence meanwhile.
const KEEP_ALIVE: Duration = Duration::from_secs(4);

/// All connections of a fleet.
#[derive(Debug)]
pub struct Connections {
    plan: Plan,
    all: Vec<Connected>,
    endpoints: Vec<Endpoint>,
    rejections: Vec<Rejection>,
}

impl Connections {
    /// Opens all of them.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn open(plan: Plan, members: Vec<Member>) -> Result<Self, ClientError> {
        let endpoints = (0..members.len().min(ENDPOINTS_MAX))
            .map(|_| Endpoint::for_server(plan.server))
            .collect::<Result<Vec<_>, _>>()?;
        let numbered: Vec<_> = members.into_iter().enumerate().collect();
        let all = in_parallel(numbered, CONNECTING_MAX, |(number, member)| {
            let endpoint = endpoints[number % endpoints.len()].clone();
            let config = config(&plan, member.identity);
            async move {
                let client = Client::connect_over(&endpoint, config.clone()).await?;
                Ok(Connected {
                    client: Some(client),
                    config,
                    part: member.part,
                    frame: member.frame,
                    inventories: 0,
                    past: Progress::default(),
                })
            }
        })
        .await?;
        Ok(Self {
            plan,
            all,
            endpoints,
            rejections: Vec::new(),
        })
    }

    /// How many there are.
    pub const fn count(&self) -> usize {
        self.all.len()
    }

    /// Sends the inventories of the devices that have one.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn send_inventories(&mut self) -> Result<(), ClientError> {
        let all = std::mem::take(&mut self.all);
        self.all = in_parallel(all, usize::MAX, send_inventories).await?;
        Ok(())
    }

    /// Lets every device check in once, as fast as the server takes it; returns how many that are.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn settle(&mut self) -> Result<u64, ClientError> {
        let remaining: Vec<u64> = self.all.iter().map(|one| one.part.remaining()).collect();
        self.each_part(Part::begin_to_settle);
        let measured = self.measure(&Load::closed(), Arc::default()).await?;
        for (one, remaining) in self.all.iter_mut().zip(remaining) {
            one.part.settled(remaining);
        }
        Ok(measured.acked)
    }

    /// Changes all parts.
    pub fn each_part(&mut self, mut change: impl FnMut(&mut Part)) {
        for one in &mut self.all {
            change(&mut one.part);
        }
    }

    /// Gives each connection its share of so many check-ins, by its share of the devices.
    pub fn share(&mut self, check_ins: u64) {
        let devices: u64 = self.all.iter().map(|one| one.part.devices_count()).sum();
        let mut before = 0_u64;
        let end = |number: u64| {
            let part = u128::from(check_ins) * u128::from(number) / u128::from(devices.max(1));
            u64::try_from(part).unwrap_or(u64::MAX)
        };
        for one in &mut self.all {
            let count = one.part.devices_count();
            one.part.begin(end(before + count) - end(before));
            before += count;
        }
    }

    /// What all connections say.
    pub fn progress(&self) -> Progress {
        sum(self.all.iter().map(Connected::progress))
    }

    /// One measured phase: sends what the parts still have to send.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn measure(&mut self, load: &Load, live: Arc<Live>) -> Result<Measured, ClientError> {
        let lanes = Arc::new(LatencyLanes::new());
        let total: u64 = self.all.iter().map(|one| one.part.remaining()).sum();
        let count = self.all.len();
        if load.storm.is_some() {
            self.cut().await?;
        }
        let started = clock::since_epoch();
        let start = Instant::now();
        let end = load.time_max.map(|time_max| start + time_max);
        let numbered: Vec<_> = std::mem::take(&mut self.all)
            .into_iter()
            .enumerate()
            .collect();
        let senders = in_parallel(numbered, usize::MAX, |(number, mut connected)| {
            let phase = number as f64 / count as f64;
            let share = connected.part.remaining() as f64 / total as f64;
            let pace = match &load.profile {
                Profile::Steps(steps) => {
                    Some(Pace::new(start, steps, share, connected.frame, phase))
                }
                Profile::Closed | Profile::Schedule(_) => None,
            };
            let times = Times { start, end, pace };
            let sender = Sender::new(&connected, times, self.plan.window, (number, &lanes), &live);
            let back_at = load.storm.map(|within| start + within.mul_f64(phase));
            let endpoint = self.endpoints[number % self.endpoints.len()].clone();
            async move {
                match back_at {
                    Some(at) => storm::come_back(sender, connected, &endpoint, at).await,
                    None => {
                        let sent = sender.run(&mut connected).await?;
                        Ok((connected, sent))
                    }
                }
            }
        });
        let mut sampler = Sampler::new(&self.plan, load, start, &live, &lanes);
        let finished = sampler.while_waiting_for(senders).await?;
        let mut measured = Measured {
            started,
            ..Measured::default()
        };
        let mut last_ack = start;
        for (mut connected, sent) in finished {
            add_sent(&mut measured, &sent);
            last_ack = last_ack.max(sent.last_ack);
            take_rejections(connected.client.as_mut(), &mut self.rejections);
            self.all.push(connected);
        }
        measured.seconds = last_ack.duration_since(start).as_secs_f64();
        sampler.finish(&mut measured);
        Ok(measured)
    }

    /// Measures, and closes all of them. So many check-ins were sent before.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn finish(
        mut self,
        load: &Load,
        settled: u64,
        live: Arc<Live>,
    ) -> Result<(Vec<Part>, Measured), ClientError> {
        let before = self.progress();
        let measured = self.measure(load, live).await?;
        let inventories = self.all.iter().map(|one| one.inventories).sum();
        let (parts, progress, rejections) = self.close().await?;
        let measured = Measured {
            settled,
            before,
            inventories,
            progress,
            rejections,
            ..measured
        };
        Ok((parts, measured))
    }

    /// Cuts all connections, as a line that is cut, and waits until the server was told.
    async fn cut(&mut self) -> Result<(), ClientError> {
        for one in &mut self.all {
            one.past = one.progress();
            if let Some(client) = one.client.take() {
                client.flush().await?;
            }
        }
        for endpoint in &self.endpoints {
            endpoint.wait_idle().await;
        }
        Ok(())
    }

    /// Closes all of them.
    ///
    /// # Errors
    /// The first connection that failed for good.
    pub async fn close(mut self) -> Result<(Vec<Part>, Progress, Vec<Rejection>), ClientError> {
        let mut past = Vec::with_capacity(self.all.len());
        let mut clients = Vec::with_capacity(self.all.len());
        let mut parts = Vec::with_capacity(self.all.len());
        for mut connected in self.all {
            take_rejections(connected.client.as_mut(), &mut self.rejections);
            past.push(connected.past);
            clients.extend(connected.client);
            parts.push(connected.part);
        }
        let last = in_parallel(clients, usize::MAX, Client::close).await?;
        let progress = sum(past.into_iter().chain(last));
        Ok((parts, progress, self.rejections))
    }
}

fn add_sent(measured: &mut Measured, sent: &Sent) {
    measured.offered += sent.offered;
    measured.sent += sent.sent;
    measured.held_back += sent.held_back;
    measured.acked += sent.acked;
    measured.late.add(&sent.late);
    measured.waiting_seconds += sent.waiting.as_secs_f64();
}

/// Runs a future for each item, `limit` at a time, and returns their results in the order of the
/// items. The first error ends all others.
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
            && let Some((place, item)) = waiting.next()
        {
            let future = start(item);
            running.spawn(async move { (place, future.await) });
        }
        match running.join_next().await {
            None => return Ok(results.into_iter().flatten().collect()),
            Some(Ok((place, result))) => results[place] = Some(result?),
            Some(Err(_)) => return Err(ClientError::Stopped),
        }
    }
}

fn config(plan: &Plan, identity: Pem) -> ClientConfig {
    let mut config = ClientConfig::new(plan.server, plan.ca.clone(), identity);
    config.window_frames = plan.window;
    config.offline_timeout = Some(OFFLINE_TIMEOUT);
    config.keep_alive_interval = Some(KEEP_ALIVE);
    config.rejections_max = REJECTIONS_SHOWN;
    // A fleet that has sent everything closes all at once.
    config.close_timeout = Duration::from_secs(60);
    config
}

async fn send_inventories(mut connected: Connected) -> Result<Connected, ClientError> {
    let Some(client) = &connected.client else {
        return Ok(connected);
    };
    for inventory in connected.part.inventories() {
        client.send_inventory(&inventory).await?;
        connected.inventories += 1;
    }
    client.flush().await?;
    Ok(connected)
}

fn take_rejections(client: Option<&mut Client>, into: &mut Vec<Rejection>) {
    let Some(mut rejections) = client.and_then(Client::take_rejections) else {
        return;
    };
    while into.len() < REJECTIONS_SHOWN
        && let Some(rejection) = rejections.try_recv()
    {
        into.push(rejection);
    }
}
