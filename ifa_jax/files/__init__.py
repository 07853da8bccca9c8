"""Files of any kind, read without trust and written whole.

Readers of what others made: `json_file`, `torch_file` (over `pickle_data` and
`archives`). Writers: `torch_save`, `scratch`, `checksums`. `shown` is what an
error says that it found.
"""
