//! A global allocator that counts the allocations of selected threads.
//!
//! A thread counts into the meter that it has entered; other threads are not counted. It does not see RocksDB's
//! allocations, which are made in C++. Bounds: [`METERS_MAX`] meters.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Meters of one process; the tests of this binary need two each.
const METERS_MAX: usize = 32;

/// The meter of threads that have entered none; it does not count.
const NO_METER: usize = 0;

static COUNTS: [AtomicU64; METERS_MAX] = [const { AtomicU64::new(0) }; METERS_MAX];
static NEXT: AtomicUsize = AtomicUsize::new(NO_METER + 1);

thread_local! {
    // Constant and without a destructor: reading it never allocates, at any time in a thread's life.
    static METER: Cell<usize> = const { Cell::new(NO_METER) };
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

struct Counting;

fn count() {
    let meter = METER.try_with(Cell::get).unwrap_or(NO_METER);
    if meter != NO_METER {
        COUNTS[meter].fetch_add(1, Ordering::Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments unchanged; counting touches
// only an atomic and a thread-local without a destructor, so it neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc`, which is the same one.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps the contract of `alloc_zeroed`, which is the same one.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: `pointer` came from `System` by the functions above; the rest is the caller's.
        unsafe { System.realloc(pointer, layout, bytes) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `System` by the functions above; the rest is the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Counts the allocations of the threads that enter it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Meter(usize);

impl Meter {
    /// A new meter, which no thread has entered.
    pub(crate) fn new() -> Self {
        let meter = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(meter < METERS_MAX, "raise METERS_MAX");
        Self(meter)
    }

    /// Counts the allocations of this thread from now on.
    pub(crate) fn enter(self) {
        METER.set(self.0);
    }

    /// Allocations so far.
    pub(crate) fn count(self) -> u64 {
        COUNTS[self.0].load(Ordering::Relaxed)
    }
}
