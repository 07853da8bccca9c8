# Its own `__init__` imports all of its two thousand modules where types are
# checked, which takes longer than all else; the project uses three names.
from typing import Any

def __getattr__(name: str) -> Any: ...
