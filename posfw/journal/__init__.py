"""The signed local journal: frames, ring, seal, entries and the vault beside it (docs/journal-format.md)."""
