//! The rules of the crate, each as a test over a real tonic server.

mod smoke;
