"""The grammar of a scenario file: each section as fields that read, check and describe themselves.

From outside: `document` for a whole file, `thresholds` for those of the command line.
"""
