//! Packets of an unauthenticated client: correctly encrypted, but with invalid content.
//!
//! quinn RUSTSEC-2023-0063, GHSA-vr26-jcq5-fjj8, RUSTSEC-2026-0037, RUSTSEC-2026-0185: a single packet of this kind
//! once stopped the endpoint for all clients. Our client cannot send them, so they are built here by hand (RFC 9000,
//! 17.2.2; RFC 9001, 5).

use std::net::UdpSocket;
use std::sync::Arc;

use rustls::Side;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, DirectionalKeys, Version};

use crate::harness::*;

/// Minimum size of a datagram with an Initial packet.
const DATAGRAM_BYTES: usize = 1200;

const CRYPTO: u8 = 6;

/// A socket that sends to the server, and waits for an answer until the deadline.
fn socket_to(victim: &Victim) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket
        .connect(victim.server.quic)
        .expect("a loopback address");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("the timeout is not zero");
    socket
}

/// A client that sends only Initial packets.
struct RawClient {
    socket: UdpSocket,
    destination: [u8; 8],
    source: [u8; 8],
    keys: DirectionalKeys,
    packets: u32,
}

impl RawClient {
    fn new(victim: &Victim, random: &mut Random) -> Self {
        let destination = random.bits().to_be_bytes();
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let suite = suite
            .and_then(|suite| suite.quic_suite())
            .expect("the suite supports QUIC");
        Self {
            socket: socket_to(victim),
            destination,
            source: random.bits().to_be_bytes(),
            keys: suite.keys(&destination, Side::Client, Version::V1).local,
            packets: 0,
        }
    }

    /// Sends an Initial packet with these frames.
    fn initial(&mut self, frames: &[u8]) {
        let mut header = vec![0xc3]; // long, Initial, a packet number of four bytes
        header.extend(1_u32.to_be_bytes());
        header.push(8);
        header.extend(self.destination);
        header.push(8);
        header.extend(self.source);
        header.push(0); // no token
        let tag = self.keys.packet.tag_len();
        let room = DATAGRAM_BYTES - header.len() - 2 - 4 - tag;
        let mut payload = frames[..frames.len().min(room)].to_vec();
        payload.resize(room, 0); // PADDING
        header.extend((0x4000 | (4 + room + tag) as u16).to_be_bytes());
        let number_at = header.len();
        header.extend(self.packets.to_be_bytes());
        let number = u64::from(self.packets);
        self.packets += 1;
        let sealed = self
            .keys
            .packet
            .encrypt_in_place(number, &header, &mut payload);
        payload.extend_from_slice(sealed.expect("the packet can be encrypted").as_ref());
        let sample = payload[..self.keys.header.sample_len()].to_vec();
        let (first, rest) = header.split_at_mut(1);
        let protected =
            self.keys
                .header
                .encrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..]);
        protected.expect("the sample has the right length");
        header.extend(payload);
        self.socket.send(&header).expect("the socket can send");
    }

    /// Sends a valid ClientHello with these transport parameters.
    fn client_hello(&mut self, victim: &Victim, parameters: Vec<u8>) {
        let credentials = victim.place.pki.gateway("contoso", "gw-1");
        let tls = Arc::new(client_tls(&victim.place.pki, &credentials));
        let name = ServerName::try_from("localhost").expect("a valid name");
        let connection = ClientConnection::new(tls, Version::V1, name, parameters);
        let mut message = Vec::new();
        connection
            .expect("the configuration is valid")
            .write_hs(&mut message);
        // A message that exceeds a packet continues in the next.
        let mut offset = 0;
        for piece in message.chunks(1000) {
            let mut frame = vec![CRYPTO];
            frame.extend((0x4000 | offset as u16).to_be_bytes());
            frame.extend((0x4000 | piece.len() as u16).to_be_bytes());
            frame.extend_from_slice(piece);
            self.initial(&frame);
            offset += piece.len();
        }
    }

    /// The first datagram of the server.
    fn answer(&self) -> Vec<u8> {
        let mut datagram = vec![0; 2048];
        let length = self
            .socket
            .recv(&mut datagram)
            .expect("the server responds before the deadline");
        datagram.truncate(length);
        datagram
    }
}

/// One transport parameter.
fn parameter(id: u8, value: &[u8]) -> Vec<u8> {
    [&[id, value.len() as u8][..], value].concat()
}

