use std::borrow::Cow;

const TOKEN: &str = "token=";
const HIDDEN: &str = "***";

/// A text of a target as it can be shown. A token in a target is a fault, and a fault is shown.
pub(in crate::channel) fn shown(text: &str) -> Cow<'_, str> {
    if !text.contains(TOKEN) {
        return text.into();
    }
    let mut parts = text.split(TOKEN);
    let mut shown = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let is_end = |it: char| "&,`".contains(it) || it.is_whitespace();
        let rest = part.find(is_end).and_then(|end| part.get(end..));
        shown.push_str(TOKEN);
        shown.push_str(HIDDEN);
        shown.push_str(rest.unwrap_or_default());
    }
    shown.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    // CONTRACT N7
    #[test]
    fn a_token_is_hidden_and_nothing_else() {
        for (text, expected) in [
            ("consul:///orders?tag=a", "consul:///orders?tag=a"),
            ("consul:///a?token=s3cret", "consul:///a?token=***"),
            ("`x://a?token=s3cret` is no", "`x://a?token=***` is no"),
            (
                "multi:///consul:///a?token=s3cret&tag=b,consul:///c?token=s3cret,d:1",
                "multi:///consul:///a?token=***&tag=b,consul:///c?token=***,d:1",
            ),
        ] {
            assert_eq!(shown(text), expected);
        }
    }
}
