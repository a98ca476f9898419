//! Random draws that stay the same for ever: the stream is ChaCha8, the sampling is written here,
//! so that no library's change of sampling method changes a district.

use rand_chacha::{
    ChaCha8Rng,
    rand_core::{RngCore, SeedableRng},
};

/// What a draw is for; each has its own random stream per index.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Person = 1,
    Couple = 2,
    Enterprise = 3,
    Project = 4,
    Licence = 5,
    Order = 6,
    Pull = 7,
    Wedding = 8,
    Capital = 9,
}

/// The source of all draws of one district.
#[derive(Clone)]
pub(crate) struct Source(ChaCha8Rng);

impl Source {
    pub(crate) fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    /// The draws for one thing: they depend on seed, purpose and index alone.
    pub(crate) fn draw(&self, purpose: Purpose, index: u64) -> Draw {
        let mut stream = self.0.clone();
        // The top byte tells the purposes apart; an index never reaches it (`MAX_*` in lib.rs).
        stream.set_stream(((purpose as u64) << 56) | index);
        stream.set_word_pos(0);
        Draw(stream)
    }

    /// A permutation of `0..size`, the same for the same purpose and size.
    pub(crate) fn shuffle(&self, purpose: Purpose, size: u64) -> Shuffle {
        let mut draw = self.draw(purpose, size);
        let size = size.max(1);
        let mut factor = 1 + draw.next(size);
        while gcd(factor, size) != 1 {
            factor += 1;
        }
        Shuffle { size, factor, offset: draw.next(size) }
    }
}

/// The draws for one thing.
pub(crate) struct Draw(ChaCha8Rng);

impl Draw {
    /// A number below `bound`; 0 if `bound` is 0. Multiply-shift: the bias is below 2⁻³² for the
    /// bounds used here.
    pub(crate) fn next(&mut self, bound: u64) -> u64 {
        ((u128::from(self.0.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + self.next((high - low + 1).max(1) as u64) as i64
    }

    /// True in `percent` of a hundred draws.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next(100) < percent
    }

    /// One of the items.
    pub(crate) fn one<'a>(&mut self, items: &[&'a str]) -> &'a str {
        items[self.next(items.len() as u64) as usize]
    }

    /// An item of a table sorted by falling frequency: the lower of two draws, so that the first
    /// tenth of the table makes up a fifth of the results, as with surnames.
    pub(crate) fn frequent<'a>(&mut self, items: &[&'a str]) -> &'a str {
        let size = items.len() as u64;
        items[self.next(size).min(self.next(size)) as usize]
    }
}

/// `index ↦ (factor · index + offset) mod size`, one-to-one because factor and size are coprime.
#[derive(Clone, Copy)]
pub(crate) struct Shuffle {
    size: u64,
    factor: u64,
    offset: u64,
}

impl Shuffle {
    pub(crate) fn place(&self, index: u64) -> u64 {
        let product = u128::from(self.factor) * u128::from(index) + u128::from(self.offset);
        (product % u128::from(self.size)) as u64
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shuffle_reaches_every_place_once() {
        for size in [1, 2, 7, 1000, 4096] {
            let shuffle = Source::new(9).shuffle(Purpose::Order, size);
            let mut places: Vec<_> = (0..size).map(|index| shuffle.place(index)).collect();
            places.sort_unstable();
            assert!(places.into_iter().eq(0..size));
        }
    }

    #[test]
    fn draws_for_one_index_do_not_depend_on_the_draws_before() {
        let source = Source::new(1);
        let mut early = source.draw(Purpose::Person, 7);
        let _ = source.draw(Purpose::Person, 6).next(10);
        let mut late = source.draw(Purpose::Person, 7);
        assert_eq!(early.next(1 << 40), late.next(1 << 40));
        assert_ne!(
            source.draw(Purpose::Person, 7).next(1 << 40),
            source.draw(Purpose::Enterprise, 7).next(1 << 40)
        );
    }
}
