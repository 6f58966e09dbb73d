//! The front page of the documentation names the fields of all events.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names of the fields in one call of a macro of `tracing`, which ends with its message.
fn fields(call: &str) -> impl Iterator<Item = &str> {
    let fields = call.split('"').next().unwrap_or_default();
    let names = fields.split(',').map(|field| {
        let name = field.split('=').next().unwrap_or_default();
        name.trim().trim_start_matches(['?', '%'])
    });
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    names.filter(move |name| !name.is_empty() && name.bytes().all(is_name))
}

// CONTRACT V1
#[test]
fn the_front_page_names_each_field_of_each_event() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let page = fs::read_to_string(source.join("lib.rs")).unwrap();
    let page: String = page.lines().filter(|it| it.starts_with("//!")).collect();
    let mut known = BTreeSet::new();
    for file in fs::read_dir(source.join("events")).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        for call in text.split("target: TARGET,").skip(1) {
            known.extend(fields(call).map(str::to_owned));
        }
    }
    assert!(known.contains("method") && known.contains("endpoint") && known.len() > 30);
    let missing: Vec<_> = known
        .iter()
        .filter(|field| !page.contains(&format!("`{field}`")))
        .collect();
    assert_eq!(missing, [""; 0], "fields that `src/lib.rs` does not name");
}
