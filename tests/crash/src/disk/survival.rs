//! What a loss of power leaves of unsynced changes: drawn from a seed, so that a loss can be repeated.
//!
//! Pure. A loss has one [`Style`] for all files, or one for each. No style keeps less than what was synced, and
//! none makes bytes up.

use muster_loadgen::random::{Random, mix};

use super::content::{Content, SECTOR_BYTES, Survival};

/// The manner in which unsynced bytes of files are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// All of them.
    Everything,
    /// None, as when only the process is killed.
    Nothing,
    /// All after a moment, and the write of that moment is torn.
    Tail,
    /// Sectors, each for itself, out of order.
    Sectors,
    /// Bytes, but not the length: the file is extended by zeros.
    Bytes,
    /// Each file in a manner of its own.
    Mixed,
}

/// How often each is drawn, out of a hundred.
const STYLES: [(Style, u16); 6] = [
    (Style::Everything, 20),
    (Style::Nothing, 5),
    (Style::Tail, 25),
    (Style::Sectors, 25),
    (Style::Bytes, 10),
    (Style::Mixed, 15),
];

/// The manner of one loss.
pub(super) fn style(random: &mut Random) -> Style {
    random.pick(&STYLES)
}

/// What survives of one file.
pub(super) fn of_content(style: Style, content: &Content, random: &mut Random) -> Survival {
    let changes = content.unsynced_changes();
    let drawn = |random: &mut Random| random.below(changes as u64 + 1) as usize;
    match style {
        Style::Everything => in_order(0, 0),
        Style::Nothing => in_order(changes, 0),
        Style::Tail => {
            let kept = drawn(random);
            in_order(kept, torn_bytes(content.write_bytes(kept), random))
        }
        Style::Sectors => Survival::BySector {
            seed: random.bits(),
            length_changes: if random.per_mille(500) {
                changes
            } else {
                drawn(random)
            },
        },
        Style::Bytes => Survival::LengthOnly,
        Style::Mixed => {
            let own = match random.pick(&STYLES) {
                Style::Mixed => Style::Everything,
                own => own,
            };
            of_content(own, content, random)
        }
    }
}

/// All changes but the newest, and that torn: what a loss in the middle of a write leaves.
pub(super) fn torn_newest(content: &Content, random: &mut Random) -> Survival {
    let earlier = content.unsynced_changes().saturating_sub(1);
    in_order(earlier, torn_bytes(content.newest_write_bytes(), random))
}

const fn in_order(changes: usize, torn_bytes: usize) -> Survival {
    Survival::InOrder {
        changes,
        torn_bytes,
    }
}

/// Where a write of so many bytes is torn: on some byte, or after a whole number of sectors.
fn torn_bytes(bytes: usize, random: &mut Random) -> usize {
    let torn = random.below(bytes as u64 + 1);
    let torn = if random.per_mille(500) {
        torn - torn % SECTOR_BYTES
    } else {
        torn
    };
    torn as usize
}

/// How many of `changes` a sector has seen: none, all, or some.
pub(super) fn age(seed: u64, sector: u64, changes: usize) -> usize {
    let mut random = Random::new(seed, mix(sector));
    match random.below(3) {
        0 => 0,
        1 => changes,
        _ => random.below(changes as u64 + 1) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever is drawn: synced bytes stay, and every other byte is old, new, or zero.
    #[test]
    fn no_style_loses_what_was_synced_or_makes_bytes_up() {
        for seed in 0..2_000 {
            let mut random = Random::new(seed, 1);
            let mut content = Content::default();
            content.write(0, &[b's'; 3000]);
            content.sync();
            for _ in 0..random.below(6) {
                let bytes = vec![b'u'; random.below(2000) as usize];
                content.write(content.len(), &bytes);
            }
            let live_len = content.len();
            let style = style(&mut random);
            let survival = of_content(style, &content, &mut random);
            content.lose(&survival);
            let left = content.read(0, usize::MAX);
            let told = format!("seed {seed}: {style:?}, {survival:?}");
            assert!(left.starts_with(&[b's'; 3000]), "{told}");
            assert!(left.len() as u64 <= live_len, "{told}");
            let rest = &left[3000..];
            assert!(rest.iter().all(|byte| [b'u', 0].contains(byte)), "{told}");
        }
    }

    #[test]
    fn a_seed_is_a_loss() {
        let draw = |seed| {
            let mut random = Random::new(seed, 1);
            let mut content = Content::default();
            content.write(0, &[1; 5000]);
            content.write(5000, &[2; 5000]);
            let style = style(&mut random);
            of_content(style, &content, &mut random)
        };
        assert_eq!(draw(5), draw(5));
        let distinct = (0..50).filter(|seed| draw(*seed) != draw(*seed + 1));
        assert!(distinct.count() > 30);
    }

    #[test]
    fn a_write_in_the_middle_is_never_there_as_a_whole_every_time() {
        let mut whole = 0;
        for seed in 0..100 {
            let mut random = Random::new(seed, 2);
            let mut content = Content::default();
            content.write(0, &[1; 2000]);
            let survival = torn_newest(&content, &mut random);
            content.lose(&survival);
            whole += u32::from(content.len() == 2000);
        }
        assert!(whole < 20, "{whole}");
    }
}
