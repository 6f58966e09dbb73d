//! Compiles the examples' protos without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "failover/kv.proto",
        "failover/raft.proto",
        "policy/auction.proto",
    ];
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["."])?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
