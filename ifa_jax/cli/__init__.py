"""The terminal.

app          parses flags, runs a command, reports errors
progress     progress bars
tables       tables of scores, results as JSON
templates    HTML pages
"""
