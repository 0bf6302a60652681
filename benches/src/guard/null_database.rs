//! A database that stores only its metadata, so that only instructions of the store are counted.
//!
//! Reads find an empty journal. Values are not copied, so memcpy of the C library is not counted either.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use muster_store::Keyspace;
use muster_store::database::{Database, DatabaseError, Reads, Stored, Visitor, WriteSet};
use muster_store::{Lsn, ReadError, StoreMetrics};

type Meta = BTreeMap<Vec<u8>, Vec<u8>>;

/// A database that stores only the keyspace `Meta`.
#[derive(Debug, Default)]
pub(super) struct NullDatabase {
    meta: Mutex<Meta>,
}

impl NullDatabase {
    fn with<T>(&self, act: impl FnOnce(&mut Meta) -> T) -> T {
        act(&mut self.meta.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Database for NullDatabase {
    fn writes(&self, _bytes: usize) -> Box<dyn WriteSet + '_> {
        Box::new(Writes {
            database: self,
            bytes: 0,
        })
    }

    fn latest(&self) -> Box<dyn Reads + '_> {
        Box::new(MetaReads(self))
    }

    fn snapshot(&self) -> Box<dyn Reads + '_> {
        self.latest()
    }

    fn trim(&self, _first: Lsn, _end: Lsn) -> Result<(), DatabaseError> {
        Ok(())
    }

    fn flush(&self) -> Result<(), DatabaseError> {
        Ok(())
    }

    fn metrics(&self) -> StoreMetrics {
        StoreMetrics::default()
    }
}

struct Writes<'a> {
    database: &'a NullDatabase,
    bytes: usize,
}

impl WriteSet for Writes<'_> {
    fn put(&mut self, keyspace: Keyspace, key: &[u8], value: &[u8]) {
        self.bytes += key.len() + value.len();
        if keyspace == Keyspace::Meta {
            self.database
                .with(|meta| meta.insert(key.to_vec(), value.to_vec()));
        }
    }

    fn delete(&mut self, keyspace: Keyspace, key: &[u8]) {
        self.bytes += key.len();
        if keyspace == Keyspace::Meta {
            self.database.with(|meta| meta.remove(key));
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    fn commit(self: Box<Self>) -> Result<(), DatabaseError> {
        Ok(())
    }
}

struct MetaReads<'a>(&'a NullDatabase);

impl Reads for MetaReads<'_> {
    fn get(&self, keyspace: Keyspace, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        let found = self.0.with(|meta| meta.get(key).cloned());
        Ok(found.filter(|_| keyspace == Keyspace::Meta))
    }

    fn scan(
        &self,
        _keyspace: Keyspace,
        _first: &[u8],
        _end: &[u8],
        _visit: Visitor<'_>,
    ) -> Result<(), ReadError> {
        Ok(())
    }

    fn last(
        &self,
        _keyspace: Keyspace,
        _first: &[u8],
        _end: &[u8],
    ) -> Result<Option<Stored>, ReadError> {
        Ok(None)
    }
}
