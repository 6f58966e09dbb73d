#![doc = include_str!("../README.md")]

mod table;
#[cfg(test)]
mod tests;

use prost_build::{Service, ServiceGenerator};

use table::Table;

/// Writes the method table of each service beside the output of another generator.
pub struct MethodTables {
    services: Box<dyn ServiceGenerator>,
    crate_path: String,
}

impl MethodTables {
    /// Adds tables to the output of `services`, such as tonic's clients and servers.
    #[must_use]
    pub fn new(services: Box<dyn ServiceGenerator>) -> Self {
        Self {
            services,
            crate_path: "::grpc_resilience".to_owned(),
        }
    }

    /// Sets the path of grpc-resilience in the generated code. Default: `::grpc_resilience`.
    ///
    /// The path is used inside a module, so start it with `::` or `crate::`. The generated code
    /// does not compile with a wrong path.
    #[must_use]
    pub fn crate_path(mut self, path: impl Into<String>) -> Self {
        self.crate_path = path.into();
        self
    }
}

impl ServiceGenerator for MethodTables {
    fn generate(&mut self, service: Service, buf: &mut String) {
        buf.push_str(&Table::new(&service, &self.crate_path).to_string());
        self.services.generate(service, buf);
    }

    fn finalize(&mut self, buf: &mut String) {
        self.services.finalize(buf);
    }

    fn finalize_package(&mut self, package: &str, buf: &mut String) {
        self.services.finalize_package(package, buf);
    }
}
