//! The index from the ids of rules to the tests that prove them, made from the comments above the
//! tests: `// CONTRACT R6, R9`.
//!
//! ```sh
//! cargo test -q --test rules             # every rule, and how many tests name it
//! cargo test -q --test rules -- R6 I4b   # the tests of these
//! ```
//!
//! It fails if a rule of `docs/CONTRACT.md` has no test, and if a test names a rule that is not
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs};

const CONTRACT: &str = "docs/CONTRACT.md";
const ROOTS: [&str; 2] = ["src", "tests"];

/// Rules whose code is still to come: picks of a balancer of our own.
const TO_COME: [&str; 1] = ["X6"];

/// The letters of the chapters.
const CHAPTERS: &str = "RPTXDWCNLOGESHIBQV";

/// What names a rule: a chapter, a number, and perhaps a letter of its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rule(char, u32, Option<char>);

/// A test, as its place and its name.
struct Test {
    file: PathBuf,
    line: usize,
    name: String,
}

type Index = BTreeMap<Rule, Vec<Test>>;

impl Rule {
    fn parse(word: &str) -> Option<Self> {
        let mut letters = word.chars();
        let chapter = letters.next()?;
        let rest = letters.as_str();
        let number = rest.trim_end_matches(|last: char| last.is_ascii_lowercase());
        let mut own = rest.get(number.len()..)?.chars();
        let rule = Self(chapter, number.parse().ok()?, own.next());
        (chapter.is_ascii_uppercase() && own.next().is_none()).then_some(rule)
    }

    /// All that a text names.
    fn all_in(text: &str) -> impl Iterator<Item = Self> {
        // The hyphen keeps the names of peers' cases apart: `A6-hint`.
        let words = text.split(|it: char| !it.is_alphanumeric() && it != '-' && it != '_');
        words.filter_map(Self::parse)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(chapter, number, own) = self;
        write!(f, "{chapter}{number}")?;
        own.map_or(Ok(()), |own| write!(f, "{own}"))
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} {}", self.file.display(), self.line, self.name)
    }
}

/// Adds the tests of a file. A comment belongs to the test below it, attributes between them aside.
fn add(index: &mut Index, file: &Path, text: &str) {
    let mut rules = BTreeSet::new();
    let mut is_test = false;
    for (line, code) in (1..).zip(text.lines()) {
        let code = code.trim();
        if let Some(comment) = code.strip_prefix("//") {
            let said = comment.split_once("CONTRACT");
            rules.extend(said.into_iter().flat_map(|(_, said)| Rule::all_in(said)));
        } else if let Some(attribute) = code.strip_prefix("#[") {
            let tests = ["test]", "tokio::test", "transports::test"];
            is_test |= tests.iter().any(|test| attribute.starts_with(test));
        } else {
            let named = std::mem::take(&mut rules);
            let signature = code
                .split_once("fn ")
                .filter(|_| std::mem::take(&mut is_test));
            let name = signature.and_then(|(_, rest)| rest.split(['(', '<']).next());
            for (rule, name) in named.into_iter().zip(name.into_iter().cycle()) {
                let (file, name) = (file.to_owned(), name.to_owned());
                index
                    .entry(rule)
                    .or_default()
                    .push(Test { file, line, name });
            }
        }
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if !path.ends_with("target") {
                sources(&path, found)?;
            }
        } else if path.extension().is_some_and(|it| it == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(())
}

/// What is wrong with the index.
fn faults(index: &Index, contract: &BTreeSet<Rule>) -> Vec<String> {
    let is_to_come = |rule: &&Rule| TO_COME.contains(&&*rule.to_string());
    let untested = contract.iter().filter(|rule| !index.contains_key(rule));
    let untested = untested.filter(|rule| !is_to_come(rule));
    let untested = untested.map(|rule| format!("no test names {rule} of {CONTRACT}"));
    let unknown = index.iter().filter(|(rule, _)| !contract.contains(rule));
    let unknown = unknown.map(|(rule, tests)| match tests.first() {
        Some(test) => format!("{CONTRACT} has no {rule}, which this test names: {test}"),
        None => format!("{CONTRACT} has no {rule}"),
    });
    untested.chain(unknown).collect()
}

fn run() -> Result<Vec<String>, Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let contract = fs::read_to_string(root.join(CONTRACT))?;
    let contract: BTreeSet<_> = Rule::all_in(&contract)
        .filter(|rule| CHAPTERS.contains(rule.0))
        .collect();
    let mut index = Index::new();
    let mut files = Vec::new();
    for folder in ROOTS {
        sources(&root.join(folder), &mut files)?;
    }
    for file in files {
        add(
            &mut index,
            file.strip_prefix(root)?,
            &fs::read_to_string(&file)?,
        );
    }
    index.retain(|rule, _| CHAPTERS.contains(rule.0));

    let asked: Vec<_> = env::args()
        .skip(1)
        .filter_map(|word| Rule::parse(&word))
        .collect();
    for rule in &asked {
        let tests = index.get(rule).map_or(&[][..], |tests| tests);
        println!("{rule}: {} tests", tests.len());
        for test in tests {
            println!("  {test}");
        }
    }
    if asked.is_empty() {
        for (rule, tests) in &index {
            println!("{rule:<5}{:>4}  {}", tests.len(), first_words(tests));
        }
    }
    Ok(faults(&index, &contract))
}

fn first_words(tests: &[Test]) -> &str {
    tests.first().map_or("", |test| &test.name)
}

fn main() -> ExitCode {
    match run() {
        Ok(faults) => {
            for fault in &faults {
                eprintln!("{fault}");
            }
            if faults.is_empty() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            eprintln!("the index of rules can't be made: {error}");
            ExitCode::FAILURE
        }
    }
}
