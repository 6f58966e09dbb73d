use std::fmt::Write as _;

use prost_build::{Config, Service, ServiceGenerator};
use protox::Compiler;
use protox::file::{File, FileResolver};

use super::MethodTables;

/// One proto, held in memory.
struct Source(String);

impl FileResolver for Source {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        File::from_source(name, &self.0)
    }
}

/// Writes a constant for each call of the generator.
struct Calls;

impl ServiceGenerator for Calls {
    fn generate(&mut self, service: Service, buf: &mut String) {
        writeln!(buf, "const {}: () = ();", service.name).unwrap();
    }

    fn finalize(&mut self, buf: &mut String) {
        buf.push_str("const END_OF_FILE: () = ();\n");
    }

    fn finalize_package(&mut self, package: &str, buf: &mut String) {
        writeln!(buf, "const END_OF: &str = \"{package}\";").unwrap();
    }
}

/// The generated code for a proto with a message `M` and these declarations.
fn generated(declarations: &str, tables: MethodTables) -> String {
    let source = format!("syntax = \"proto3\";\n{declarations}\nmessage M {{}}");
    let mut compiler = Compiler::with_file_resolver(Source(source));
    let descriptors = compiler.open_file("t.proto").unwrap().file_descriptor_set();
    let requests = descriptors.file.into_iter().map(|file| {
        let module = prost_build::Module::from_protobuf_package_name(file.package());
        (module, file)
    });
    let mut config = Config::new();
    config.service_generator(Box::new(tables));
    let files = config.generate(requests.collect()).unwrap();
    files.into_values().collect()
}

fn tables() -> MethodTables {
    MethodTables::new(Box::new(Calls))
}

/// The text without formatting: prost's formatter may be on or off.
fn unformatted(text: &str) -> String {
    let text: String = text.split_whitespace().collect();
    text.replace(",)", ")").replace(",]", "]")
}

/// The expected constant of a method.
fn constant(name: &str, path: &str, kind: &str, safety: &str) -> String {
    format!(
        "pub const {name}: ::grpc_resilience::call::Method = ::grpc_resilience::call::Method::new(\
         \"{path}\", ::grpc_resilience::grpc::MethodKind::{kind}, \
         ::grpc_resilience::call::Safety::{safety});"
    )
}

#[track_caller]
fn assert_has(text: &str, part: &str) {
    let found = unformatted(text).contains(&unformatted(part));
    assert!(found, "no {part}\nin {text}");
}

#[test]
fn each_method_has_the_kind_and_the_level_of_its_proto() {
    let text = generated(
        "package orders.v1; service Orders {
           rpc Get(M) returns (M) { option idempotency_level = NO_SIDE_EFFECTS; }
           rpc ReplaceAll(stream M) returns (M) { option idempotency_level = IDEMPOTENT; }
           rpc Watch(M) returns (stream M) { option idempotency_level = IDEMPOTENCY_UNKNOWN; }
           rpc Trade(stream M) returns (stream M);
         }",
        tables(),
    );
    assert_has(
        &text,
        "/// The methods of `orders.v1.Orders`. pub mod orders_methods {",
    );
    for (name, path, kind, safety) in [
        ("GET", "Get", "Unary", "NoSideEffects"),
        ("REPLACE_ALL", "ReplaceAll", "ClientStreaming", "Idempotent"),
        ("WATCH", "Watch", "ServerStreaming", "Unknown"),
        ("TRADE", "Trade", "BidiStreaming", "Unknown"),
    ] {
        let path = format!("/orders.v1.Orders/{path}");
        assert_has(&text, &constant(name, &path, kind, safety));
    }
    assert_has(
        &text,
        "pub const ALL: &[::grpc_resilience::call::Method] = &[GET, REPLACE_ALL, WATCH, TRADE];",
    );
}

#[test]
fn a_service_without_a_package_has_a_path_without_one() {
    let text = generated("service Orders { rpc Get(M) returns (M); }", tables());
    assert_has(&text, &constant("GET", "/Orders/Get", "Unary", "Unknown"));
}

#[test]
fn a_service_without_methods_has_an_empty_table() {
    let text = generated("service Orders {}", tables());
    assert_has(&text, "= &[];");
}

#[test]
fn a_keyword_needs_no_raw_name_in_upper_case() {
    let text = generated("service Orders { rpc Type(M) returns (M); }", tables());
    assert_has(&text, &constant("TYPE", "/Orders/Type", "Unary", "Unknown"));
}

#[test]
fn a_method_called_all_leaves_the_name_to_the_table() {
    let text = generated("service Orders { rpc All(M) returns (M); }", tables());
    assert_has(&text, &constant("ALL_", "/Orders/All", "Unary", "Unknown"));
    assert_has(&text, "= &[ALL_];");
}

#[test]
fn the_crate_may_have_another_name() {
    let text = generated(
        "service Orders { rpc Get(M) returns (M); }",
        tables().crate_path("::my_facade::resilience"),
    );
    assert_has(&text, "::my_facade::resilience::grpc::MethodKind::Unary");
    assert!(!text.contains("grpc_resilience"), "{text}");
}

#[test]
fn the_other_generator_sees_every_service_and_every_end() {
    let text = generated(
        "package orders.v1; service Orders {} service Stock {}",
        tables(),
    );
    for call in [
        "const Orders:",
        "const Stock:",
        "const END_OF_FILE:",
        "const END_OF: &str = \"orders.v1\"",
    ] {
        assert_eq!(text.matches(call).count(), 1, "{call} in {text}");
    }
}

#[test]
fn the_module_and_the_paths_are_called_as_those_of_tonics_client() {
    for (service, name) in [
        ("Orders", "orders"),
        ("HTTPService", "http_service"),
        ("OrdersV2", "orders_v2"),
        ("order_book", "order_book"),
        ("A_B", "a_b"),
    ] {
        let tonic = tonic_prost_build::configure().service_generator();
        let text = generated(
            &format!("package orders.v1; service {service} {{ rpc getOrder(M) returns (M); }}"),
            MethodTables::new(tonic),
        );
        assert_has(&text, &format!("pub mod {name}_methods {{"));
        assert_has(&text, &format!("pub mod {name}_client {{"));
        let path = format!("\"/orders.v1.{service}/getOrder\"");
        assert_has(&text, &format!("::new({path}, ::grpc_resilience"));
        // The client's call and the server's route.
        assert!(text.matches(&path).count() >= 3, "{path} in {text}");
        assert_has(&text, "pub const GET_ORDER:");
    }
}
