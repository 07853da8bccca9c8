"""The terminal.

app               parses flags, runs a command, reports errors
progress          progress bars
settings_flags    flags as fields of a dataclass
tables            tables of scores, results as JSON
templates         HTML pages
"""
