//! A facet word, or none, in 64 bits: columns and feeds have one or two of them for every device or change.
//!
//! Pure values.

use muster_engine::FacetWord;

/// No facet word: words have 53 bits.
const NONE: u64 = u64::MAX;

/// The packed form.
pub(super) fn pack(facets: Option<FacetWord>) -> u64 {
    facets.map_or(NONE, |word| word.0)
}

/// Reverses [`pack`].
pub(super) fn unpack(packed: u64) -> Option<FacetWord> {
    (packed != NONE).then_some(FacetWord(packed))
}
