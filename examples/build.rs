//! Compiles the examples' protos without `protoc`, with a table of the methods of each service.

use std::error::Error;

use grpc_resilience_build::MethodTables;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = [
        "blue_green/greeter.proto",
        "deadline_chain/chain.proto",
        "failover/kv.proto",
        "failover/raft.proto",
        "fleet/fleet.proto",
        "idempotency/depot.proto",
        "orders/orders.proto",
        "policy/auction.proto",
        "storm/storm.proto",
        "vip_failover/leader.proto",
        "watch/watch.proto",
    ];
    for proto in protos {
        println!("cargo::rerun-if-changed={proto}");
    }
    let descriptors = protox::compile(protos, ["."])?;
    let services = tonic_prost_build::configure().service_generator();
    tonic_prost_build::Config::new()
        .service_generator(Box::new(MethodTables::new(services)))
        .compile_fds(descriptors)?;
    Ok(())
}
