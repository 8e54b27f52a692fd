"""One language has several codes: "en" (ISO 639-1), "eng" (639-2), "en-US", "English"."""

from __future__ import annotations

# ISO 639-1, then its codes of three letters and its name. Any other code is equal to itself alone.
_TABLE = """
ar ara arabic
bg bul bulgarian
bn ben bengali
ca cat catalan
cs cze ces czech
da dan danish
de ger deu german
el gre ell greek
en eng english
es spa spanish
et est estonian
fa per fas persian
fi fin finnish
fr fre fra french
he heb hebrew
hi hin hindi
hr hrv croatian
hu hun hungarian
id ind indonesian
it ita italian
ja jpn japanese
ko kor korean
lt lit lithuanian
lv lav latvian
ms may msa malay
nl dut nld dutch
no nor nob nb nn nno norwegian
pl pol polish
pt por portuguese
ro rum ron romanian
ru rus russian
sk slo slk slovak
sl slv slovenian
sr srp serbian
sv swe swedish
ta tam tamil
te tel telugu
th tha thai
tr tur turkish
uk ukr ukrainian
ur urd urdu
vi vie vietnamese
zh chi zho chinese
"""
_CODES = {code: codes.split()[0] for codes in _TABLE.strip().splitlines() for code in codes.split()}


def plain_code(language: str) -> str:
    """The shortest code of a language, in small letters and without a region: "eng", "en-US", "English" -> "en"."""
    code = language.strip().lower().replace("_", "-").split("-")[0]
    return _CODES.get(code, code)


def is_language(word: str) -> bool:
    """Whether a word is a code or a name in the table."""
    return plain_code(word) in _CODES
