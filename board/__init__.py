"""Boards: one package for each, implementing posfw.hal."""
