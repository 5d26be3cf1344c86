"""Reports of a result, for people, CI systems and other tools; each module renders one format.

From outside: the modules' `render`, `html.page.render`, `github.announce`, and `outputs` for all files.
"""
