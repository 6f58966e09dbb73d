//! A user's own path: an empty crate outside this repository, which depends on this one by path and
//! generates its client, with the five lines of the README.
//!
//! `user_path/` holds the crate's files; the test copies them to a directory for temporary files.
//! What it builds stays in the target directory, so that only the first time takes long.
#![cfg(test)]

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::{env, fs};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// The crate's files as they are here and there.
const FILES: [(&str, &str); 5] = [
    ("Cargo.toml.in", "Cargo.toml"),
    ("build.rs", "build.rs"),
    ("proto/orders.proto", "proto/orders.proto"),
    ("src/main.rs", "src/main.rs"),
    ("src/server.rs", "src/server.rs"),
];

// A user's own path
#[test]
fn a_generated_client_with_the_five_layers_survives_two_restarts_of_its_server() {
    let home = crate_outside_the_repository();
    tell(&format!(
        "a user's crate stands in {}; cargo builds and runs it, minutes the first time",
        home.display()
    ));
    let output = cargo_run(&home);
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    tell(&format!("the user's client says: {}", said.trim()));
    assert!(output.status.success(), "{complained}");
    let calls = said
        .trim()
        .strip_prefix("calls=")
        .and_then(|rest| rest.strip_suffix(" failed=0"))
        .and_then(|calls| calls.parse::<u32>().ok());
    assert!(
        calls.is_some_and(|calls| calls > 20),
        "{said}\n{complained}"
    );
}

#[test]
fn the_five_lines_of_the_readme_are_those_of_the_user_s_crate() {
    let Ok(readme) = fs::read_to_string(Path::new(ROOT).join("README.md")) else {
        return;
    };
    let main = fs::read_to_string(template().join("src/main.rs")).unwrap();
    let block = rust_blocks(&readme)
        .find(|block| block.contains("ServiceBuilder"))
        .expect("README.md shows the layers with a ServiceBuilder in a ```rust block");
    let layers: Vec<_> = layer_lines(block).collect();
    assert_eq!(layers.len(), 5, "{block}");
    assert_eq!(layers, layer_lines(&main).collect::<Vec<_>>());
}

#[test]
fn the_failover_example_follows_the_leader_as_the_readme_does() {
    let Ok(readme) = fs::read_to_string(Path::new(ROOT).join("README.md")) else {
        return;
    };
    let (_, section) = readme.split_once("### Following a leader").unwrap();
    let example = Path::new(ROOT).join("examples/failover/readme.rs");
    let example = fs::read_to_string(example).unwrap();
    let settings = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let settings =
            lines.filter(|line| line.starts_with('.') && line.ends_with(['?', ')', ';']));
        let settings = settings.map(|line| line.replace("orders.v1.Orders", "failover.v1.Kv"));
        settings.take(6).collect()
    };
    let of_readme = settings(section);
    assert_eq!(of_readme[0], ".health_check(\"quis.RaftLeader\")");
    assert_eq!(of_readme[5], ".wrap(channel);");
    let (_, of_example) = example.split_once("// channel:").unwrap();
    assert_eq!(settings(of_example), of_readme);
}

fn rust_blocks(markdown: &str) -> impl Iterator<Item = &str> {
    markdown
        .split("\n```rust")
        .skip(1)
        .filter_map(|rest| rest.split("\n```").next())
}

fn layer_lines(code: &str) -> impl Iterator<Item = &str> {
    code.lines()
        .map(str::trim)
        .filter(|line| line.starts_with(".layer("))
}

fn template() -> PathBuf {
    Path::new(ROOT).join("tests/user_path")
}

/// Says it at once: the test harness keeps what `println` says until a test fails.
fn tell(progress: &str) {
    let _ = writeln!(std::io::stderr(), "user_path: {progress}");
}

/// One place for each target directory: cargo takes a crate at another place for another crate.
fn crate_outside_the_repository() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    env!("CARGO_TARGET_TMPDIR").hash(&mut hasher);
    let name = format!("grpc-resilience-user-path-{:016x}", hasher.finish());
    let temporary = env::temp_dir().canonicalize().unwrap();
    let home = temporary.join(name);
    assert!(!home.starts_with(Path::new(ROOT).canonicalize().unwrap()));
    for (here, there) in FILES {
        let text = fs::read_to_string(template().join(here)).unwrap();
        let text = text.replace("{grpc-resilience}", &ROOT.replace('\\', "/"));
        write_if_new(&home.join(there), &text);
    }
    home
}

/// Writes a file unless that is what it says, as cargo builds again what was written again.
fn write_if_new(path: &Path, text: &str) -> bool {
    if fs::read_to_string(path).is_ok_and(|old| old == text) {
        return false;
    }
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
    true
}

/// With the workspace's versions, and a target directory that no other cargo waits for.
fn cargo_run(home: &Path) -> Output {
    let lock = Path::new(ROOT).join("Cargo.lock");
    let lock = fs::read_to_string(lock).unwrap();
    // cargo writes this crate into its copy, which therefore always differs from ours.
    if write_if_new(&home.join("Cargo.lock.workspace"), &lock) {
        fs::write(home.join("Cargo.lock"), lock).unwrap();
    }
    Command::new(env!("CARGO"))
        .args(["run", "--quiet", "--target-dir"])
        .arg(Path::new(env!("CARGO_TARGET_TMPDIR")).join("user-path"))
        .current_dir(home)
        .output()
        .unwrap()
}
