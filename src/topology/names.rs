//! Millions of short names in one buffer, and finding them again by number.
//!
//! A `String` costs 24 bytes and an allocation, and a hash map of them much more; here a name costs
//! its bytes, 4 bytes of offset, and 6.7 bytes where it can be looked up.

use std::hash::{BuildHasher, RandomState};

/// Names numbered from 0. The bytes of all together must stay under 4 GiB.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
}

impl Names {
    /// Packs names into a buffer of just their size.
    pub(super) fn pack<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Self {
        let (count, bytes) = names.clone().fold((0, 0), |(count, bytes), name| {
            (count + 1, bytes + name.len())
        });
        let mut text = String::with_capacity(bytes);
        let mut ends = Vec::with_capacity(count);
        for name in names {
            text.push_str(name);
            #[allow(
                clippy::cast_possible_truncation,
                reason = "the definition was checked to hold less than 4 GiB of names"
            )]
            ends.push(text.len() as u32);
        }
        Self { text, ends }
    }

    /// The name of that number.
    #[inline]
    pub(super) fn get(&self, no: u32) -> &str {
        let no = no as usize;
        let start = if no == 0 { 0 } else { self.ends[no - 1] };
        &self.text[start as usize..self.ends[no] as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.text.capacity() + self.ends.capacity() * size_of::<u32>()
    }
}

/// Names of some numbers only.
#[derive(Debug, Default)]
pub(super) struct SparseNames {
    /// Ascending.
    numbers: Vec<u32>,
    names: Names,
}

impl SparseNames {
    /// Packs names that come in ascending order of their numbers.
    pub(super) fn pack<'a>(names: impl Iterator<Item = (u32, &'a str)> + Clone) -> Self {
        Self {
            numbers: names.clone().map(|(no, _)| no).collect(),
            names: Names::pack(names.map(|(_, name)| name)),
        }
    }

    /// The name of a number, if it has one.
    pub(super) fn get(&self, no: u32) -> Option<&str> {
        let at = self.numbers.binary_search(&no).ok()?;
        u32::try_from(at).ok().map(|at| self.names.get(at))
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>() + self.names.resident_bytes()
    }
}

/// Finds the number of a name: open addressing with linear probing, three quarters full.
///
/// It keeps numbers only; whoever asks says how the name of a number reads. A byte of the hash
/// beside each number keeps it from being asked in vain.
#[derive(Debug, Default)]
pub(super) struct NameIndex {
    /// 0 is free.
    tags: Vec<u8>,
    numbers: Vec<u32>,
    hasher: RandomState,
}

impl NameIndex {
    /// Room for so many names, which must not be exceeded.
    pub(super) fn with_capacity(count: usize) -> Self {
        let slots = count + count / 3 + 1;
        Self {
            tags: vec![0; slots],
            numbers: vec![0; slots],
            hasher: RandomState::new(),
        }
    }

    /// Enters a name; says `false` and keeps the earlier number if it was there already.
    pub(super) fn insert<'a>(&mut self, no: u32, name_of: impl Fn(u32) -> &'a str) -> bool {
        match self.find(name_of(no), name_of) {
            Err(Some((slot, tag))) => {
                self.tags[slot] = tag;
                self.numbers[slot] = no;
                true
            }
            Ok(_) | Err(None) => false,
        }
    }

    /// The number of a name.
    pub(super) fn get<'a>(&self, name: &str, name_of: impl Fn(u32) -> &'a str) -> Option<u32> {
        self.find(name, name_of).ok()
    }

    /// The number of a name, or the free slot where it belongs and its tag; no slot if there is no
    /// room for any name.
    fn find<'a>(
        &self,
        name: &str,
        name_of: impl Fn(u32) -> &'a str,
    ) -> Result<u32, Option<(usize, u8)>> {
        if self.tags.is_empty() {
            return Err(None);
        }
        let hash = self.hasher.hash_one(name);
        // The high bits scaled to the number of slots, which needs no power of two; the tag is of
        // the low bits.
        #[allow(
            clippy::cast_possible_truncation,
            reason = "the product shifted right is less than the number of slots"
        )]
        let mut slot = ((u128::from(hash) * self.tags.len() as u128) >> 64) as usize;
        let tag = hash.to_le_bytes()[0].max(1);
        loop {
            if self.tags[slot] == 0 {
                return Err(Some((slot, tag)));
            }
            if self.tags[slot] == tag && name_of(self.numbers[slot]) == name {
                return Ok(self.numbers[slot]);
            }
            slot += 1;
            if slot == self.tags.len() {
                slot = 0;
            }
        }
    }

    /// Gives each number below `new.len()` its new number.
    pub(super) fn renumber(&mut self, new: &[u32]) {
        for (number, &tag) in self.numbers.iter_mut().zip(&self.tags) {
            if tag != 0
                && let Some(&new) = new.get(*number as usize)
            {
                *number = new;
            }
        }
    }

    pub(super) fn resident_bytes(&self) -> usize {
        self.tags.capacity() + self.numbers.capacity() * size_of::<u32>()
    }
}
