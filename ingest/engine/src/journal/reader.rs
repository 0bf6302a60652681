//! Reads the journal of one shard in order, beside its pages.
//!
//! Recovery and the oracles over disk and history read with it. Every event of a device names its slot, and a page has
//! the sequence up to which it includes events: those are skipped, so that the others arrive in exactly the state in
//! which they happened. What an event does is decided by whoever reads. Memory: eight bytes for each page.

use super::{JournalError, JournalValue};
use crate::ids::{PageNumber, Sequence};
use crate::page::{self, Page};

/// The pages and the journal of a shard. Pass in pages, the sequence of the checkpoint, then the values.
#[derive(Clone, Debug, Default)]
pub struct JournalReader {
    /// By page: the sequence up to which it includes events; 0 for a page that is not on disk.
    pages: Vec<Sequence>,
    /// That of the last value.
    sequence: Sequence,
}

impl JournalReader {
    /// Reads a page. Pages may come in any order.
    pub fn page(&mut self, number: PageNumber, bytes: &[u8]) -> Result<Page, JournalError> {
        let page = page::decode(bytes).ok_or(JournalError("not a page of a known format"))?;
        if number > PageNumber::MAX {
            return Err(JournalError("the page number is above the maximum"));
        }
        let index = number.0 as usize;
        if self.pages.len() <= index {
            self.pages.resize(index + 1, Sequence(0));
        }
        self.pages[index] = page.sequence;
        Ok(page)
    }

    /// Ends the pages: they include all events up to this sequence.
    pub fn checkpoint(&mut self, sequence: Sequence) {
        self.sequence = sequence;
    }

    /// Reads the next value; [`JournalError::GAP`] if this is another one.
    pub fn value<'a>(
        &'a mut self,
        sequence: Sequence,
        bytes: &'a [u8],
    ) -> Result<JournalValue<'a>, JournalError> {
        if sequence != self.sequence.next() {
            return Err(JournalError::GAP);
        }
        self.sequence = sequence;
        JournalValue::beside_pages(bytes, sequence, &self.pages)
    }

    /// The highest sequence of a page.
    pub(crate) fn page_sequence(&self) -> Sequence {
        self.pages.iter().copied().max().unwrap_or_default()
    }
}
