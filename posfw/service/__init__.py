"""The device side of the service protocol over USB (docs/service-protocol.md)."""
