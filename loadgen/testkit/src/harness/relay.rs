//! A UDP relay that records the packets of clients and limits how many packets of the server it forwards. With a low
//! limit, handshakes through it never complete.
//!
//! One thread, for the lifetime of the relay. Packets of clients are forwarded from any port; those of the server go to
//! the last client.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Interval at which the stop flag is checked.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// A running relay.
#[derive(Debug)]
pub struct Relay {
    /// The address for clients.
    pub address: SocketAddr,
    /// The recorded packets of clients.
    client_packets: Arc<Mutex<Vec<Vec<u8>>>>,
    /// How many more packets of the server are forwarded.
    server_packets_left: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    /// Starts a relay that forwards at most `server_packets_max` packets of the server. Two cases are useful: none, or
    /// as many as one client needs to validate its address.
    pub fn start(server: SocketAddr, server_packets_max: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket
            .set_read_timeout(Some(POLL_INTERVAL))
            .expect("it is not zero");
        let address = socket.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let client_packets = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let recorded = Arc::clone(&client_packets);
        let server_packets_left = Arc::new(AtomicU32::new(server_packets_max));
        let left = Arc::clone(&server_packets_left);
        let thread = std::thread::spawn(move || {
            let forward =
                |bytes: &[u8], to| socket.send_to(bytes, to).expect("loopback accepts packets");
            let (mut buffer, mut client) = ([0; 2048], None);
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                if from != server {
                    client = Some(from);
                    let mut recorded = recorded.lock().expect("no thread panicked");
                    recorded.push(buffer[..length].to_vec());
                    forward(&buffer[..length], server);
                } else if let Some(client) = client {
                    let decrement = |left: u32| left.checked_sub(1);
                    let permit = left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, decrement);
                    if permit.is_ok() {
                        forward(&buffer[..length], client);
                    }
                }
            }
        });
        Self {
            address,
            client_packets,
            server_packets_left,
            stop,
            thread: Some(thread),
        }
    }

    /// From now on, forwards `max` more packets of the server.
    pub fn set_server_packets_left(&self, max: u32) {
        self.server_packets_left.store(max, Ordering::Relaxed);
    }

    /// Takes the packets of clients that were recorded so far.
    pub fn take_client_packets(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.client_packets.lock().expect("no thread panicked"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the thread did not panic");
        }
    }
}
