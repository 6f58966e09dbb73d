//! HPACK (RFC 7541). What the peer writes is as plain as it allows: literals, no Huffman code, no
//! dynamic table. What it reads may use all of it.

use bytes::{BufMut as _, Bytes, BytesMut};

/// "Literal header field without indexing, new name".
const LITERAL: u8 = 0x00;
/// The largest length that fits into the seven bits of a string's first byte.
const SEVEN_BITS: usize = 0x7f;

pub(crate) fn encode<'a>(fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in fields {
        block.put_u8(LITERAL);
        put_string(&mut block, name);
        put_string(&mut block, value);
    }
    block.freeze()
}

/// Reads the header blocks of one connection, in their order.
#[derive(Default)]
pub(crate) struct Decoder(httlib_hpack::Decoder<'static>);

impl Decoder {
    /// The fields of a block that came in one frame without padding or priority, as hyper's do;
    /// none of another.
    pub(crate) fn decode(&mut self, block: &[u8]) -> Vec<(String, String)> {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let mut fields = Vec::new();
        // A block that makes no sense has the fields before that.
        let _ = self.0.decode(&mut block.to_vec(), &mut fields);
        fields
            .into_iter()
            .map(|(name, value, _)| (text(name), text(value)))
            .collect()
    }
}

fn put_string(block: &mut BytesMut, string: &[u8]) {
    put_length(block, string.len());
    block.put_slice(string);
}

/// An integer with a prefix of seven bits; the eighth says Huffman and stays zero.
fn put_length(block: &mut BytesMut, length: usize) {
    let low = |value: usize| u8::try_from(value & SEVEN_BITS).unwrap_or_default();
    if length < SEVEN_BITS {
        block.put_u8(low(length));
        return;
    }
    block.put_u8(low(SEVEN_BITS));
    let mut rest = length - SEVEN_BITS;
    while rest > SEVEN_BITS {
        block.put_u8(low(rest) | 0x80);
        rest >>= 7;
    }
    block.put_u8(low(rest));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn length(value: usize) -> Vec<u8> {
        let mut block = BytesMut::new();
        put_length(&mut block, value);
        block.to_vec()
    }

    #[test]
    fn lengths_over_seven_bits_go_on_in_further_bytes() {
        assert_eq!(length(126), [126]);
        assert_eq!(length(127), [127, 0]);
        assert_eq!(length(254), [127, 127]);
        assert_eq!(length(255), [127, 0x80, 1]);
        // RFC 7541 C.1.2 is 1337 with a five-bit prefix; with seven bits it is this.
        assert_eq!(length(1337), [127, 0xba, 9]);
    }

    #[test]
    fn a_field_is_a_literal_name_and_a_literal_value() {
        let block = encode([(&b":status"[..], &b"200"[..])]);
        assert_eq!(&block[..], b"\x00\x07:status\x03200");
    }
}
