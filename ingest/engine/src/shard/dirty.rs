//! A bit set of page numbers: the dirty pages of a shard, and the pending pages of its checkpoint.
//!
//! Owned by the checkpoint. Memory: one bit per page up to the highest one inserted. Knows nothing of their contents.

use crate::ids::PageNumber;

#[derive(Debug, Default)]
pub(super) struct PageSet {
    words: Vec<u64>,
    /// All words before this one are zero, so that emptying the set by `pop` takes one pass.
    first: usize,
}

impl PageSet {
    pub(super) fn insert(&mut self, PageNumber(page): PageNumber) {
        let word = page as usize / 64;
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        self.words[word] |= 1 << (page % 64);
        self.first = self.first.min(word);
    }

    pub(super) fn remove(&mut self, PageNumber(page): PageNumber) {
        if let Some(word) = self.words.get_mut(page as usize / 64) {
            *word &= !(1 << (page % 64));
        }
    }

    /// Removes and returns the lowest page.
    pub(super) fn pop(&mut self) -> Option<PageNumber> {
        while let Some(word) = self.words.get_mut(self.first) {
            if *word != 0 {
                let bit = word.trailing_zeros();
                *word &= *word - 1;
                return Some(PageNumber(self.first as u32 * 64 + bit));
            }
            self.first += 1;
        }
        None
    }

    pub(super) fn is_empty(&self) -> bool {
        self.words.iter().skip(self.first).all(|word| *word == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_come_out_once_in_ascending_order() {
        let mut set = PageSet::default();
        for page in [700, 3, 64, 3, 63] {
            set.insert(PageNumber(page));
        }
        set.remove(PageNumber(64));
        assert_eq!(set.pop(), Some(PageNumber(3)));
        set.insert(PageNumber(1));
        let rest: Vec<u32> = std::iter::from_fn(|| set.pop())
            .map(|page| page.0)
            .collect();
        assert_eq!(rest, [1, 63, 700]);
        assert!(set.is_empty());
    }
}
