//! What is a fault: each function names all of one kind.

use std::collections::{BTreeMap, BTreeSet};

use super::files::{Exports, File, Name, names, room_of};
use super::{FLOORS, MOST_CODE_LINES, NAME_TONIC, NAME_TRACING, WINGS};

pub(crate) fn broken_floors(files: &[File]) -> Vec<String> {
    let exports = files.iter().find(|file| file.path == "lib.rs");
    let exports = exports.map(File::exports).unwrap_or_default();
    let mut faults = BTreeSet::new();
    for file in files.iter().filter(|file| file.path != "lib.rs") {
        let room = file.room();
        // What a wing has of its own lists its rooms.
        if WINGS.contains(&room.as_str()) {
            continue;
        }
        let Some(floor) = floor_of(&room) else {
            faults.insert(format!(
                "src/{room} is a room without a floor: add it to FLOORS in tests/architecture.rs"
            ));
            continue;
        };
        for name in names(&file.tokens, &file.module) {
            if let Some(why) = forbidden(&room, floor, &name, &exports) {
                let File { path, .. } = file;
                let Name { line, .. } = name;
                faults.insert(format!("src/{path}:{line} names {name}: {why}"));
            }
        }
    }
    faults.into_iter().collect()
}

/// Why a room may not name this; `None` if it may.
pub(crate) fn forbidden(
    room: &str,
    floor: usize,
    name: &Name,
    exports: &Exports,
) -> Option<String> {
    let first = name.path.first().map_or("*", String::as_str);
    if first == "*" {
        return Some("a room never names the whole crate".into());
    }
    let exported = exports.get(first);
    let named = room_of(exported.map_or(&name.path[..], |path| &path[..]));
    if named == room {
        return None;
    }
    let Some(named_floor) = floor_of(&named) else {
        return Some(format!("`{named}` is no room with a floor"));
    };
    let (label, _) = FLOORS.get(floor)?;
    let (named_label, _) = FLOORS.get(named_floor)?;
    match named_floor.cmp(&floor) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal => Some(format!(
            "`{room}` and `{named}` stand side by side ({label}), and a room never names its \
             neighbour"
        )),
        std::cmp::Ordering::Greater => Some(format!(
            "`{named}` ({named_label}) stands above `{room}` ({label}), and a room names only \
             lower floors"
        )),
    }
}

pub(crate) fn floor_of(room: &str) -> Option<usize> {
    FLOORS.iter().position(|(_, rooms)| rooms.contains(&room))
}

/// Circles among the files of one room; an import through `mod.rs` counts as one of the file that
/// the item stands in.
pub(crate) fn circles(files: &[File]) -> Vec<String> {
    let mut faults = Vec::new();
    for home in files.iter().filter(|file| file.path.ends_with("/mod.rs")) {
        let exports = home.exports();
        let children: Vec<&File> = files
            .iter()
            .filter(|file| file.module.len() == home.module.len() + 1)
            .filter(|file| file.module.starts_with(&home.module))
            .collect();
        let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for child in &children {
            let targets = names(&child.shipped(), &child.module)
                .into_iter()
                .filter_map(|name| {
                    let item = name.path.strip_prefix(&*home.module)?.first()?.clone();
                    let module = exports.get(&item).and_then(|path| path.first());
                    let module = module.unwrap_or(&item);
                    let target = children.iter().find(|file| file.name() == module)?;
                    (target.name() != child.name()).then_some(target.name())
                });
            imports.insert(child.name(), targets.collect());
        }
        for start in imports.keys() {
            let way = way(start, start, &imports, &mut BTreeSet::new());
            // Each circle is told once, from its first file.
            if let Some(way) = way.filter(|way| way.iter().all(|file| file >= start)) {
                let room = home.module.join("/");
                let way = way.join(" -> ");
                faults.push(format!("src/{room} imports in a circle: {start} -> {way}"));
            }
        }
    }
    faults
}

pub(crate) fn way<'a>(
    from: &str,
    to: &str,
    imports: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    seen: &mut BTreeSet<&'a str>,
) -> Option<Vec<&'a str>> {
    for next in imports.get(from)? {
        if *next == to {
            return Some(vec![next]);
        }
        if seen.insert(next)
            && let Some(mut way) = way(next, to, imports, seen)
        {
            way.insert(0, next);
            return Some(way);
        }
    }
    None
}

pub(crate) fn strangers_to_tonic(files: &[File]) -> Vec<String> {
    strangers(files, "tonic", &NAME_TONIC, "NAME_TONIC")
}

/// Events have one target and one vocabulary.
pub(crate) fn strangers_to_tracing(files: &[File]) -> Vec<String> {
    strangers(files, "tracing", &NAME_TRACING, "NAME_TRACING")
}

fn strangers(files: &[File], crate_name: &str, adapters: &[&str], list: &str) -> Vec<String> {
    let is_adapter = |path: &str| {
        adapters
            .iter()
            .any(|entry| path == *entry || (entry.ends_with('/') && path.starts_with(entry)))
    };
    let mut faults = Vec::new();
    for file in files.iter().filter(|file| !is_adapter(&file.path)) {
        let (path, shipped) = (&file.path, file.shipped());
        for at in 0..shipped.0.len() {
            let is_path = shipped.text(at + 1) == "::" && !shipped.follows_segment(at);
            if shipped.text(at) == crate_name && (is_path || shipped.before(at) == "use") {
                faults.push(format!(
                    "src/{path}:{} names {crate_name}: move that into an adapter ({list} in \
                     tests/architecture.rs)",
                    shipped.line(at)
                ));
            }
        }
    }
    faults
}

pub(crate) fn long_files(files: &[File]) -> Vec<String> {
    let too_long = |file: &File| {
        let lines: BTreeSet<usize> = file
            .shipped()
            .0
            .iter()
            .flat_map(|token| token.line..=token.last_line)
            .collect();
        (lines.len() > MOST_CODE_LINES).then(|| {
            let (path, count) = (&file.path, lines.len());
            format!("src/{path} has {count} lines of code; the wall is {MOST_CODE_LINES}")
        })
    };
    files.iter().filter_map(too_long).collect()
}
