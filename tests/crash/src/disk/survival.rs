//! Samples which unsynced changes survive a power loss. A seed reproduces a loss.
//!
//! Pure. A loss has one [`LossMode`] for all files, or one for each. No mode loses synced bytes or invents bytes.

use muster_testkit::random::{Random, splitmix64};

use super::content::{Content, SECTOR_BYTES, Survival};

/// Which unsynced changes of files are lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LossMode {
    /// All changes.
    Everything,
    /// No change, as if only the process were killed.
    Nothing,
    /// The newest changes, and the one before them is torn.
    Tail,
    /// Sectors, independently and out of order.
    Sectors,
    /// All bytes, but not the length: the file is extended with zeros.
    Bytes,
    /// Each file has its own mode.
    Mixed,
}

/// Modes with their probability in percent.
const LOSS_MODES: [(LossMode, u16); 6] = [
    (LossMode::Everything, 20),
    (LossMode::Nothing, 5),
    (LossMode::Tail, 25),
    (LossMode::Sectors, 25),
    (LossMode::Bytes, 10),
    (LossMode::Mixed, 15),
];

/// Samples the mode of a power loss.
pub(super) fn sample_mode(random: &mut Random) -> LossMode {
    random.choose_weighted(&LOSS_MODES)
}

/// Samples which changes of a file survive.
pub(super) fn sample(mode: LossMode, content: &Content, random: &mut Random) -> Survival {
    let changes = content.unsynced_changes();
    let sample_changes = |random: &mut Random| random.below(changes as u64 + 1) as usize;
    match mode {
        LossMode::Everything => in_order(0, 0),
        LossMode::Nothing => in_order(changes, 0),
        LossMode::Tail => {
            let kept = sample_changes(random);
            in_order(kept, torn_bytes(content.write_bytes(kept), random))
        }
        LossMode::Sectors => Survival::BySector {
            seed: random.bits(),
            length_changes: if random.per_mille(500) {
                changes
            } else {
                sample_changes(random)
            },
        },
        LossMode::Bytes => Survival::LengthOnly,
        LossMode::Mixed => {
            let mode = match random.choose_weighted(&LOSS_MODES) {
                LossMode::Mixed => LossMode::Everything,
                mode => mode,
            };
            sample(mode, content, random)
        }
    }
}

/// Keeps all changes but the newest, which is torn: the result of a power loss during a write.
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

/// How many of the first `bytes` bytes of a torn write survive: any number, or whole sectors.
fn torn_bytes(bytes: usize, random: &mut Random) -> usize {
    let torn = random.below(bytes as u64 + 1);
    let torn = if random.per_mille(500) {
        torn - torn % SECTOR_BYTES
    } else {
        torn
    };
    torn as usize
}

/// How many of `changes` survive in a sector: none, all, or some.
pub(super) fn sector_changes(seed: u64, sector: u64, changes: usize) -> usize {
    let mut random = Random::new(seed, splitmix64(sector));
    match random.below(3) {
        0 => 0,
        1 => changes,
        _ => random.below(changes as u64 + 1) as usize,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In every mode synced bytes stay, and every other byte is old, new, or zero.
    #[test]
    fn no_mode_loses_synced_bytes_or_invents_bytes() {
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
            let mode = sample_mode(&mut random);
            let survival = sample(mode, &content, &mut random);
            content.lose_power(&survival);
            let left = content.read(0, usize::MAX);
            let context = format!("seed {seed}: {mode:?}, {survival:?}");
            assert!(left.starts_with(&[b's'; 3000]), "{context}");
            assert!(left.len() as u64 <= live_len, "{context}");
            let rest = &left[3000..];
            assert!(
                rest.iter().all(|byte| [b'u', 0].contains(byte)),
                "{context}"
            );
        }
    }

    #[test]
    fn a_seed_reproduces_a_loss() {
        let sampled = |seed| {
            let mut random = Random::new(seed, 1);
            let mut content = Content::default();
            content.write(0, &[1; 5000]);
            content.write(5000, &[2; 5000]);
            let mode = sample_mode(&mut random);
            sample(mode, &content, &mut random)
        };
        assert_eq!(sampled(5), sampled(5));
        let distinct = (0..50).filter(|seed| sampled(*seed) != sampled(*seed + 1));
        assert!(distinct.count() > 30);
    }

    #[test]
    fn a_torn_write_rarely_survives_as_a_whole() {
        let mut whole = 0;
        for seed in 0..100 {
            let mut random = Random::new(seed, 2);
            let mut content = Content::default();
            content.write(0, &[1; 2000]);
            let survival = torn_newest(&content, &mut random);
            content.lose_power(&survival);
            whole += u32::from(content.len() == 2000);
        }
        assert!(whole < 20, "{whole}");
    }
}
