"""The terminal.

app          how a command parses flags, fails and exits
progress     progress bars
tables       tables of scores, and figures as JSON
templates    HTML pages
"""
