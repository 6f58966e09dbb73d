/// The method of a request path: its last two segments, `/package.Service/Method`.
///
/// A channel's origin may put a prefix before them.
#[must_use]
pub(crate) fn method_of(path: &str) -> &str {
    // Searches bytes, because the search for a character is tuned for longer texts.
    let slash = |text: &[u8]| text.iter().rposition(|byte| *byte == b'/');
    let bytes = path.as_bytes();
    let service = slash(bytes)
        .and_then(|method| bytes.get(..method))
        .and_then(slash);
    service.and_then(|start| path.get(start..)).unwrap_or(path)
}

/// Whether the path is a method's: a service and a method, both with a name.
pub(crate) fn is_method(path: &str) -> bool {
    path.strip_prefix('/')
        .and_then(|path| path.split_once('/'))
        .is_some_and(|(service, method)| {
            !service.is_empty() && !method.is_empty() && !method.contains('/')
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_has_a_method_at_its_end(path in ".*") {
            prop_assert!(path.ends_with(method_of(&path)));
        }
    }

    #[test]
    fn a_prefix_of_the_origin_is_left_out() {
        assert_eq!(method_of("/kv.v1.Kv/Put"), "/kv.v1.Kv/Put");
        assert_eq!(method_of("/cluster/a/kv.v1.Kv/Put"), "/kv.v1.Kv/Put");
        for odd in ["", "/", "Put", "/Put"] {
            assert_eq!(method_of(odd), odd);
        }
    }
}
