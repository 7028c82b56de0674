"""Pure functions on bytes: CBOR, ISO 8583, BER-TLV, COBS, checksums."""
