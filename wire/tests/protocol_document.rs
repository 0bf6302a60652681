//! Compares docs/reference/PROTOCOL.md with the code: its examples and its tables of codes, fields and limits.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use muster_wire::{
    CloseCode, Flags, FrameKind, ManagementAgent, Onboarding, Owner, PartnerThreatState, Platform,
    RejectReason, Risk, limits,
};

fn wire() -> PathBuf {
    // Read at run time: a build that two clones share contains the path of only one of them.
    std::env::var_os("CARGO_MANIFEST_DIR").unwrap().into()
}

fn document() -> String {
    fs::read_to_string(wire().join("../docs/reference/PROTOCOL.md")).unwrap()
}

/// The cells of a table row, or `None` for any other line.
fn cells(line: &str) -> Option<Vec<String>> {
    let row = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    // A bar within a cell is written as `\|`.
    let row = row.replace("\\|", "\u{0}");
    Some(
        row.split('|')
            .map(|cell| cell.replace('\u{0}', "|").trim().to_owned())
            .collect(),
    )
}

/// The rows of every table, with the last heading before it. The row of dashes is left out.
fn tables() -> Vec<(String, Vec<Vec<String>>)> {
    let mut tables: Vec<(String, Vec<Vec<String>>)> = Vec::new();
    let mut above = String::new();
    let mut in_table = false;
    for line in document().lines() {
        match cells(line) {
            Some(row) if in_table => tables.last_mut().unwrap().1.push(row),
            Some(head) => {
                tables.push((above.clone(), vec![head]));
                in_table = true;
            }
            None => {
                in_table = false;
                if let Some(heading) = line.trim_start_matches('#').strip_prefix(' ')
                    && line.starts_with('#')
                {
                    above = heading.to_owned();
                }
            }
        }
    }
    for (_, rows) in &mut tables {
        rows.remove(1);
    }
    tables
}

/// The rows of the first table below a heading, without the header row.
fn table(heading: &str) -> Vec<Vec<String>> {
    let (_, rows) = tables()
        .into_iter()
        .find(|(above, _)| above == heading)
        .unwrap();
    rows.into_iter().skip(1).collect()
}

/// The first two cells of every row below a heading.
fn codes(heading: &str) -> Vec<(String, String)> {
    let pair = |row: Vec<String>| (row[0].clone(), row[1].trim_matches('`').to_owned());
    table(heading).into_iter().map(pair).collect()
}

#[test]
fn every_example_is_its_golden_file() {
    let mut examples = BTreeMap::new();
    let document = document();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```hex ") else {
            continue;
        };
        let mut bytes = Vec::new();
        for line in lines.by_ref().take_while(|line| *line != "```") {
            let digits = line.split('#').next().unwrap();
            bytes.extend(
                digits
                    .split_whitespace()
                    .map(|byte| u8::from_str_radix(byte, 16).unwrap()),
            );
        }
        assert!(
            examples.insert(name.to_owned(), bytes).is_none(),
            "{name} appears twice"
        );
    }
    let mut golden = BTreeMap::new();
    for entry in fs::read_dir(wire().join("tests/golden")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        golden.insert(name, fs::read(path).unwrap());
    }
    assert_eq!(examples, golden);
    assert_eq!(golden.len(), 8);
}

#[test]
fn the_tables_of_codes_are_those_of_the_code() {
    macro_rules! assert_codes {
        ($($table:ident),*) => {$(
            let expected: Vec<_> = $table::ALL
                .iter()
                .map(|member| (member.code().to_string(), member.name().to_owned()))
                .collect();
            assert_eq!(codes(stringify!($table)), expected);
        )*};
    }
    assert_codes!(
        Platform,
        ManagementAgent,
        Risk,
        PartnerThreatState,
        Onboarding,
        Owner
    );
    let bits = |(flag, name): &(Flags, &str)| {
        (flag.bits().trailing_zeros().to_string(), (*name).to_owned())
    };
    assert_eq!(
        codes("Flags"),
        Flags::ALL.iter().map(bits).collect::<Vec<_>>()
    );
}

