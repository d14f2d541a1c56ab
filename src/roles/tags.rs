//! What a socket or a timer is to a role, and which one: both in the tag that it carries.

/// The tag of the one with this index, among those of a kind.
///
/// # Panics
/// Where the index has more than 28 bits, or the kind more than 4: no limit allows so many.
pub(crate) const fn pack(kind: u32, index: usize) -> u32 {
    assert!(index < 1 << INDEX_BITS, "more than any limit allows");
    assert!(kind < 1 << (u32::BITS - INDEX_BITS), "so many kinds");
    kind << INDEX_BITS | index as u32
}

/// The kind and the index.
pub(crate) const fn unpack(tag: u32) -> (u32, usize) {
    (tag >> INDEX_BITS, (tag & ((1 << INDEX_BITS) - 1)) as usize)
}

const INDEX_BITS: u32 = 28;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_come_back_as_they_were() {
        for kind in [0, 1, 15] {
            for index in [0, 1, (1 << 28) - 1] {
                assert_eq!(unpack(pack(kind, index)), (kind, index));
            }
        }
    }
}
