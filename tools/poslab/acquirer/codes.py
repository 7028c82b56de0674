"""DE39 of the answers this host gives of its own accord."""

APPROVED, NOT_ALLOWED, BAD_AMOUNT, OTHER_CARD, NO_ORIGINAL = "00", "12", "13", "14", "25"
FORMAT_ERROR, OVER_LIMIT, ORIGINAL_AMOUNT, REPEATED, BAD_MAC = "30", "61", "64", "94", "A0"
OUT_OF_ORDER = "96"
