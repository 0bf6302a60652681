//! Targets in the server and the store: certificates, configuration, and what closes every stored value.
//!
//! What must hold: a certificate names exactly one plain identity or nobody; a configuration is valid in full
//! or refused with the place and the reason of every fault, and a valid one survives being written out; a
//! stored value is what was written under this key, or nothing.

use std::path::Path;

use muster_engine::{PageNumber, ShardId};
use muster_ingest::config::Config;
use muster_ingest::pki::identity_of;
use muster_store::stored;
use muster_wire::CloseCode;

use crate::{Input, names};

/// Bytes as a certificate (DER), as a peer could send it.
pub fn certificate(data: &[u8]) {
    match identity_of(data) {
        Ok(identity) => names::check(&identity),
        Err(error) => {
            let refusals = [CloseCode::IdentityMissing, CloseCode::IdentityInvalid];
            assert!(refusals.contains(&error.close_code()));
        }
    }
}

/// Text as a configuration file.
pub fn configuration(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let base = Path::new("/etc/muster");
    match Config::parse(text, base) {
        Ok(config) => {
            let written = config.to_toml();
            assert_eq!(
                Config::parse(&written, base).as_ref(),
                Ok(&config),
                "{written}"
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
            // The command line makes them printable, and says them all.
            assert_eq!(faults.lines().count(), faults.faults().len());
        }
    }
}

/// Values under their keys, journal stamps, checkpoint records, and the file FORMAT; the first byte says
/// which.
pub fn stored_values(data: &[u8]) {
    let mut input = Input(data);
    match input.u8() % 4 {
        0 => sealed_value(input),
        1 => {
            if let Some((.., written)) = stored::stamp(input.0) {
                assert_eq!(written, input.0);
            }
        }
        2 => {
            if let Some((_, written)) = stored::checkpoint(input.0) {
                assert_eq!(written, input.0);
            }
        }
        _ => format_file(&String::from_utf8_lossy(input.0)),
    }
}

fn sealed_value(mut input: Input<'_>) {
    let (shard, page) = (ShardId(input.u16()), PageNumber(input.u32()));
    let flip = usize::from(input.u16());
    let payload = input.0;
    // Bytes that nobody sealed pass with one chance in four thousand million; then they are the payload's own.
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
        "another shard's key"
    );
    assert_eq!(
        stored::unseal_page(shard, PageNumber(page.0 ^ 1), &sealed),
        None,
        "another page's key"
    );
    let bit = flip % (sealed.len() * 8);
    sealed[bit / 8] ^= 1 << (bit % 8);
    assert_eq!(
        stored::unseal_page(shard, page, &sealed),
        None,
        "bit {bit} is another"
    );
}

fn format_file(text: &str) {
    let found = stored::format_shards(text);
    let mut lines = text.lines();
    let is_ours = lines
        .next()
        .is_some_and(|line| line.starts_with("muster-store "));
    match found {
        Ok(shards) => assert!(is_ours && shards > 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
