//! `[listen]`: the QUIC endpoint of devices and gateways, and the limits of connections.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

use super::key::{Flag, Integer, Key, KeyRow, Required, Size, Span, Text};
use super::reader::Section;
use super::units::{ByteSize, ConfigDuration};
use super::{file_path, socket_address};
use crate::pki::tls::ServerTls;

/// Receive window of a gateway's connection: about 20 full frames. Set once its certificate is known.
pub(crate) const GATEWAY_RECEIVE_WINDOW: u32 = 4 << 20;

/// The listener and the limits of its connections. docs/reference/CONFIGURATION.md describes each key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ListenConfig {
    /// The UDP address to listen on; port 0 binds a free port.
    pub address: SocketAddr,
    /// The server's certificate chain, PEM.
    pub certificate: PathBuf,
    /// The private key of the server's certificate, PEM.
    pub key: PathBuf,
    /// The authorities whose client certificates are accepted, PEM.
    pub client_ca: PathBuf,
    /// Maximum number of concurrent connections.
    pub connections_max: u32,
    /// Maximum number of concurrent connections of one tenant; 0 for its share.
    pub connections_tenant_max: u32,
    /// Maximum number of concurrent handshakes.
    pub handshakes_max: u32,
    /// Timeout from the first packet of a connection to its complete Hello.
    pub hello_timeout: ConfigDuration,
    /// Timeout from the first byte of a frame to its last.
    pub frame_timeout: ConfigDuration,
    /// Idle timeout of a connection.
    pub idle_timeout: ConfigDuration,
    /// Worker threads of the network runtime; 0 for one per core, at most 64.
    pub network_threads: u32,
    /// Buffer of the UDP socket in the kernel.
    pub udp_receive_buffer: ByteSize,
    /// Total size of the large receive windows of gateways.
    pub receive_windows_max: ByteSize,
    /// Memory for TLS sessions that clients may resume; 0 disables resumption.
    pub tickets_max: ByteSize,
    /// Whether a client that resumes a session may send early data.
    pub early_data: bool,
    /// Maximum number of unacknowledged frames of a gateway.
    pub window_frames_gateway: u16,
    /// Maximum number of unacknowledged frames of a device.
    pub window_frames_device: u16,
    /// Interval after which a device is asked to check in again.
    pub next_check_in: ConfigDuration,
}

const ADDRESS: Key<Text<SocketAddr>> = Key {
    path: "listen.address",
    kind: Text {
        default: || SocketAddr::from((Ipv4Addr::LOCALHOST, 7440)),
        allowed: "an IP address and a port, like \"0.0.0.0:7440\" or \"[::]:7440\"",
        parse: socket_address,
    },
    meaning: "UDP address for QUIC connections of devices and gateways. Port 0 binds a free port, which is logged.",
};

