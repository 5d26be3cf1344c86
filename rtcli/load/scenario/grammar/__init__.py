"""The grammar of a scenario file: tables of fields, whose types read, check and describe values.

From outside: `document` for a whole file, `thresholds` for those of the command line, `context` for both.
"""
