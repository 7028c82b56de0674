"""Symmetric primitives on MicroPython built-ins: HMAC, HKDF, AES-CTR, AES-CMAC."""
