//! Choices that can be repeated: every decision of the sandbox is drawn from a generator keyed by the seed and by
//! what the decision is about, never from a shared stream, so that concurrency cannot change what happens.
//! Not for secrets.

const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;

/// SplitMix64's finaliser: one well-mixed word out of any word.
pub(crate) fn mix(word: u64) -> u64 {
    let mut z = word;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The `index`-th word of the stream that starts at `seed`; any word can be made without those before it.
pub(crate) fn word_at(seed: u64, index: u64) -> u64 {
    mix(seed.wrapping_add(index.wrapping_add(1).wrapping_mul(GOLDEN)))
}

/// A small generator (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Rng {
    state: u64,
}

impl Rng {
    /// The generator for the one decision that `key` names.
    pub(crate) fn keyed(seed: u64, key: &str) -> Rng {
        let hash =
            key.bytes().fold(FNV_OFFSET, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME));
        Rng { state: mix(seed ^ mix(hash)) }
    }

    pub(crate) fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A number below `bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        if bound == 0 { 0 } else { self.next_u64() % bound }
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// A number in `[0, 1)`.
    pub(crate) fn unit(&mut self) -> f64 {
        // 53 bits are what a double holds exactly.
        let bits = u32::try_from(self.next_u64() >> 32).unwrap_or(u32::MAX);
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }

    pub(crate) fn between_f64(&mut self, low: f64, high: f64) -> f64 {
        low + self.unit() * (high - low)
    }

    /// True with the given probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let index = usize::try_from(self.below(choices.len() as u64)).unwrap_or(0);
        &choices[index]
    }

    /// Lower-case hexadecimal text of `digits` digits.
    pub(crate) fn hex(&mut self, digits: usize) -> String {
        let mut text = String::with_capacity(digits + 16);
        while text.len() < digits {
            text.push_str(&format!("{:016x}", self.next_u64()));
        }
        text.truncate(digits);
        text
    }

    /// Letters and digits.
    pub(crate) fn alphanumeric(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
        (0..length).map(|_| char::from(*self.pick(ALPHABET))).collect()
    }

    /// A GUID of version 4's shape.
    pub(crate) fn guid(&mut self) -> String {
        let hex = self.hex(32);
        let variant = ["8", "9", "a", "b"][usize::try_from(self.below(4)).unwrap_or(0)];
        format!("{}-{}-4{}-{variant}{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..])
    }
}

#[cfg(test)]
mod tests {
    use super::Rng;

    #[test]
    fn the_same_key_draws_the_same_and_another_key_differs() {
        let draw = |key: &str| Rng::keyed(7, key).hex(40);
        assert_eq!(draw("a/1/id"), draw("a/1/id"));
        assert_ne!(draw("a/1/id"), draw("a/2/id"));
        assert_eq!(Rng::keyed(1, "g").guid().len(), 36);
    }
}
