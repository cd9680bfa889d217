//! Sets of UIDs as commands name them.

/// `1:3,7`: numbers only, so that nothing can be smuggled into the command.
pub(super) fn set_of(uids: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    let mut sorted = uids.to_vec();
    sorted.sort_unstable();
    for uid in sorted {
        match ranges.last_mut() {
            Some((_, last)) if *last == uid || last.checked_add(1) == Some(uid) => *last = uid,
            _ => ranges.push((uid, uid)),
        }
    }
    let texts = ranges.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a}:{b}") });
    texts.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_become_ranges() {
        assert_eq!(set_of(&[7, 1, 2, 3, 3, u32::MAX]), "1:3,7,4294967295");
    }
}
