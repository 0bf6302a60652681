//! Packets of a peer that has proven nothing yet: rightly encrypted, and wrong inside.
//!
//! quinn RUSTSEC-2023-0063, GHSA-vr26-jcq5-fjj8, RUSTSEC-2026-0037, RUSTSEC-2026-0185: single packets of these
//! shapes once ended the endpoint, and with it everybody's service. Our own client cannot send them, so they
//! are made here by hand (RFC 9000, 17.2.2; RFC 9001, 5).

use std::net::UdpSocket;
use std::sync::Arc;

use rustls::Side;
use rustls::pki_types::ServerName;
use rustls::quic::{ClientConnection, DirectionalKeys, Version};

use crate::harness::*;

/// The least a first datagram may have.
const DATAGRAM_BYTES: usize = 1200;

const CRYPTO: u8 = 6;

/// A client that has only its first packets.
struct Stranger {
    socket: UdpSocket,
    destination: [u8; 8],
    source: [u8; 8],
    keys: DirectionalKeys,
    packets: u32,
}

impl Stranger {
    fn new(victim: &Victim, random: &mut Random) -> Self {
        let destination = random.bits().to_be_bytes();
        let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256.tls13();
        let suite = suite
            .and_then(|suite| suite.quic_suite())
            .expect("QUIC's own suite");
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        socket.connect(victim.server.quic).expect("a local address");
        socket
            .set_read_timeout(Some(DEADLINE))
            .expect("the timeout is not zero");
        Self {
            socket,
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
        payload.extend_from_slice(sealed.expect("the keys are good").as_ref());
        let sample = payload[..self.keys.header.sample_len()].to_vec();
        let (first, rest) = header.split_at_mut(1);
        let protected =
            self.keys
                .header
                .encrypt_in_place(&sample, &mut first[0], &mut rest[number_at - 1..]);
        protected.expect("a sample of the right length");
        header.extend(payload);
        self.socket.send(&header).expect("it is sent");
    }

    /// Sends a good ClientHello with these transport parameters.
    fn client_hello(&mut self, victim: &Victim, parameters: Vec<u8>) {
        let credentials = victim.place.pki.gateway("contoso", "gw-1");
        let tls = Arc::new(client_tls(&victim.place.pki, &credentials));
        let name = ServerName::try_from("localhost").expect("a name");
        let connection = ClientConnection::new(tls, Version::V1, name, parameters);
        let mut message = Vec::new();
        connection.expect("settings").write_hs(&mut message);
        // More than a packet holds goes into the next.
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

    /// The first datagram that comes back.
    fn answer(&self) -> Vec<u8> {
        let mut datagram = vec![0; 2048];
        let length = self
            .socket
            .recv(&mut datagram)
            .expect("an answer before the deadline");
        datagram.truncate(length);
        datagram
    }
}

/// One transport parameter.
fn parameter(id: u8, value: &[u8]) -> Vec<u8> {
    [&[id, value.len() as u8][..], value].concat()
}

#[test]
fn transport_parameters_that_are_none_end_no_endpoint() {
    let victim = Victim::new(&Settings::default());
    let mut random = Random::new(1, 0);
    // The packets made here are real: with good parameters the server answers with a packet of its own.
    let mut good = Stranger::new(&victim, &mut random);
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
        // A parameter that runs past the end.
        shapes.push(vec![id, 0x3f, 1, 2, 3]);
    }
    // A preferred address is a server's to give, with connection ids of any length.
    for length in [0, 1, 20, 21, 255] {
        shapes.push(parameter(
            0x0d,
            &[&[0; 24][..], &[length], &[0; 30]].concat(),
        ));
    }
    for shape in shapes {
        let mut stranger = Stranger::new(&victim, &mut random);
        let own = parameter(0x0f, &stranger.source);
        stranger.client_hello(&victim, [&own[..], &shape].concat());
        // The same twice is a fault of its own.
        let mut stranger = Stranger::new(&victim, &mut random);
        stranger.client_hello(&victim, [&shape[..], &shape].concat());
    }
    victim.finish();
}

#[test]
fn frames_that_do_not_belong_in_a_first_packet_end_no_endpoint() {
    let victim = Victim::new(&Settings::default());
    let mut random = Random::new(2, 0);
    for kind in 0..=0x40 {
        for byte in [0, 1, 0x3f, 0x40, 0x80, 0xff] {
            let mut stranger = Stranger::new(&victim, &mut random);
            stranger.initial(&[&[kind][..], &[byte; 40]].concat());
            let mut stranger = Stranger::new(&victim, &mut random);
            let noise: Vec<u8> = (0..200).map(|_| random.bits() as u8).collect();
            stranger.initial(&[&[kind][..], &noise].concat());
        }
    }
    // Acks for packets that nobody sent, of more ranges than there can be.
    let mut stranger = Stranger::new(&victim, &mut random);
    stranger.initial(&[&[2, 0xbf, 0xff, 0xff, 0xff, 0, 0x7f, 0xff][..], &[0; 900]].concat());
    victim.finish();
}

#[test]
fn a_handshake_in_pieces_with_gaps_costs_a_bounded_memory() {
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
        let mut stranger = Stranger::new(&victim, &mut random);
        // Every other byte of a message, backwards, and some from far behind its end.
        for packet in (0..20_u16).rev() {
            let mut frames = Vec::new();
            for piece in (0..150).rev() {
                frames.push(CRYPTO);
                frames.extend((0x4000 | (packet * 300 + piece * 2)).to_be_bytes());
                frames.extend([1, 1]);
            }
            stranger.initial(&frames);
        }
        stranger.initial(&[CRYPTO, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1]);
        stranger.initial(&[CRYPTO, 0xbf, 0xff, 0xff, 0xff, 0x40, 0x40]);
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
fn other_versions_of_quic_are_answered_with_ours_and_small_packets_not_at_all() {
    let victim = Victim::new(&Settings::default());
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    socket.connect(victim.server.quic).expect("a local address");
    socket
        .set_read_timeout(Some(DEADLINE))
        .expect("the timeout is not zero");
    let packet = |version: u32, length: usize| {
        let mut bytes = vec![0xc0];
        bytes.extend(version.to_be_bytes());
        bytes.extend([8, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8, 7, 6, 5, 4, 3, 2, 1]);
        bytes.resize(length, 0);
        bytes
    };
    // A small packet would make the answer the larger of the two, to an address that nobody has proven.
    for length in [30, 100, 1199] {
        socket.send(&packet(0x0a0a_0a0a, length)).unwrap();
    }
    for version in [0x0a0a_0a0a, 0xbaba_baba, 0x6b33_43cf, u32::MAX, 2] {
        socket.send(&packet(version, DATAGRAM_BYTES)).unwrap();
        let mut answer = [0; 2048];
        let length = socket
            .recv(&mut answer)
            .expect("an answer before the deadline");
        let answer = &answer[..length];
        assert_eq!(answer[1..5], [0; 4], "version negotiation for {version:#x}");
        assert_eq!(answer[5..14], [8, 8, 7, 6, 5, 4, 3, 2, 1], "to who asked");
        assert!(
            answer[23..].chunks(4).any(|one| one == [0, 0, 0, 1]),
            "{answer:?}"
        );
        assert!(length < 100, "not larger than what it answers");
    }
    socket.set_nonblocking(true).unwrap();
    assert!(
        socket.recv(&mut [0; 2048]).is_err(),
        "as many answers as questions"
    );
    victim.finish();
}