#[test]
fn rejection_reasons_are_those_of_the_code() {
    let row = |reason: &RejectReason| {
        vec![
            reason.code().to_string(),
            format!("`{reason}`"),
            reason.meaning().to_owned(),
        ]
    };
    let expected: Vec<_> = RejectReason::ALL.iter().map(row).collect();
    assert_eq!(table("Rejection reasons"), expected);
}

#[test]
fn close_codes_are_those_of_the_code() {
    let row = |code: &CloseCode| {
        vec![
            format!("{:#04x}", code.code()),
            format!("`{code}`"),
            code.actor().name().to_owned(),
            code.meaning().to_owned(),
        ]
    };
    let expected: Vec<_> = CloseCode::ALL.iter().map(row).collect();
    assert_eq!(table("Close codes"), expected);
}

#[test]
fn kinds_of_frames_are_those_of_the_code() {
    let mut kinds = codes("Kinds");
    kinds.dedup();
    let expected: Vec<_> = FrameKind::ALL
        .iter()
        .map(|kind| (kind.code().to_string(), kind.to_string()))
        .collect();
    assert_eq!(kinds, expected);
}

#[test]
fn fields_follow_each_other_without_a_gap_and_fill_their_frame() {
    let mut sizes = Vec::new();
    for (above, rows) in tables() {
        if rows[0][0] != "Offset" {
            continue;
        }
        let mut end = 0;
        for row in &rows[1..] {
            assert_eq!(row[0].parse(), Ok(end), "{above}: {row:?}");
            let size: usize = row[1].parse().unwrap();
            let of_type = match row[3].as_str() {
                "u8" => 1,
                "u16" => 2,
                "u32" | "i32" => 4,
                "u64" | "string" | "list of strings" => 8,
                "bytes" => size,
                other => panic!("{above}: unknown type {other}"),
            };
            assert_eq!(size, of_type, "{above}: {row:?}");
            end += size;
        }
        sizes.push((above, end));
    }
    let expected = [
        ("Header", limits::HEADER_BYTES),
        ("Hello, client to server", limits::CLIENT_HELLO_BYTES),
        ("Hello, server to client", limits::SERVER_HELLO_BYTES),
        ("CheckIns", limits::CHECK_IN_BYTES),
        ("Ack", limits::ACK_TOTALS_BYTES),
        ("Ack", limits::REJECTION_BYTES),
        ("Busy", limits::BUSY_BYTES),
        ("Goodbye", limits::GOODBYE_BYTES),
        ("The root", limits::INVENTORY_ROOT_BYTES),
        ("A string", 8),
        ("A list of strings", 8),
    ];
    let expected: Vec<_> = expected
        .map(|(above, size)| (above.to_owned(), size))
        .into();
    assert_eq!(sizes, expected);
}

#[test]
fn limits_are_those_of_the_code() {
    let expected = [
        ("HEADER_BYTES", limits::HEADER_BYTES),
        ("CHECK_IN_BYTES", limits::CHECK_IN_BYTES),
        ("CHECK_INS_PER_FRAME_MAX", limits::CHECK_INS_PER_FRAME_MAX),
        ("CHECK_INS_BYTES_MAX", limits::CHECK_INS_BYTES_MAX),
        ("INVENTORY_BYTES_MAX", limits::INVENTORY_BYTES_MAX),
        ("INVENTORY_ROOT_BYTES", limits::INVENTORY_ROOT_BYTES),
        ("STRING_BYTES_MAX", limits::STRING_BYTES_MAX),
        ("TAGS_MAX", limits::TAGS_MAX),
        ("TAG_BYTES_MIN", limits::TAG_BYTES_MIN),
        ("TAG_BYTES_MAX", limits::TAG_BYTES_MAX),
        ("REJECTIONS_PER_ACK_MAX", limits::REJECTIONS_PER_ACK_MAX),
        ("NAME_BYTES_MAX", limits::NAME_BYTES_MAX),
    ];
    let found: Vec<_> = table("11. Limits")
        .into_iter()
        .map(|row| (row[0].trim_matches('`').to_owned(), row[1].parse().unwrap()))
        .collect();
    assert_eq!(
        found,
        expected
            .map(|(name, value)| (name.to_owned(), value))
            .to_vec()
    );
}
