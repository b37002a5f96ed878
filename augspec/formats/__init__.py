"""Published formats: one file each, found here automatically and listed nowhere else.

`encode_as` writes the parameters of a batch in one; `docs/formats.md` says what each is.
"""

from augspec.formats.contract import Format, FormatColumn, FormatError
from augspec.formats.encode import encode_as, format_columns
from augspec.formats.registry import FORMATS, named

__all__ = [
    "FORMATS",
    "Format",
    "FormatColumn",
    "FormatError",
    "encode_as",
    "format_columns",
    "named",
]
