//! Groups items with equal keys.

/// Groups items with equal keys. The groups are in the order of their first items. The items of a group keep their
/// order.
pub(crate) fn groups<'a, T, K: PartialEq>(
    items: impl Iterator<Item = &'a T>,
    key: impl Fn(&'a T) -> K,
) -> Vec<(K, Vec<&'a T>)> {
    let mut groups: Vec<(K, Vec<&T>)> = Vec::new();
    for item in items {
        let key = key(item);
        match groups.iter_mut().find(|(other, _)| *other == key) {
            Some((_, group)) => group.push(item),
            None => groups.push((key, vec![item])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_and_items_keep_their_order() {
        let by_tens = groups([21, 3, 24, 1, 22].iter(), |number| number / 10);
        assert_eq!(by_tens, [(2, vec![&21, &24, &22]), (0, vec![&3, &1])]);
    }
}
