"""Decisions on money, sans-I/O: state = fold(entries); decide(state, event, now) -> entries and effects."""
