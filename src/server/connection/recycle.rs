//! How does a list of borrowed things keep its allocation when what it borrowed from is gone?

/// An empty vector that keeps the allocation of another, whatever lifetimes its items had: the
/// library collects in place when the layouts agree.
pub(super) fn recycle<A, B>(mut items: Vec<A>) -> Vec<B> {
    items.clear();
    items.into_iter().map(|_| unreachable!("the vector was cleared")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycling_keeps_the_allocation() {
        let text = String::from("x");
        let mut items: Vec<&[u8]> = Vec::with_capacity(100);
        items.push(text.as_bytes());
        let pointer = items.as_ptr() as usize;
        let again: Vec<&'static [u8]> = recycle(items);
        assert!(again.is_empty());
        assert_eq!((again.capacity(), again.as_ptr() as usize), (100, pointer));
    }
}
