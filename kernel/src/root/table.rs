//! An ordered table whose rows carry their own hash.
//!
//! Owns: rows by key, and the hash over them. Does not know: what a row is about.
//!
//! 1. A row's hash is made when the row is put, so the hash over a table costs 32 bytes a row however large rows are.
//! 2. A copy of a table shares its rows.
//! 3. The hash depends on the rows only, not on how they came to be.

use std::{
    borrow::Borrow,
    collections::{BTreeMap, btree_map},
    ops::RangeBounds,
    sync::{Arc, OnceLock},
};

use super::wire::{Encode, encode};

/// A row that holds its own key.
pub trait Row: Clone + PartialEq + Encode {
    /// What it is found by.
    type Key: Ord + Clone;
    /// Its key.
    fn key(&self) -> Self::Key;
}

#[derive(PartialEq, Debug)]
struct Held<R> {
    row: R,
    hash: [u8; 32],
}

/// Rows by key.
pub struct Table<R: Row> {
    rows: BTreeMap<R::Key, Arc<Held<R>>>,
    // Of the whole table, until it changes.
    hash: OnceLock<[u8; 32]>,
}

impl<R: Row> Table<R> {
    /// Puts a row, in place of the one with the same key.
    pub fn put(&mut self, row: R) {
        self.hash = OnceLock::new();
        let hash = *blake3::hash(&encode(&row)).as_bytes();
        self.rows.insert(row.key(), Arc::new(Held { row, hash }));
    }

    /// Takes a row out.
    pub fn take<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<R>
    where
        R::Key: Borrow<Q>,
    {
        let held = self.rows.remove(key)?;
        self.hash = OnceLock::new();
        Some(Arc::try_unwrap(held).map_or_else(|shared| shared.row.clone(), |held| held.row))
    }

    /// The row with this key.
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&R>
    where
        R::Key: Borrow<Q>,
    {
        self.rows.get(key).map(|held| &held.row)
    }

    /// Is there a row with this key?
    pub fn has<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        R::Key: Borrow<Q>,
    {
        self.rows.contains_key(key)
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Every row, by key.
    pub fn iter(&self) -> Rows<'_, R> {
        Rows(self.rows.values())
    }

    /// Rows with keys in `range`, by key.
    pub fn range<Q: Ord + ?Sized>(&self, range: impl RangeBounds<Q>) -> impl Iterator<Item = &R>
    where
        R::Key: Borrow<Q>,
    {
        self.rows.range(range).map(|(_, held)| &held.row)
    }

    /// BLAKE3 over the rows.
    pub fn hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| {
            let mut hash = blake3::Hasher::new();
            hash.update(&(self.rows.len() as u64).to_le_bytes());
            for held in self.rows.values() {
                hash.update(&held.hash);
            }
            *hash.finalize().as_bytes()
        })
    }

    /// A table of rows in strictly ascending order; `None` if they are not.
    pub fn from_sorted(rows: Vec<R>) -> Option<Self> {
        let mut table = Self::default();
        for row in rows {
            let key = row.key();
            if table.rows.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return None;
            }
            table.put(row);
        }
        Some(table)
    }

    /// The rows in ascending order.
    pub fn to_sorted(&self) -> Vec<R> {
        self.iter().cloned().collect()
    }
}

/// Iterator over a table.
pub struct Rows<'a, R: Row>(btree_map::Values<'a, R::Key, Arc<Held<R>>>);

impl<'a, R: Row> Iterator for Rows<'a, R> {
    type Item = &'a R;
    fn next(&mut self) -> Option<&'a R> {
        self.0.next().map(|held| &held.row)
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<R: Row> Default for Table<R> {
    fn default() -> Self {
        Table { rows: BTreeMap::new(), hash: OnceLock::new() }
    }
}

impl<R: Row> Clone for Table<R> {
    fn clone(&self) -> Self {
        Table { rows: self.rows.clone(), hash: self.hash.clone() }
    }
}

impl<R: Row> PartialEq for Table<R> {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl<R: Row + std::fmt::Debug> std::fmt::Debug for Table<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
