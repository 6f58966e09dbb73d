use grpc_resilience::call::{Method, Safety};
use grpc_resilience::grpc::MethodKind;

use super::v1::orders_methods::{self, ALL};

#[test]
fn the_table_says_what_the_proto_says() {
    use MethodKind::{BidiStreaming, ClientStreaming, ServerStreaming, Unary};
    use Safety::{Idempotent, NoSideEffects, Unknown};

    let expected = [
        ("/orders.v1.Orders/Get", Unary, NoSideEffects),
        ("/orders.v1.Orders/Replace", Unary, Idempotent),
        ("/orders.v1.Orders/Place", Unary, Unknown),
        ("/orders.v1.Orders/Watch", ServerStreaming, NoSideEffects),
        ("/orders.v1.Orders/Import", ClientStreaming, Unknown),
        ("/orders.v1.Orders/Sync", BidiStreaming, Idempotent),
    ];
    assert_eq!(
        ALL,
        expected.map(|(path, kind, safety)| Method::new(path, kind, safety))
    );
}

#[test]
fn a_constant_is_its_method_in_the_table() {
    assert_eq!(ALL.get(1), Some(&orders_methods::REPLACE));
    assert_eq!(orders_methods::REPLACE.path(), "/orders.v1.Orders/Replace");
}
