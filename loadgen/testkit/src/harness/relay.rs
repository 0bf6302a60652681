//! A way to a server that keeps what clients say, and on which perhaps little of what the server says comes back: then
//! a handshake on it never ends.
//!
//! One thread, for as long as the relay lives. It passes on what clients say, from whichever port.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Between two looks at whether it is to end.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The relay, with an address of its own.
#[derive(Debug)]
pub struct Relay {
    /// Where clients find it.
    pub address: SocketAddr,
    /// The packets of clients.
    said: Arc<Mutex<Vec<Vec<u8>>>>,
    /// Packets of the server that may still come through.
    answers_left: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Relay {
    /// Only so many packets of the server come through: none, or what a single client needs to prove its address.
    pub fn before(server: SocketAddr, answers_max: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        socket
            .set_read_timeout(Some(LOOK_EVERY))
            .expect("it is not zero");
        let address = socket.local_addr().expect("it is bound");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let said = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let kept = Arc::clone(&said);
        let answers_left = Arc::new(AtomicU32::new(answers_max));
        let answers = Arc::clone(&answers_left);
        let thread = std::thread::spawn(move || {
            let forward =
                |bytes: &[u8], to| socket.send_to(bytes, to).expect("the loopback takes it");
            let (mut buffer, mut client) = ([0; 2048], None);
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                if from != server {
                    client = Some(from);
                    let mut kept = kept.lock().expect("no panic there");
                    kept.push(buffer[..length].to_vec());
                    forward(&buffer[..length], server);
                } else if let Some(client) = client {
                    let one_less = |left: u32| left.checked_sub(1);
                    let may = answers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
                    if may.is_ok() {
                        forward(&buffer[..length], client);
                    }
                }
            }
        });
        Self {
            address,
            said,
            answers_left,
            stop,
            thread: Some(thread),
        }
    }

    /// Lets so many more packets of the server through, from now on.
    pub fn let_answers(&self, max: u32) {
        self.answers_left.store(max, Ordering::Relaxed);
    }

    /// Takes what clients have said so far, packet by packet.
    pub fn take_said(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.said.lock().expect("no panic there"))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it only forwards");
        }
    }
}
