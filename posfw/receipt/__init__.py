"""Slips on paper: text catalogues, column layout, printer commands. Knows no journal and does no I/O."""
