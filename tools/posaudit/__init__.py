"""posaudit: pull a terminal's journal, prove it, and tell what happened in plain words."""
