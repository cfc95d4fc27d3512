"""From files to columns: tables, lines, archives, arrays and ids, with errors that point at a line.

The sources beside this folder say which columns they need; nothing here knows a source.
"""
