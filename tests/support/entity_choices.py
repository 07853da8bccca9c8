"""Posts with several entities, and flags that choose among the relations."""

COUPLE, MEMBER = "/per/per/couple", "/per/org/member_of"
# Three entities, of which one has a type that no entry of ALLOWED has.
PAIRS = [
  {
    "id": number,
    "text": "Ann Lee, of Acme, joins Bob.",
    "entities": [
      {"start": 0, "end": 7, "type": "per"},
      {"start": 12, "end": 16, "type": kind},
      {"start": 24, "end": 27, "type": "per"},
    ],
  }
  for number, kind in enumerate(("org", "GPE"))
]
ALLOWED = {"None": [[], []], COUPLE: [["per"], ["per", "org"]]}
# Flags of entities, and the same as a `Choice`.
CHOICES = {
  "pairs": ([], {}),
  "pairs by name": (
    ["--allowed=names", f"--symmetric={COUPLE},{MEMBER}", "--probabilities"],
    {"allowed": "names", "symmetric": [COUPLE, MEMBER], "probabilities": True},
  ),
  "pairs by file": (["--allowed=allowed.json"], {"allowed": ALLOWED}),
}
