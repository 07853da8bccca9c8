"""The terminal.

app               how a command parses flags, fails and exits
progress          progress bars
settings_flags    flags as fields of a dataclass
tables            tables of scores, and figures as JSON
templates         HTML pages
"""
