//! What this example declares, in each way that a layer knows: all that a user writes.

use std::error::Error;

use grpc_resilience::call::Safety;
use grpc_resilience::idempotency::{IdempotencyKey, IdempotencyLayer};

use crate::proto::depot_methods::{ALL, GET_NEXT, PUT_ADDRESS, SEND};

/// Of `Shift` nobody says anything.
pub(crate) fn declared() -> Result<IdempotencyLayer, Box<dyn Error>> {
    let layer = IdempotencyLayer::new()
        // What the proto says of `Find`. Of the others it says their kind, and nothing of repeating.
        .methods(ALL)?
        .idempotent(PUT_ADDRESS.path())?
        .no_side_effects("/depot.v1.Depot/Get*")?
        .not_idempotent(GET_NEXT.path())?
        .idempotent_if(|method| method.contains("/Set").then_some(Safety::Idempotent))
        // `deduplicated`: this depot sends a parcel once, however often it hears the key.
        .key(SEND.path(), IdempotencyKey::random().deduplicated())?;
    Ok(layer)
}
