//! Source files, and the paths that they name.

use std::collections::BTreeMap;
use std::path::Path;
use std::{fs, io};

use proc_macro2::LexError;

use super::WINGS;
use super::tokens::Tokens;

/// A source file: its path below `src`, the module it is, and its code.
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) module: Vec<String>,
    pub(crate) tokens: Tokens,
}

/// What a file re-exports: the name, and the path below its own module at which that stands.
pub(crate) type Exports = BTreeMap<String, Vec<String>>;

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Result<Self, LexError> {
        let stem = path.trim_end_matches(".rs").trim_end_matches("/mod");
        let module = stem.split('/').filter(|segment| *segment != "lib");
        Ok(Self {
            path: path.to_owned(),
            module: module.map(str::to_owned).collect(),
            tokens: Tokens::parse(text)?,
        })
    }

    pub(crate) fn room(&self) -> String {
        room_of(&self.module)
    }

    pub(crate) fn name(&self) -> &str {
        self.module.last().map_or("lib", String::as_str)
    }

    /// The code without its tests.
    pub(crate) fn shipped(&self) -> Tokens {
        if self.module.iter().any(|segment| segment == "tests") {
            return Tokens::default();
        }
        self.tokens.without_tests()
    }

    pub(crate) fn exports(&self) -> Exports {
        let mut leaves = Vec::new();
        for at in 0..self.tokens.0.len() {
            if self.tokens.text(at) == "use" {
                leaves_of(&self.tokens, at + 1, &self.module, &mut leaves);
            }
        }
        let depth = self.module.len();
        leaves
            .into_iter()
            .filter(|leaf| leaf.path.len() > depth + 1 && leaf.path.starts_with(&self.module))
            .filter_map(|leaf| {
                let below = leaf.path.get(depth..)?.to_vec();
                Some((leaf.alias.or(leaf.path.last().cloned())?, below))
            })
            .collect()
    }
}

/// The room at the start of a path: a folder of `src`, or of one of its wings.
pub(crate) fn room_of(path: &[String]) -> String {
    match path {
        [] => "lib".to_owned(),
        [wing, room, ..] if WINGS.contains(&wing.as_str()) => format!("{wing}/{room}"),
        [room, ..] => room.clone(),
    }
}

/// Reads every source file below `root`, in the order of their paths.
pub(crate) fn read(root: &Path) -> io::Result<Vec<File>> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let below = path.strip_prefix(root).map_err(io::Error::other)?;
                let below = below.to_string_lossy().replace('\\', "/");
                let file = File::new(&below, &fs::read_to_string(&path)?);
                files.push(file.map_err(|error| io::Error::other(format!("{below}: {error}")))?);
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// A path as code names it, from the root of the crate on.
pub(crate) struct Name {
    pub(crate) path: Vec<String>,
    pub(crate) alias: Option<String>,
    pub(crate) line: usize,
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "crate")?;
        self.path
            .iter()
            .try_for_each(|segment| write!(f, "::{segment}"))
    }
}

/// Every path that starts with `crate`, `super` or `self`, wherever it stands.
///
/// No other path leads into another room: what it starts with was imported, is a child of the
/// module, or is another crate.
pub(crate) fn names(tokens: &Tokens, module: &[String]) -> Vec<Name> {
    let mut names = Vec::new();
    let mut module = module.to_vec();
    let mut inline_modules = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while at < tokens.0.len() {
        match tokens.text(at) {
            "mod" if tokens.text(at + 2) == "{" => {
                inline_modules.push(depth);
                module.push(tokens.text(at + 1).to_owned());
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.saturating_sub(1);
                if inline_modules.pop_if(|opened| *opened == depth).is_some() {
                    module.pop();
                }
            }
            "crate" | "super" if !tokens.is_visibility(at) => {
                at = leaves_of(tokens, at, &module, &mut names);
                continue;
            }
            "self" if tokens.text(at + 1) == "::" => {
                at = leaves_of(tokens, at, &module, &mut names);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    names
}

/// Collects the paths of the tree that starts at `at`, and says where it ends.
pub(crate) fn leaves_of(
    tokens: &Tokens,
    mut at: usize,
    base: &[String],
    leaves: &mut Vec<Name>,
) -> usize {
    let mut path = base.to_vec();
    loop {
        match tokens.text(at) {
            "{" => {
                at += 1;
                while !matches!(tokens.text(at), "}" | "") {
                    at = leaves_of(tokens, at, &path, leaves);
                    at += usize::from(tokens.text(at) == ",");
                }
                return at + 1;
            }
            "crate" => path.clear(),
            "super" => drop(path.pop()),
            "self" => {}
            segment => path.push(segment.to_owned()),
        }
        if tokens.text(at + 1) == "::" && tokens.text(at + 2) != "<" {
            at += 2;
            continue;
        }
        let line = tokens.line(at);
        let alias = (tokens.text(at + 1) == "as").then(|| tokens.text(at + 2).to_owned());
        at += if alias.is_some() { 3 } else { 1 };
        leaves.push(Name { path, alias, line });
        return at;
    }
}
