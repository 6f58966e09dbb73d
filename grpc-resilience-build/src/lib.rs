#![doc = include_str!("../README.md")]

mod table;
#[cfg(test)]
mod tests;

use prost_build::{Service, ServiceGenerator};

use table::Table;

/// Writes the method table of each service beside what another generator makes of the service.
pub struct MethodTables {
    services: Box<dyn ServiceGenerator>,
    crate_path: String,
}

impl MethodTables {
    /// Tables beside what `services` writes, such as tonic's clients and servers.
    #[must_use]
    pub fn new(services: Box<dyn ServiceGenerator>) -> Self {
        Self {
            services,
            crate_path: "::grpc_resilience".to_owned(),
        }
    }

    /// Where the generated code finds grpc-resilience, if it isn't `::grpc_resilience`.
    ///
    /// The path stands in a module of its own, so let it start with `::` or `crate::`. A path that
    /// leads nowhere does not compile.
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
