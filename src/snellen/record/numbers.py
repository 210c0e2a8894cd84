"""Numbers that a record may hold: what a page can compute with, whoever wrote the file."""

from typing import Annotated

from msgspec import Meta

from snellen.base.shape import LARGEST, WHOLE

Number = Annotated[float, Meta(ge=-LARGEST, le=LARGEST)]
"""A finite number: the squares of all of them are finite, too."""
Whole = Annotated[int, Meta(ge=1 - WHOLE, le=WHOLE - 1)]
"""A whole number of 64 bits."""
Count = Annotated[int, Meta(ge=0, le=WHOLE - 1)]
"""How many."""
Json = Annotated[object, Meta(extra_json_schema={"description": "any JSON"})]
"""A value whose form only its writer knows."""
