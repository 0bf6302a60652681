//! The fleet of the bench: devices that the load generator simulates, with inventories, and a few with facets that no other device has.
//!
//! Bounded by the number of devices; the generator ends with [`Ingest`].

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, ensure};
use muster_client::{Client, ClientConfig, Pem};
use muster_ingest::clock;
use muster_testkit::identities::{self, Kind};
use muster_wire::limits::CHECK_INS_PER_FRAME_MAX;
use muster_wire::{
    CheckIn, CheckInRecord, DeviceId, Inventory, Owner, PartnerThreatState, Platform,
};

use crate::capacity::environment::{Environment, ServerProcess, TENANT, TIMEOUT, sum_of};
use crate::fleet::check_in;

/// Gateways of the generator, each with [`WINDOW`] frames in flight: an inventory takes a whole frame.
const GATEWAYS: u32 = 8;
const WINDOW: &str = "64";

/// Check-ins of a run that ends with its process.
const CHECK_INS: &str = "1000000000000";

/// How often the progress of the generator is looked at.
const POLL: Duration = Duration::from_millis(100);

/// The number of the first device that is not one of the generator's.
const FIRST_RARE: u64 = 1 << 40;

/// The generator, which sends until it is dropped.
#[derive(Debug)]
pub(super) struct Ingest(Child);

impl Drop for Ingest {
    fn drop(&mut self) {
        // Both fail if it has ended.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a generator whose devices send their inventories first, then check-ins at a rate, or as fast as the server
/// takes them.
pub(super) fn start(
    environment: &Environment,
    server: &ServerProcess<'_>,
    devices: u64,
    rate: Option<f64>,
) -> anyhow::Result<Ingest> {
    let mut command = Command::new(environment.program("muster-loadgen"));
    command
        .args(["run", "--no-verify", "--json", "--tenant", TENANT])
        .args(["--target", &server.addresses().quic.to_string()])
        .arg("--ca")
        .arg(environment.authority())
        .arg("--identities")
        .arg(environment.identities(Kind::Gateway))
        .args([
            "--gateways",
            &GATEWAYS.to_string(),
            "--window",
            WINDOW,
            "--inventory",
            "1",
        ])
        .args(["--devices", &devices.to_string(), "--check-ins", CHECK_INS])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if let Some(rate) = rate {
        command.args(["--rate", &rate.to_string()]);
        command.args(["--frame", &frame_at(rate).to_string()]);
    }
    Ok(Ingest(command.spawn().context("muster-loadgen")?))
}

/// Check-ins of a frame at a rate: each gateway sends ten frames a second, so that a second is enough to measure it, or
/// fewer if they would be larger than a frame can be.
fn frame_at(rate: f64) -> u64 {
    let of_gateway = rate / f64::from(GATEWAYS);
    ((of_gateway / 10.0) as u64).clamp(1, CHECK_INS_PER_FRAME_MAX as u64)
}

impl Ingest {
    /// Waits until `done` holds, at most `within`.
    ///
    /// # Errors
    /// The time passes, the generator ends, or the program is interrupted.
    pub(super) fn until(
        &mut self,
        environment: &Environment,
        within: Duration,
        mut done: impl FnMut() -> bool,
    ) -> anyhow::Result<()> {
        let began = clock::stamp();
        while !done() {
            ensure!(self.0.try_wait()?.is_none(), "muster-loadgen has ended");
            ensure!(
                clock::stamp().since(began) < within,
                "the fleet was not complete within {within:?}"
            );
            environment.block_on(async {
                tokio::time::sleep(POLL).await;
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// The check-ins that the server has acknowledged so far.
pub(super) fn acknowledged(server: &ServerProcess<'_>) -> anyhow::Result<f64> {
    let metrics = server.metrics().context("no metrics")?;
    Ok(sum_of(
        &metrics,
        "muster_session_records_acknowledged_total",
    ))
}

/// The acknowledged check-ins a second while `work` runs.
pub(super) fn rate_during<T>(
    server: &ServerProcess<'_>,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> anyhow::Result<(f64, T)> {
    let (began, before) = (clock::stamp(), acknowledged(server)?);
    let done = work()?;
    let records = acknowledged(server)? - before;
    ensure!(records > 0.0, "no check-in was acknowledged meanwhile");
    Ok((records / clock::stamp().since(began).as_secs_f64(), done))
}

/// Makes `count` Windows devices whose partner reports that they are compromised, which no device of the generator is,
/// and returns their ids.
pub(super) fn add_rare(
    environment: &Environment,
    server: &ServerProcess<'_>,
    count: u64,
) -> anyhow::Result<Vec<DeviceId>> {
    let directory = environment.identities(Kind::Gateway);
    let files = identities::find(&directory, TENANT, Kind::Gateway)?;
    let identity = files.first().context("no certificate of a gateway")?;
    let config = ClientConfig::new(
        server.addresses().quic,
        Pem::file(environment.authority()),
        Pem::file(&identity.path),
    );
    environment.block_on(async {
        let client = Client::connect(config).await?;
        let mut ids = Vec::new();
        for number in 0..count {
            let record = rare(number);
            client
                .send_inventory(&inventory(record.device_id(), number))
                .await?;
            client.send(&[record]).await?;
            ids.push(record.device_id());
        }
        tokio::time::timeout(TIMEOUT, client.flush()).await??;
        client.close().await?;
        Ok(ids)
    })
}

/// A device that no device of the generator is like.
fn rare(number: u64) -> CheckInRecord {
    let check_in = CheckIn {
        platform: Platform::Windows,
        partner_threat_state: PartnerThreatState::Compromised,
        ..check_in(FIRST_RARE + number, 1).to_check_in()
    };
    check_in
        .to_record()
        .expect("a record of valid values is valid")
}

fn inventory(device_id: DeviceId, number: u64) -> Inventory {
    Inventory {
        device_id,
        os_version: Inventory::pack_version([10, 0, 26_100, 4_061]),
        revision: 1,
        owner: Owner::Company,
        device_name: format!("rare-{number:07}"),
        os_name: "Windows".to_owned(),
        model: "Notebook 14".to_owned(),
        manufacturer: "Contoso".to_owned(),
        serial_number: format!("SNR{number:010}"),
        user_principal_name: format!("rare{number}@example.com"),
        tags: Vec::new(),
    }
}
