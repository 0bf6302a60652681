//! Targets in the server and the store: certificates, configurations, and the envelope of stored values.
//!
//! Properties: a certificate has exactly one valid identity or is refused; a configuration is valid or refused with
//! line and reason of every fault, and a valid one can be printed and parsed again; a stored value is readable only
//! under the key that it was written for, and only if no bit has changed.

use std::path::Path;

use muster_engine::{PageNumber, ShardId};
use muster_ingest::config::Config;
use muster_ingest::pki::identity_of;
use muster_store::stored;
use muster_wire::CloseCode;

use crate::{Input, names};

/// Reads the identity of bytes that a client sends as its certificate (DER).
pub fn certificate(data: &[u8]) {
    match identity_of(data) {
        Ok(identity) => names::check(&identity),
        Err(error) => {
            let codes = [CloseCode::IdentityMissing, CloseCode::IdentityInvalid];
            assert!(codes.contains(&error.close_code()));
        }
    }
}

/// Parses text as a configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let base = Path::new("/etc/muster");
    match Config::parse(text, base) {
        Ok(config) => {
            let printed = config.to_toml();
            assert_eq!(
                Config::parse(&printed, base).as_ref(),
                Ok(&config),
                "{printed}"
            );
        }
        Err(faults) => {
            assert!(!faults.faults().is_empty());
            let lines = text.split('\n').count();
            for fault in faults.faults() {
                assert!(!fault.message.is_empty());
                assert!(
                    fault.line.is_none_or(|line| (1..=lines).contains(&line)),
                    "{fault:?}"
                );
            }
            // The command line prints each fault on one line.
            assert_eq!(faults.lines().count(), faults.faults().len());
        }
    }
}

/// Reads sealed values, journal stamps, checkpoint and clock records, and the file FORMAT; the first byte selects one.
pub fn stored_values(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 4 {
        0 => sealed_value(input),
        1 => {
            if let Some((.., encoded)) = stored::stamp(input.0) {
                assert_eq!(encoded, input.0);
            }
        }
        2 => {
            if let Some((_, encoded)) = stored::checkpoint(input.0) {
                assert_eq!(encoded, input.0);
            }
            // Of the same size.
            if let Some((_, encoded)) = stored::clock(input.0) {
                assert_eq!(encoded, input.0);
            }
        }
        _ => format_file(&String::from_utf8_lossy(input.0)),
    }
}

fn sealed_value(mut input: Input<'_>) {
    let (shard, page) = (ShardId(input.u16()), PageNumber(input.u32()));
    let flipped = usize::from(input.u16());
    let payload = input.0;
    // Arbitrary bytes have a valid checksum with a probability of 2^-32; then sealing must give the same bytes.
    if let Some(opened) = stored::unseal_page(shard, page, payload) {
        let mut sealed = opened.to_vec();
        stored::seal_page(shard, page, &mut sealed);
        assert_eq!(sealed, payload);
    }
    let mut sealed = payload.to_vec();
    stored::seal_page(shard, page, &mut sealed);
    assert_eq!(stored::unseal_page(shard, page, &sealed), Some(payload));
    assert_eq!(
        stored::unseal_page(ShardId(shard.0 ^ 1), page, &sealed),
        None,
        "under the key of another shard"
    );
    assert_eq!(
        stored::unseal_page(shard, PageNumber(page.0 ^ 1), &sealed),
        None,
        "under the key of another page"
    );
    let bit = flipped % (sealed.len() * 8);
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(
        stored::unseal_page(shard, page, &sealed),
        None,
        "with bit {bit} flipped"
    );
}

fn format_file(text: &str) {
    let has_magic = text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("muster-store "));
    match stored::format_shards(text) {
        Ok(shards) => assert!(has_magic && shards > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
