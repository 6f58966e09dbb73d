//! The adapter to tonic's knowledge of who called.

use std::net::IpAddr;

use http::request::Parts;
use tonic::metadata::MetadataMap;

/// The remote address of a connection over TCP, with or without TLS.
pub(super) fn address(parts: &mut Parts) -> Option<IpAddr> {
    // tonic alone knows under which types its servers put it there.
    let extensions = std::mem::take(&mut parts.extensions);
    let request = tonic::Request::from_parts(MetadataMap::new(), extensions, ());
    let address = request.remote_addr();
    (_, parts.extensions, ()) = request.into_parts();
    address.map(|address| address.ip().to_canonical())
}
