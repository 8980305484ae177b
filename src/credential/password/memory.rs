//! The memory that hashing works in. Each thread has blocks of its own and uses them again; all of it is counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Block;

/// How much memory hashing holds, and how much it ever held, in KiB.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    held: AtomicUsize,
    peak: AtomicUsize,
}

impl Ledger {
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(super) fn peak(&self) -> usize {
        self.peak.load(Ordering::Relaxed)
    }

    fn enter(self: &Arc<Self>, kib: usize) -> Entry {
        let held = self.held.fetch_add(kib, Ordering::Relaxed) + kib;
        self.peak.fetch_max(held, Ordering::Relaxed);
        Entry { kib, ledger: Arc::clone(self) }
    }
}

/// Memory that is held.
#[derive(Debug)]
pub(super) struct Entry {
    kib: usize,
    ledger: Arc<Ledger>,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.ledger.held.fetch_sub(self.kib, Ordering::Relaxed);
    }
}

/// There is no memory left.
#[derive(Debug)]
pub(super) struct OutOfMemory;

/// The memory of one thread.
#[derive(Debug)]
pub(super) struct Memory {
    /// How many blocks (of 1 KiB) it may keep.
    own: usize,
    kept: Option<Blocks>,
    ledger: Arc<Ledger>,
}

#[derive(Debug)]
struct Blocks {
    blocks: Vec<Block>,
    _entry: Entry,
}

impl Memory {
    pub(super) const fn new(own_kib: u32, ledger: Arc<Ledger>) -> Self {
        Self { own: own_kib as usize, kept: None, ledger }
    }

    /// Lends so many blocks: those that are kept, or others if these do not suffice.
    pub(super) fn lend<T>(&mut self, count: usize, work: impl FnOnce(&mut [Block]) -> T) -> Result<T, OutOfMemory> {
        if count > self.own {
            return Ok(work(&mut self.allocate(count)?.blocks));
        }
        let mut kept = match self.kept.take() {
            Some(kept) => kept,
            None => self.allocate(self.own)?,
        };
        let result = work(&mut kept.blocks);
        self.kept = Some(kept);
        Ok(result)
    }

    /// Counts memory that a library takes for itself.
    pub(super) fn count(&self, kib: usize) -> Entry {
        self.ledger.enter(kib)
    }

    /// Gives back what is kept.
    pub(super) fn release(&mut self) {
        self.kept = None;
    }

    fn allocate(&self, count: usize) -> Result<Blocks, OutOfMemory> {
        let mut blocks = Vec::new();
        blocks.try_reserve_exact(count).map_err(|_| OutOfMemory)?;
        blocks.resize(count, Block::new());
        Ok(Blocks { blocks, _entry: self.ledger.enter(count) })
    }
}
