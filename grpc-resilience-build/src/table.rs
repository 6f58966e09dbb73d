use std::fmt;

use prost_build::{Method, Service};

/// The Rust module of one service.
///
/// It omits the proto's comments, which the client's functions have: an indented line in a comment
/// would become a doctest here too.
pub(crate) struct Table<'a> {
    service: &'a Service,
    crate_path: &'a str,
}

impl<'a> Table<'a> {
    pub(crate) fn new(service: &'a Service, crate_path: &'a str) -> Self {
        Self {
            service,
            crate_path,
        }
    }

    fn write_method(&self, method: &Method, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let krate = self.crate_path;
        let path = format!("/{}/{}", full_name(self.service), method.proto_name);
        let (safety, words) = safety(method);
        writeln!(f, "    /// `{path}`: {words}.")?;
        writeln!(
            f,
            "    pub const {}: {krate}::call::Method = {krate}::call::Method::new(",
            constant(method)
        )?;
        writeln!(f, "        \"{path}\",")?;
        writeln!(f, "        {krate}::grpc::MethodKind::{},", kind(method))?;
        writeln!(f, "        {krate}::call::Safety::{safety},")?;
        writeln!(f, "    );")
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "/// The methods of `{}`.", full_name(self.service))?;
        writeln!(f, "pub mod {} {{", module(self.service))?;
        // A program rarely uses all methods of a service.
        writeln!(f, "    #![allow(dead_code)]")?;
        for method in &self.service.methods {
            self.write_method(method, f)?;
        }
        let all: Vec<_> = self.service.methods.iter().map(constant).collect();
        writeln!(f, "    /// All methods, in the order of the proto.")?;
        writeln!(
            f,
            "    pub const ALL: &[{}::call::Method] = &[{}];",
            self.crate_path,
            all.join(", ")
        )?;
        writeln!(f, "}}")
    }
}

/// `package.Service`, as in the path of a call.
fn full_name(service: &Service) -> String {
    if service.package.is_empty() {
        service.proto_name.clone()
    } else {
        format!("{}.{}", service.package, service.proto_name)
    }
}

/// Follows tonic's rule for `orders_client`, so both names match.
fn module(service: &Service) -> String {
    let mut name = String::new();
    for (index, letter) in service.name.chars().enumerate() {
        if index > 0 && letter.is_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name + "_methods"
}

/// The name of the client's function, in upper case, where no keyword needs `r#`.
fn constant(method: &Method) -> String {
    let name = method.name.trim_start_matches("r#").to_ascii_uppercase();
    // `ALL` is the table's own name. Prost too appends a `_` to a name that is taken.
    if name == "ALL" { name + "_" } else { name }
}

fn kind(method: &Method) -> &'static str {
    match (method.client_streaming, method.server_streaming) {
        (false, false) => "Unary",
        (false, true) => "ServerStreaming",
        (true, false) => "ClientStreaming",
        (true, true) => "BidiStreaming",
    }
}

/// The variant of `Safety`, and its text. An unknown level counts as undeclared.
fn safety(method: &Method) -> (&'static str, &'static str) {
    match method.options.idempotency_level().as_str_name() {
        "NO_SIDE_EFFECTS" => ("NoSideEffects", "no side effects"),
        "IDEMPOTENT" => ("Idempotent", "idempotent"),
        _ => ("Unknown", "declares no idempotency level"),
    }
}
