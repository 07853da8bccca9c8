# It declares no types, and inferring them from its code takes a fifth of a run.
from typing import Any

def __getattr__(name: str) -> Any: ...