const CERTIFICATE: Key<Required<PathBuf>> = Key {
    path: "listen.certificate",
    kind: Required {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The server's certificate chain in PEM, leaf certificate first. Read once at start.",
};

const KEY: Key<Required<PathBuf>> = Key {
    path: "listen.key",
    kind: Required {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The private key of the leaf certificate in PEM. Read once at start; only its owner should be able to read it.",
};

const CLIENT_CA: Key<Required<PathBuf>> = Key {
    path: "listen.client_ca",
    kind: Required {
        allowed: "a path, relative to the configuration file",
        parse: file_path,
    },
    meaning: "The certificate authorities in PEM whose client certificates are accepted. A client is trusted to be the device or gateway that its certificate names.",
};

const CONNECTIONS_MAX: Key<Integer<u32>> = Key {
    path: "listen.connections_max",
    kind: Integer {
        default: 20_000,
        min: 1,
        max: 1_000_000,
    },
    meaning: "Maximum number of concurrent connections; further ones are closed with `tooManyConnections`. Memory: about 37 kB per idle connection, 740 MB at the default.",
};

const CONNECTIONS_TENANT_MAX: Key<Integer<u32>> = Key {
    path: "listen.connections_tenant_max",
    kind: Integer {
        default: 0,
        min: 0,
        max: 1_000_000,
    },
    meaning: "Maximum number of concurrent connections of one tenant; further ones are closed with `tooManyConnections`. 0: three quarters of `listen.connections_max` with several tenants, so that none can starve the others, and all of it with one. At most `listen.connections_max`.",
};

const HANDSHAKES_MAX: Key<Integer<u32>> = Key {
    path: "listen.handshakes_max",
    kind: Integer {
        default: 256,
        min: 1,
        max: 65_536,
    },
    meaning: "Maximum number of concurrent handshakes; further attempts are refused before any signature is computed. At most `listen.connections_max`. Memory: up to 64 kB each.",
};

const HELLO_TIMEOUT: Key<Span> = Key {
    path: "listen.hello_timeout",
    kind: Span {
        default: ConfigDuration::from_secs(5),
        min: ConfigDuration::from_millis(100),
        max: ConfigDuration::from_secs(300),
    },
    meaning: "Timeout from the first packet of a connection to its complete Hello, handshake included.",
};

const FRAME_TIMEOUT: Key<Span> = Key {
    path: "listen.frame_timeout",
    kind: Span {
        default: ConfigDuration::from_secs(10),
        min: ConfigDuration::from_millis(100),
        max: ConfigDuration::from_secs(300),
    },
    meaning: "Timeout from the first byte of a frame to its last. Time in which the server does not read because of back-pressure does not count.",
};

const IDLE_TIMEOUT: Key<Span> = Key {
    path: "listen.idle_timeout",
    kind: Span {
        default: ConfigDuration::from_secs(30),
        min: ConfigDuration::from_secs(1),
        max: ConfigDuration::from_secs(3_600),
    },
    meaning: "Idle timeout of a connection. A longer one keeps more idle connections in memory.",
};

const NETWORK_THREADS: Key<Integer<u32>> = Key {
    path: "listen.network_threads",
    kind: Integer {
        default: 0,
        min: 0,
        max: 64,
    },
    meaning: "Worker threads of the network runtime. 0: one per core, at most 64.",
};

const UDP_RECEIVE_BUFFER: Key<Size> = Key {
    path: "listen.udp_receive_buffer",
    kind: Size {
        default: ByteSize::from_mib(8),
        min: ByteSize::from_kib(64),
        max: ByteSize::from_mib(1024),
    },
    meaning: "Size of the kernel's receive buffer of the UDP socket, and of its send buffer. The kernel limits them with `net.core.rmem_max` and `net.core.wmem_max`; the server logs the size of its receive buffer if it is smaller than this.",
};

const RECEIVE_WINDOWS_MAX: Key<Size> = Key {
    path: "listen.receive_windows_max",
    kind: Size {
        default: ByteSize::from_mib(256),
        min: ByteSize::from_mib(4),
        max: ByteSize::from_mib(1024),
    },
    meaning: "Total size of the large receive windows of gateways, 4 MiB each; with several tenants, the gateways of one get at most three quarters of it. Further gateways keep the window of a device, 64 KiB, and are slower until they reconnect. Memory: hostile clients can make the server use up to two and a half times this size.",
};

const TICKETS_MAX: Key<Size> = Key {
    path: "listen.tickets_max",
    kind: Size {
        default: ByteSize::from_mib(64),
        min: ByteSize::from_kib(0),
        max: ByteSize::from_mib(65_536),
    },
    meaning: "Memory for TLS sessions that clients may resume within a day: a resumed handshake needs no certificates and 60 % of the CPU time of a full one. The session of a device takes about 900 B (the size of its certificate plus 300 B), so 64 MiB are enough for 70,000 devices. The oldest sessions are evicted. 0B: every connection needs a full handshake.",
};

const EARLY_DATA: Key<Flag> = Key {
    path: "listen.early_data",
    kind: Flag { default: true },
    meaning: "Whether a client that resumes a TLS session may send its check-in with its first packet (0-RTT), which saves a round trip. A ticket works once, so early data cannot be replayed; an attacker who can delay packets can delay a check-in by up to a minute. Requires `tickets_max`.",
};

const WINDOW_FRAMES_GATEWAY: Key<Integer<u16>> = Key {
    path: "listen.window_frames_gateway",
    kind: Integer {
        default: 64,
        min: 1,
        max: 1_024,
    },
    meaning: "Maximum number of unacknowledged frames of a gateway. A frame has up to 4,096 check-ins (192 KiB), so each gateway can have up to 12 MiB in flight at the default; the inboxes bound the total of all gateways. Memory: up to 3 kB per frame with rejected records.",
};

const WINDOW_FRAMES_DEVICE: Key<Integer<u16>> = Key {
    path: "listen.window_frames_device",
    kind: Integer {
        default: 4,
        min: 1,
        max: 64,
    },
    meaning: "Maximum number of unacknowledged frames of a device.",
};

const NEXT_CHECK_IN: Key<Span> = Key {
    path: "listen.next_check_in",
    kind: Span {
        default: ConfigDuration::from_secs(8 * 3_600),
        min: ConfigDuration::from_secs(1),
        max: ConfigDuration::from_secs(7 * 86_400),
    },
    meaning: "Interval after which a device is asked to check in again, in whole seconds; sent in every Hello and ack.",
};

impl ListenConfig {
    /// The certificate files of the listener.
    pub fn tls(&self) -> ServerTls {
        ServerTls {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            client_ca: self.client_ca.clone(),
        }
    }

    /// Maximum number of concurrent connections of one of `tenants` tenants.
    pub fn connections_of_tenant(&self, tenants: usize) -> u32 {
        match (self.connections_tenant_max, tenants) {
            (0, 0 | 1) => self.connections_max,
            (0, _) => (self.connections_max - self.connections_max / 4).max(1),
            (max, _) => max,
        }
    }

    /// Maximum total size of the large receive windows of one of `tenants` tenants.
    pub fn receive_windows_of_tenant(&self, tenants: usize) -> u64 {
        let all = self.receive_windows_max.get();
        match tenants {
            0 | 1 => all,
            _ => (all - all / 4).max(u64::from(GATEWAY_RECEIVE_WINDOW)),
        }
    }

    pub(super) fn rows() -> Vec<KeyRow> {
        vec![
            ADDRESS.row(),
            CERTIFICATE.row(),
            KEY.row(),
            CLIENT_CA.row(),
            CONNECTIONS_MAX.row(),
            CONNECTIONS_TENANT_MAX.row(),
            HANDSHAKES_MAX.row(),
            HELLO_TIMEOUT.row(),
            FRAME_TIMEOUT.row(),
            IDLE_TIMEOUT.row(),
            NETWORK_THREADS.row(),
            UDP_RECEIVE_BUFFER.row(),
            RECEIVE_WINDOWS_MAX.row(),
            TICKETS_MAX.row(),
            EARLY_DATA.row(),
            WINDOW_FRAMES_GATEWAY.row(),
            WINDOW_FRAMES_DEVICE.row(),
            NEXT_CHECK_IN.row(),
        ]
    }

    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let base = section.base_directory();
        let mut path = |key| {
            section
                .read_required(key)
                .map(|path| base.join(path))
                .unwrap_or_default()
        };
        let (certificate, key, client_ca) = (path(&CERTIFICATE), path(&KEY), path(&CLIENT_CA));
        let config = Self {
            address: section.read(&ADDRESS),
            certificate,
            key,
            client_ca,
            connections_max: section.read(&CONNECTIONS_MAX),
            connections_tenant_max: section.read(&CONNECTIONS_TENANT_MAX),
            handshakes_max: section.read(&HANDSHAKES_MAX),
            hello_timeout: section.read(&HELLO_TIMEOUT),
            frame_timeout: section.read(&FRAME_TIMEOUT),
            idle_timeout: section.read(&IDLE_TIMEOUT),
            network_threads: section.read(&NETWORK_THREADS),
            udp_receive_buffer: section.read(&UDP_RECEIVE_BUFFER),
            receive_windows_max: section.read(&RECEIVE_WINDOWS_MAX),
            tickets_max: section.read(&TICKETS_MAX),
            early_data: section.read(&EARLY_DATA),
            window_frames_gateway: section.read(&WINDOW_FRAMES_GATEWAY),
            window_frames_device: section.read(&WINDOW_FRAMES_DEVICE),
            next_check_in: section.read(&NEXT_CHECK_IN),
        };
        for (name, value) in [
            (CONNECTIONS_TENANT_MAX.name(), config.connections_tenant_max),
            (HANDSHAKES_MAX.name(), config.handshakes_max),
        ] {
            if value > config.connections_max {
                let max = config.connections_max;
                let message = format!("{value} exceeds listen.connections_max, which is {max}");
                section.note(name, message);
            }
        }
        if !config.next_check_in.get().subsec_nanos().eq(&0) {
            section.note(
                NEXT_CHECK_IN.name(),
                format!(
                    "\"{}\" is not a whole number of seconds",
                    config.next_check_in
                ),
            );
        }
        section.finish();
        config
    }
}