#[test]
fn malformed_transport_parameters_do_not_stop_the_endpoint() {
    let victim = Victim::new(&Settings::default());
    let mut random = Random::new(1, 0);
    // Verifies that the packets are well formed: the server responds to valid parameters with an Initial packet.
    let mut good = RawClient::new(&victim, &mut random);
    let own = parameter(0x0f, &good.source);
    good.client_hello(&victim, own);
    assert_eq!(good.answer()[0] & 0xf0, 0xc0, "an Initial packet");

    let mut shapes: Vec<Vec<u8>> = vec![
        vec![],
        vec![0x40],
        vec![0xc0],
        vec![0xff; 9],
        vec![0x0f],
        vec![0x0f, 0x3f],
    ];
    for id in (0..=0x22).chain([0x3f]) {
        for value in [
            &[][..],
            &[0],
            &[0x3f],
            &[0x40],
            &[0xff; 8],
            &[0; 8],
            &[0xff; 16],
            &[0x80; 41],
            &[0; 63],
        ] {
            shapes.push(parameter(id, value));
        }
        // A parameter that exceeds the end.
        shapes.push(vec![id, 0x3f, 1, 2, 3]);
    }
    // Only a server may send a preferred address; here with connection ids of several lengths.
    for length in [0, 1, 20, 21, 255] {
        shapes.push(parameter(
            0x0d,
            &[&[0; 24][..], &[length], &[0; 30]].concat(),
        ));
    }
    for shape in shapes {
        let mut client = RawClient::new(&victim, &mut random);
        let own = parameter(0x0f, &client.source);
        client.client_hello(&victim, [&own[..], &shape].concat());
        // Repeating a parameter is an error too.
        let mut client = RawClient::new(&victim, &mut random);
        client.client_hello(&victim, [&shape[..], &shape].concat());
    }
    victim.finish();
}

#[test]
fn frames_that_are_invalid_in_an_initial_packet_do_not_stop_the_endpoint() {
    let victim = Victim::new(&Settings::default());
    let mut random = Random::new(2, 0);
    for kind in 0..=0x40 {
        for byte in [0, 1, 0x3f, 0x40, 0x80, 0xff] {
            let mut client = RawClient::new(&victim, &mut random);
            client.initial(&[&[kind][..], &[byte; 40]].concat());
            let mut client = RawClient::new(&victim, &mut random);
            let noise: Vec<u8> = (0..200).map(|_| random.bits() as u8).collect();
            client.initial(&[&[kind][..], &noise].concat());
        }
    }
    // Acks for packets that were never sent, with more ranges than possible.
    let mut client = RawClient::new(&victim, &mut random);
    client.initial(&[&[2, 0xbf, 0xff, 0xff, 0xff, 0, 0x7f, 0xff][..], &[0; 900]].concat());
    victim.finish();
}

#[test]
fn a_fragmented_handshake_with_gaps_takes_bounded_memory() {
    let victim = Victim::new(&Settings::default());
    let memory = || {
        victim
            .server
            .ops
            .metrics()
            .get("muster_process_resident_memory_bytes")
    };
    let before = memory();
    let mut random = Random::new(3, 0);
    for _ in 0..50 {
        let mut client = RawClient::new(&victim, &mut random);
        // Every other byte of a message in reverse order, and some bytes far beyond its end.
        for packet in (0..20_u16).rev() {
            let mut frames = Vec::new();
            for piece in (0..150).rev() {
                frames.push(CRYPTO);
                frames.extend((0x4000 | (packet * 300 + piece * 2)).to_be_bytes());
                frames.extend([1, 1]);
            }
            client.initial(&frames);
        }
        client.initial(&[CRYPTO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]);
        client.initial(&[CRYPTO, 0xbf, 0xff, 0xff, 0xff, 0x40, 0x40]);
    }
    victim.works(2);
    let after = memory();
    assert!(
        after < before + f64::from(64 << 20),
        "{before} bytes, then {after}"
    );
    victim.finish();
}

#[test]
fn unknown_quic_versions_get_version_negotiation_and_small_packets_get_nothing() {
    let victim = Victim::new(&Settings::default());
    let socket = socket_to(&victim);
    let packet = |version: u32, length: usize| {
        let mut bytes = vec![0xc0];
        bytes.extend(version.to_be_bytes());
        bytes.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1]);
        bytes.resize(length, 0);
        bytes
    };
    // A response to a small packet would amplify traffic to an address that was not validated.
    for length in [30, 100, 1199] {
        socket.send(&packet(0x0a0a_0a0a, length)).unwrap();
    }
    for version in [0x0a0a_0a0a, 0xbaba_baba, 0x6b33_43cf, u32::MAX, 2] {
        socket.send(&packet(version, DATAGRAM_BYTES)).unwrap();
        let mut answer = [0; 2048];
        let length = socket
            .recv(&mut answer)
            .expect("the server responds before the deadline");
        let answer = &answer[..length];
        assert_eq!(answer[1..5], [0; 4], "version negotiation for {version:#x}");
        assert_eq!(
            answer[5..14],
            [8, 8, 7, 6, 5, 4, 3, 2, 1],
            "addressed to the sender"
        );
        assert!(
            answer[23..].chunks(4).any(|one| one == [0, 0, 0, 1]),
            "{answer:?}"
        );
        assert!(length < 100, "no amplification");
    }
    socket.set_nonblocking(true).unwrap();
    assert!(
        socket.recv(&mut [0; 2048]).is_err(),
        "one response per large packet"
    );
    victim.finish();
}
